//! The configuration files of the node's servers, all below one directory.
//! Part of `node`; the keys are those of containerd's CRI plugin, CNI's conflist and Kubernetes' component configs.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// The image that holds a Pod's namespaces; `tests/e2e/images.sh` makes it.
const PAUSE: &str = "docker.io/library/pause:e2e";
const POD_RANGE: &str = "10.244.0.0/24";

/// Where the node keeps everything.
pub struct Places {
    pub root: PathBuf,
    /// Below every hierarchy; `run.sh` has made it and removes it.
    pub cgroup: String,
    pub cni_plugins: PathBuf,
    pub address: Ipv4Addr,
}

impl Places {
    pub fn containerd_socket(&self) -> PathBuf {
        self.root.join("containerd/containerd.sock")
    }

    /// Version 2 of the format: containerd 1.6 takes no other, later ones convert it.
    pub fn write_containerd_config(&self) -> Result<PathBuf> {
        self.write_network_config()?;
        let root = self.root.join("containerd");
        let at = |name: &str| quoted(&root.join(name));
        let config = format!(
            r#"version = 2
root = {root}
state = {state}
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart"]
[grpc]
address = {socket}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# A profile would be loaded into the machine's kernel, and stay there.
disable_apparmor = true
# In a container not even root may lower a score: without this no Pod would start there.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {plugins}
conf_dir = {networks}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
            root = at("root"),
            state = at("state"),
            socket = quoted(&self.containerd_socket()),
            plugins = quoted(&self.cni_plugins),
            networks = quoted(&self.root.join("cni")),
        );
        self.write("containerd/config.toml", &config)
    }

    fn write_network_config(&self) -> Result<()> {
        let config = json!({
            "cniVersion": "0.4.0",
            "name": "slipway-node",
            "plugins": [
                {
                    "type": "bridge", "bridge": "cni0",
                    "isGateway": true, "ipMasq": true, "hairpinMode": true,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": POD_RANGE}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                        "dataDir": self.root.join("addresses"),
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": true}},
            ],
        });
        self.write("cni/10-slipway-node.conflist", &config.to_string()).map(drop)
    }

    pub fn write_kubelet_config(&self, authority: &Path) -> Result<PathBuf> {
        self.write_json("kubelet/config.yaml", &json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "address": self.address,
            "authentication": {
                "anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": authority},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": format!("unix://{}", self.containerd_socket().display()),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "enforceNodeAllocatable": ["pods"],
            "failCgroupV1": false,
            "failSwapOn": false,
            "clusterDNS": [self.address],
            "clusterDomain": super::dns::DOMAIN,
            // Nothing outside is reached.
            "resolvConf": "",
            // A full disk of the machine is no matter of this node.
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": self.root.join("logs"),
            "volumePluginDir": self.root.join("volume-plugins"),
            // Faster than the defaults, so that a test sees a change soon.
            "syncFrequency": "10s",
        }))
    }

    pub fn write_proxy_config(&self, kubeconfig: &Path) -> Result<PathBuf> {
        self.write_json(
            "kube-proxy/config.yaml",
            &json!({
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
                "clientConnection": {"kubeconfig": kubeconfig},
                "mode": "iptables",
                "clusterCIDR": POD_RANGE,
                // These are the whole machine's.
                "conntrack": {"maxPerCore": 0, "min": 0},
            }),
        )
    }

    fn write_json(&self, name: &str, value: &Value) -> Result<PathBuf> {
        self.write(name, &serde_json::to_string_pretty(value)?)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        let directory = path.parent().context("a file is in a directory")?;
        fs::create_dir_all(directory)?;
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// A string of TOML, which JSON's are too.
fn quoted(path: &Path) -> String {
    json!(path).to_string()
}
