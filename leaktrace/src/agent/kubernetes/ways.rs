//! Where pods can be asked for.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::cli::agent::{KubernetesArgs, KubernetesWay};

/// The port of a kubelet's server.
const KUBELET_PORT: u16 = 10_250;
/// Where an API server says that it is, in every pod.
const SERVICE: [&str; 2] = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The socket of the kubelet's Pods API.
    PodsApi(PathBuf),
    /// The kubelet's server.
    Kubelet(Server),
    /// The API server, about the pods of this node.
    Api(Server, String),
}

/// A server that wants a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    /// The file with the token.
    pub(super) token: PathBuf,
    /// The file with the certificates of its authority; without one, everybody is believed.
    pub(super) authority: Option<PathBuf>,
}

impl Way {
    /// What it is called in messages.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::PodsApi(_) => "the kubelet's Pods API",
            Self::Kubelet(_) => "the kubelet's /pods",
            Self::Api(..) => "the API server",
        }
    }
}

/// Those that there are, the best first; none outside Kubernetes. `variable` reads the environment.
pub(super) fn find(
    args: &KubernetesArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Vec<Way>> {
    let token = args.kubernetes_account.join("token");
    let authority = args.kubernetes_account.join("ca.crt");
    let kubelet = || {
        let (host, port) = address(args.kubelet.as_deref()?)?;
        let authority = (!args.kubelet_insecure_tls).then(|| authority.clone());
        Some(Way::Kubelet(Server { host, port, token: token.clone(), authority }))
    };
    let api = || {
        let [host, port] = SERVICE.map(&variable);
        let (host, port) = (host?, port?.parse().ok()?);
        let server = Server { host, port, token: token.clone(), authority: Some(authority.clone()) };
        Some(Way::Api(server, args.node_name.clone()?))
    };
    let socket = Way::PodsApi(args.pods_api.clone());
    Ok(match args.kubernetes {
        KubernetesWay::Off => Vec::new(),
        KubernetesWay::PodsApi => vec![socket],
        KubernetesWay::Kubelet => match kubelet() {
            Some(way) => vec![way],
            None => bail!("--kubernetes kubelet needs --kubelet HOST:PORT"),
        },
        KubernetesWay::Api => match api() {
            Some(way) => vec![way],
            None if args.node_name.is_none() => bail!("--kubernetes api needs --node-name NAME"),
            None => {
                bail!("--kubernetes api works in a pod only: KUBERNETES_SERVICE_HOST and _PORT are not set")
            }
        },
        KubernetesWay::Auto => {
            // The kubelet may make the socket later.
            let socket = Some(socket).filter(|_| args.pods_api.parent().is_some_and(Path::exists));
            let with_token = [kubelet(), api()].into_iter().flatten().filter(|_| token.exists());
            socket.into_iter().chain(with_token).collect()
        }
    })
}

/// A host, and the port after it if there is one.
fn address(text: &str) -> Option<(String, u16)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_string(), KUBELET_PORT));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, KUBELET_PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(folder: &Path, way: KubernetesWay) -> KubernetesArgs {
        KubernetesArgs {
            kubernetes: way,
            pods_api: folder.join("pods-api/pods-api.sock"),
            kubelet: None,
            kubelet_insecure_tls: false,
            node_name: None,
            kubernetes_account: folder.join("account"),
        }
    }

    fn names(args: &KubernetesArgs) -> Vec<&'static str> {
        let variable = |name: &str| Some(if name.ends_with("HOST") { "10.96.0.1" } else { "443" }.to_owned());
        find(args, variable).unwrap().iter().map(Way::name).collect()
    }

    #[test]
    fn what_is_there_is_used_and_nothing_is_asked_outside_kubernetes() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = args(folder.path(), KubernetesWay::Auto);
        all.kubelet = Some("10.0.3.7".to_owned());
        all.node_name = Some("n1".to_owned());
        assert_eq!(names(&all), [""; 0]);
        std::fs::create_dir(folder.path().join("pods-api")).unwrap();
        assert_eq!(names(&all), ["the kubelet's Pods API"]);
        std::fs::create_dir(folder.path().join("account")).unwrap();
        std::fs::write(folder.path().join("account/token"), "x").unwrap();
        assert_eq!(names(&all), ["the kubelet's Pods API", "the kubelet's /pods", "the API server"]);
        all.kubelet = None;
        all.node_name = None;
        assert_eq!(names(&all), ["the kubelet's Pods API"]);
        all.kubernetes = KubernetesWay::Off;
        assert_eq!(names(&all), [""; 0]);
    }

    #[test]
    fn a_way_that_is_wanted_says_what_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let told = |args: &KubernetesArgs, variable: &dyn Fn(&str) -> Option<String>| {
            find(args, variable).unwrap_err().to_string()
        };
        let mut kubelet = args(folder.path(), KubernetesWay::Kubelet);
        assert!(told(&kubelet, &|_| None).ends_with("needs --kubelet HOST:PORT"));
        kubelet.kubelet = Some("n1:x".to_owned());
        assert!(told(&kubelet, &|_| None).ends_with("needs --kubelet HOST:PORT"));
        kubelet.kubelet = Some("n1".to_owned());
        assert_eq!(names(&kubelet), ["the kubelet's /pods"]);
        let mut api = args(folder.path(), KubernetesWay::Api);
        assert!(told(&api, &|_| None).ends_with("needs --node-name NAME"));
        api.node_name = Some("n1".to_owned());
        assert!(told(&api, &|_| None).contains("works in a pod only"));
        assert_eq!(names(&api), ["the API server"]);
        assert_eq!(names(&args(folder.path(), KubernetesWay::PodsApi)), ["the kubelet's Pods API"]);
    }

    #[test]
    fn an_address_may_have_a_port() {
        let of = |text| address(text).map(|(host, port)| format!("{host} {port}"));
        for (text, expected) in [
            ("10.0.3.7", Some("10.0.3.7 10250")),
            ("fd00::7", Some("fd00::7 10250")),
            ("[fd00::7]:1", Some("fd00::7 1")),
            ("n1.example", Some("n1.example 10250")),
            ("n1:10255", Some("n1 10255")),
            ("", None),
            (":1", None),
            ("n1:70000", None),
        ] {
            assert_eq!(of(text).as_deref(), expected, "{text}");
        }
    }
}
