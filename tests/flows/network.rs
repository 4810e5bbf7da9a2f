//! What lies between the operator and the rest: certificates of one's own authority, proxies, one IP family alone.

use crate::{
    controlplane::{User, authority::Authority},
    world::{Options, PATIENCE, free_port, repository, sandbox, task, wait::within},
    world_with,
};
use anyhow::{Context as _, Result, ensure};
use nix::unistd::geteuid;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use slipway::api::State;
use std::{
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// TLS in front of `url`, which is plain: the URL of that.
async fn encrypted(url: &str, config: &Arc<ServerConfig>) -> Result<String> {
    let target = url.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let acceptor = TlsAcceptor::from(config.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                copy_bidirectional(&mut stream, &mut TcpStream::connect(target).await?).await
            });
        }
    });
    Ok(format!("https://127.0.0.1:{port}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_of_ones_own_is_named_and_then_trusted() -> Result<()> {
    let authority = Authority::create()?;
    let (certificate, key) = authority.server("stand-ins", &[])?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(
        vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
        PrivateKeyDer::from_pem_slice(key.as_bytes())?,
    )?;
    let config = Arc::new(config);
    let mut world =
        world_with(Options { namespace: "authority", operator: false, ..Options::default() }).await?;
    let urls = [
        ("GITHUB_API_URL", world.simulator.github_url()),
        ("E2B_API_URL", world.simulator.e2b_api_url()),
        ("E2B_SANDBOX_URL", world.simulator.e2b_sandbox_url()),
    ];
    for (name, url) in urls {
        world.options.environment.push((name.to_owned(), encrypted(&url, &config).await?));
    }
    world.start_controller()?;
    world.apply(&repository("app")).await?;
    world.apply(&sandbox("box")).await?;
    macro_rules! names_a_certificate {
        () => {
            |object| {
                let Some(status) = &object.status else { return false };
                let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
                ready.is_some_and(|r| r.message.contains("certificate") && r.message.contains("caBundle"))
            }
        };
    }
    let what = "a certificate as the cause";
    world.repository("app", what, names_a_certificate!()).await?;
    world.sandbox("box", what, names_a_certificate!()).await?;

    let bundle = world.dir().join("authority.pem");
    std::fs::write(&bundle, authority.certificate())?;
    world.options.environment.push(("SLIPWAY_CA_BUNDLE".to_owned(), bundle.display().to_string()));
    world.terminate_controller().await?;
    world.start_controller()?;
    world.apply(&task("greet", "app", "echo hello > hello")).await?;
    world.task_in("greet", State::Review).await?;

    std::fs::write(&bundle, "no certificate")?;
    world.terminate_controller().await?;
    world.start_controller()?;
    let refused = within(PATIENCE, "the end of a controller without a certificate", || async {
        world.controller.as_ref()?.exit_status().ok().flatten()
    })
    .await?;
    ensure!(!refused.success() && world.controller_log().contains("there is no certificate (PEM) in it"));
    Ok(())
}

/// A proxy that only tunnels; the targets it was asked for, with the words of who asked.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self { port: listener.local_addr()?.port(), asked: Arc::default() };
        let asked = proxy.asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, asked.clone()));
            }
        });
        Ok(proxy)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn tunnel(stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> Result<()> {
    let (mut stream, mut head) = (BufReader::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        ensure!(stream.read_line(&mut head).await? > 0, "it ended in the head");
    }
    let target = head.split(' ').nth(1).context("a target")?.to_owned();
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let mut other = TcpStream::connect(target).await?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut other).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_is_reached_through_the_proxy_that_the_surroundings_name() -> Result<()> {
    let proxy = Proxy::start().await?;
    let mut world = world_with(Options { namespace: "proxy", operator: false, ..Options::default() }).await?;
    let kubeconfig = world.plane.kubeconfig(&User::Admin)?;
    let address = world.plane.url().trim_start_matches("https://").to_owned();
    let url = format!("http://user:p%40ss@127.0.0.1:{}", proxy.port);
    let mut config: Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
    config["clusters"][0]["cluster"]["proxy-url"] = json!(url);
    let with_proxy = world.dir().join("with-proxy.kubeconfig");
    std::fs::write(&with_proxy, config.to_string())?;
    let with_proxy = with_proxy.display().to_string();
    for (variables, goes_through) in [
        (vec![("HTTPS_PROXY", url.as_str())], true),
        (vec![("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "127.0.0.0/8")], false),
        (vec![("KUBECONFIG", with_proxy.as_str())], true),
    ] {
        let before = proxy.asked().len();
        world.options.environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        world.start_controller()?;
        world.synced().await.with_context(|| format!("{variables:?}"))?;
        world.terminate_controller().await?;
        let asked = &proxy.asked()[before..];
        ensure!(asked.is_empty() != goes_through, "{variables:?}: {asked:?}");
        // base64 of user:p@ss
        let right = |head: &String| {
            head.starts_with(&format!("CONNECT {address} ")) && head.contains("Basic dXNlcjpwQHNz")
        };
        ensure!(asked.iter().all(right), "{variables:?}: {asked:?}");
    }
    Ok(())
}

/// Brings up the loopback interface of a network namespace, takes an address family from it, runs the command.
const IN_A_NAMESPACE: &str = r"
import fcntl, os, socket, struct, sys
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def interface(request, rest):
    fcntl.ioctl(control, request, struct.pack('16s', b'lo') + rest)
interface(0x8914, struct.pack('h22x', 0x1))  # SIOCSIFFLAGS, IFF_UP
if sys.argv[1] == 'without IPv4':
    # SIOCSIFADDR to nothing
    interface(0x8916, struct.pack('HH4s8x', socket.AF_INET, 0, bytes(4)))
os.execvp(sys.argv[2], sys.argv[2:])
";

/// Starts the receiver as it is by default, and asks the address for its health, again and again.
const ASKED: &str = r#"
operator=$1 address=$2
shift 2
"$operator" webhook & receiver=$!
trap 'kill $receiver' EXIT
for port in 8081/livez 3000/; do
  curl --globoff --silent --show-error --fail --noproxy '*' --retry 300 --retry-delay 1 --retry-connrefused --retry-max-time 60 \
    "http://$address:$port" >/dev/null || exit 1
done
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_it_listens_at_whatever_families_there_are() -> Result<()> {
    let kubeconfig = crate::controlplane::shared().await.kubeconfig(&User::Admin)?;
    for (families, address, answers) in [
        ("both", "127.0.0.1", true),
        ("both", "[::1]", true),
        ("without IPv4", "[::1]", true),
        ("without IPv4", "127.0.0.1", false),
    ] {
        let mut command = tokio::process::Command::new("unshare");
        command.arg("--net");
        if !geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let operator = env!("CARGO_BIN_EXE_slipway");
        command.args(["python3", "-c", IN_A_NAMESPACE, families]);
        command.args(["timeout", if answers { "90" } else { "5" }]);
        command.args(["bash", "-c", ASKED, "asked", operator, address]);
        command.env("KUBECONFIG", &kubeconfig).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success() == answers, "{families}, {address}: {said}");
        ensure!(said.contains("receiver starts") || !answers, "{families}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_start_with_its_setting() -> Result<()> {
    let port = free_port()?;
    let _taken = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_slipway"));
    command.args(["webhook", "--ops-listen", &format!("127.0.0.1:{port}")]).kill_on_drop(true);
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && said.contains("SLIPWAY_OPS_LISTEN: can't listen at"), "{said}");
    Ok(())
}
