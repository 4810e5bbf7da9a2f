//! How etcd, kube-apiserver and kube-controller-manager are run: ports, files, arguments.
//! Neighbours: `process` runs them; `authority` makes the certificates; flags are those of Kubernetes' own reference pages.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

use super::Options;
use super::authority::Authority;
use super::binaries::Binaries;
use super::process::Process;

/// Controllers that act on our objects. Without a node the rest (workloads, volumes, nodes) has nothing to do, and costs
/// start-up time.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,\
    serviceaccount-token-controller,root-ca-certificate-publisher-controller,clusterrole-aggregation-controller";

/// The first address of the range below: `kubernetes.default` as Pods know it.
const SERVICE_ADDRESS: &str = "10.96.0.1";
const SERVICE_RANGE: &str = "10.96.0.0/24";

/// Every request at level Metadata (no bodies, so no secret values), at every stage.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n";

/// The locks of the ports this process has: released by its end, whatever ends it.
static LOCKS: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Loopback ports of one control plane.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub apiserver: u16,
    etcd_client: u16,
    etcd_peer: u16,
}

impl Ports {
    pub fn choose() -> Result<Self> {
        let [apiserver, etcd_client, etcd_peer] = free_ports()?;
        Ok(Self { apiserver, etcd_client, etcd_peer })
    }
}

/// Ports that are this process's until it ends, so that a server finds its port free when it starts, and again after a
/// restart: below the kernel's ephemeral range (32768 and up), where outgoing connections and binds to port 0 never get
/// one, and locked against the other test processes of this user.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_768;
    let random = uuid::Uuid::new_v4().as_u128() % u128::from(COUNT);
    let offset = u16::try_from(random)?;
    let directory = std::env::temp_dir().join(format!("slipway-ports-{}", nix::unistd::getuid()));
    std::fs::create_dir_all(&directory)?;
    let mut ports = Vec::new();
    for step in 0..COUNT {
        let port = FIRST + (offset + step) % COUNT;
        let lock = File::create(directory.join(port.to_string()))?;
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
            LOCKS.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
        }
        if let Ok(ports) = <[u16; N]>::try_from(ports.as_slice()) {
            return Ok(ports);
        }
    }
    bail!("no {N} free ports on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT - 1)
}

/// Writes the certificates, keys and the audit policy that the arguments below name.
pub fn write_files(directory: &Path, authority: &Authority, node: Option<Ipv4Addr>) -> Result<()> {
    let names: Vec<String> =
        node.iter().map(Ipv4Addr::to_string).chain([SERVICE_ADDRESS.to_owned()]).collect();
    let (certificate, key) = authority.server("kube-apiserver", &names)?;
    let (kubelet_certificate, kubelet_key) =
        authority.client("kube-apiserver-kubelet-client", Some("system:masters"))?;
    let (private, public) = Authority::token_keys()?;
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text);
    write("ca.crt", &authority.certificate())?;
    write("apiserver.crt", &certificate)?;
    write("apiserver.key", &key)?;
    write("kubelet-client.crt", &kubelet_certificate)?;
    write("kubelet-client.key", &kubelet_key)?;
    write("service-accounts.key", &private)?;
    write("service-accounts.pub", &public)?;
    write("audit-policy.yaml", AUDIT_POLICY)?;
    Ok(())
}

pub fn etcd(binaries: &Binaries, directory: &Path, ports: Ports) -> Result<Process> {
    let client = format!("http://127.0.0.1:{}", ports.etcd_client);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    let arguments = vec![
        "--name=default".to_owned(),
        format!("--data-dir={}", directory.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // The data never outlives the machine's run: no reason to wait for the disk.
        "--unsafe-no-fsync".to_owned(),
    ];
    Process::start("etcd", &binaries.etcd, arguments, directory)
}

pub fn apiserver(binaries: &Binaries, directory: &Path, ports: Ports, options: &Options) -> Result<Process> {
    let file = |name: &str| directory.join(name).display().to_string();
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd_client),
        format!("--secure-port={}", ports.apiserver),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", file("service-accounts.key")),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        "--allow-privileged=true".to_owned(),
        format!("--audit-policy-file={}", file("audit-policy.yaml")),
        format!("--audit-log-path={}", file("audit.log")),
        // Megabytes before the log is rotated away: more than any run writes.
        "--audit-log-maxsize=4096".to_owned(),
    ];
    arguments.extend(match options.node {
        // There is one server, on loopback: an endpoint for it would be refused anyway.
        None => vec!["--bind-address=127.0.0.1".to_owned(), "--endpoint-reconciler-type=none".to_owned()],
        Some(address) => vec![
            "--bind-address=0.0.0.0".to_owned(),
            format!("--advertise-address={address}"),
            "--endpoint-reconciler-type=lease".to_owned(),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--kubelet-client-certificate={}", file("kubelet-client.crt")),
            format!("--kubelet-client-key={}", file("kubelet-client.key")),
        ],
    });
    arguments.extend_from_slice(&options.apiserver_arguments);
    Process::start("kube-apiserver", &binaries.kube_apiserver, arguments, directory)
}

pub fn controller_manager(
    binaries: &Binaries,
    directory: &Path,
    kubeconfig: &Path,
    node: Option<Ipv4Addr>,
) -> Result<Process> {
    let file = |name: &str| directory.join(name).display().to_string();
    let arguments = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--controllers={}", if node.is_some() { "*" } else { CONTROLLERS }),
        // One user per controller, as in real clusters; with one for all, RBAC forbids nearly everything.
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", file("service-accounts.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        "--leader-elect=false".to_owned(),
        // No health endpoint, so no port that could be taken.
        "--secure-port=0".to_owned(),
    ];
    Process::start("kube-controller-manager", &binaries.kube_controller_manager, arguments, directory)
}
