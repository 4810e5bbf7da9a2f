//! Cluster DNS: the names of Services, as far as Pods here ask for them (RFC 1035, A records over UDP).
//! Part of `node`; kubelet writes its address into every Pod.

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use std::net::Ipv4Addr;
use tokio::net::UdpSocket;

pub const DOMAIN: &str = "cluster.local";

const HEADER: usize = 12;
/// An answer, authoritative, recursion desired and available.
const ANSWER: u16 = 0x8580;
const NAME_ERROR: u16 = 3;
const A: [u8; 4] = [0, 1, 0, 1];
const TTL: u32 = 5;

/// Answers until it is dropped.
pub async fn serve(socket: UdpSocket, client: Client) {
    let mut packet = [0; 512];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
        if let Some(answer) = answer(&client, &packet[..length]).await {
            // Lost answers are asked for again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// `None`: not a question.
async fn answer(client: &Client, packet: &[u8]) -> Option<Vec<u8>> {
    let (name, end) = question(packet)?;
    let address = service_address(client, &name).await;
    let asked_for = packet[end - 4..end] == A;
    let (code, addresses) = match address {
        Some(address) => (0, if asked_for { vec![address] } else { Vec::new() }),
        None => (NAME_ERROR, Vec::new()),
    };
    let mut answer = packet[..2].to_vec();
    for field in [ANSWER | code, 1, u16::try_from(addresses.len()).ok()?, 0, 0] {
        answer.extend(field.to_be_bytes());
    }
    answer.extend(&packet[HEADER..end]);
    for address in addresses {
        // The name is that of the question, which follows the header.
        answer.extend([0xc0, 0x0c]);
        answer.extend(A);
        answer.extend(TTL.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// The name that is asked for, and where the question ends.
fn question(packet: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_lowercase());
        at += length;
    }
    packet.get(at..at + 4)?;
    Some((labels.join("."), at + 4))
}

async fn service_address(client: &Client, name: &str) -> Option<Ipv4Addr> {
    let (service, namespace) = name.strip_suffix(DOMAIN)?.strip_suffix(".svc.")?.split_once('.')?;
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    services.get_opt(service).await.ok()??.spec?.cluster_ip?.parse().ok()
}
