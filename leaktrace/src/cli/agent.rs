//! `leaktrace agent`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use crate::quantity::{self, Bytes, Overhead, Span};
use crate::server_url::ServerUrl;

/// What `leaktrace agent` takes.
#[derive(Clone, Debug, PartialEq, ClapArgs)]
pub struct Agent {
    /// Read settings from FILE, in TOML, by the names of these options; they are also read from variables such as
    /// `LEAKTRACE_AGENT_MAX_CPU`. What is typed goes before a variable, and that before FILE. SIGHUP reads them again
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Watch only processes whose executable matches GLOB: its path, or its name if GLOB has no slash
    #[arg(long, value_name = "GLOB", help_heading = "Target")]
    pub exe: Option<String>,
    /// Do not watch processes whose executable matches GLOB; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Target")]
    pub exclude_exe: Vec<String>,
    /// Watch only processes whose command matches REGEX
    #[arg(long, value_name = "REGEX", help_heading = "Target")]
    pub comm: Option<String>,
    /// Watch only processes in a container whose id matches GLOB; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Target")]
    pub container: Vec<String>,
    /// Do not watch processes in a container whose id matches GLOB; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Target")]
    pub exclude_container: Vec<String>,
    /// Watch only processes of a systemd service whose name matches GLOB, such as `order@*.service`; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Target")]
    pub unit: Vec<String>,
    /// Do not watch processes of a systemd service whose name matches GLOB; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Target")]
    pub exclude_unit: Vec<String>,
    /// Leave processes alone until they are that old
    #[arg(long, value_name = "TIME", value_parser = quantity::span, default_value = "1s", help_heading = "Target")]
    pub min_age: Span,
    /// How many processes are watched at most; others are listed with that reason
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Target")]
    pub max_processes: u32,

    /// Address to listen on
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9464",
        conflicts_with = "listen_unix",
        help_heading = "Server"
    )]
    pub listen: SocketAddr,
    /// Listen on a Unix socket instead, which only its owner may use
    #[arg(long, value_name = "PATH", help_heading = "Server")]
    pub listen_unix: Option<PathBuf>,
    /// Serve only requests that carry the token in FILE (`Authorization: Bearer TOKEN`)
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,
    /// Serve everybody who can reach the address, without a token
    #[arg(long, help_heading = "Server")]
    pub allow_unauthenticated: bool,
    /// Speak TLS with the certificate in FILE (PEM, followed by those that lead to its authority); needs --tls-key
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM), in a file that not everybody may read
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub tls_key: Option<PathBuf>,
    /// What scrapers that ask /sd are told to connect to [default: the address that they ask]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    pub advertise: Option<String>,
    /// Accept requests for this host name too; may be repeated. Addresses and `localhost` are always accepted
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    pub allowed_host: Vec<String>,
    /// Serve profiles of all processes together as well, at /debug/pprof/goroutine; each takes a dump of up to 256 processes
    #[arg(long, help_heading = "Server")]
    pub node_profile: bool,
    /// Let whoever may ask have births, ends and waits of a process traced for a time, by POST /processes/ID/level
    #[arg(long, help_heading = "Server")]
    pub allow_probes: bool,

    /// How much of one core regular reads may use, or `off`; studies of suspects and profiles come on top
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = quantity::overhead, help_heading = "Limits")]
    pub max_cpu: Overhead,
    /// How much probes and snapshots may cost a process that is studied, in percent of one core for each core that it keeps
    /// busy, or `off`
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = quantity::overhead, help_heading = "Limits")]
    pub max_overhead: Overhead,
    /// With more memory of its own than SIZE, begin no studies, and drop reports and names of what matters least
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes, help_heading = "Limits")]
    pub max_memory: Option<Bytes>,
    /// How many series /metrics shows at most
    #[arg(long, value_name = "COUNT", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000), help_heading = "Limits")]
    pub max_series: u32,

    /// What is kept of processes.
    #[command(flatten)]
    pub black_box: BlackBoxArgs,

    /// What is sent to others.
    #[command(flatten)]
    pub push: PushArgs,

    /// Whom to ask for the names of pods.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,
}

/// Whom to ask for the names of the pods that containers belong to.
#[derive(Clone, Debug, PartialEq, ClapArgs)]
#[command(next_help_heading = "Kubernetes")]
pub struct KubernetesArgs {
    /// Name pods as WAY tells of them; `auto` tries the last three in turn, as far as there is anybody to ask
    #[arg(long, value_name = "WAY", value_enum, default_value_t = KubernetesWay::Auto)]
    pub kubernetes: KubernetesWay,
    /// Socket of the kubelet's Pods API
    #[arg(long, value_name = "PATH", default_value = "/var/lib/kubelet/pods-api/pods-api.sock")]
    pub pods_api: PathBuf,
    /// Address of this node's kubelet, such as `$(NODE_IP)` in a pod
    #[arg(long, value_name = "HOST[:PORT]")]
    pub kubelet: Option<String>,
    /// Give the token to whoever answers at that address, without verifying its certificate
    #[arg(long)]
    pub kubelet_insecure_tls: bool,
    /// Name of this node, as the API server has it
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    pub node_name: Option<String>,
    /// Directory with the token of a service account and the certificate of the cluster's authority
    #[arg(long, value_name = "DIR", default_value = "/var/run/secrets/kubernetes.io/serviceaccount")]
    pub kubernetes_account: PathBuf,
}

/// Who is asked for the names of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KubernetesWay {
    /// Whoever there is, in the order of the others
    Auto,
    /// Nobody: containers have their ids
    Off,
    /// The kubelet's Pods API, a socket that Kubernetes has from 1.37 on
    PodsApi,
    /// The kubelet's server, with --kubelet and a service account
    Kubelet,
    /// The API server, with --node-name and a service account
    Api,
}

/// A name that stands in a URL as it is.
fn node_name(text: &str) -> Result<String, String> {
    let is_letter =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let is_name = (1..=253).contains(&text.len()) && text.bytes().all(is_letter);
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| "a node's name has lower case letters, digits, dashes and dots".to_owned())
}

/// What is kept of processes for the time after their end.
#[derive(Clone, Debug, PartialEq, ClapArgs)]
#[command(next_help_heading = "Black box")]
pub struct BlackBoxArgs {
    /// Keep in DIR what processes looked like that were suspected, or came close to the end of their memory, for `leaktrace report`
    #[arg(long, value_name = "DIR")]
    pub black_box: Option<PathBuf>,
    /// Take a snapshot when a process's memory reaches PERCENT of its limit, and again at 90% and 95% [default: 80%]
    #[arg(long, value_name = "PERCENT", value_parser = quantity::percent)]
    pub black_box_memory: Option<u32>,
    /// Delete the oldest entries when all of them have more than SIZE [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    pub black_box_size: Option<Bytes>,
    /// Delete entries that are older than TIME [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = quantity::span)]
    pub black_box_age: Option<Span>,
}

/// What the agent sends by itself.
#[derive(Clone, Debug, Default, PartialEq, ClapArgs)]
#[command(next_help_heading = "Push")]
pub struct PushArgs {
    /// Push goroutine profiles of processes to the Pyroscope at URL; this takes dumps, which are not within --max-cpu
    #[arg(long, value_name = "URL")]
    pub push_pyroscope: Option<ServerUrl>,
    /// Push goroutine profiles of processes to the Parca at URL; this takes dumps, which are not within --max-cpu
    #[arg(long, value_name = "URL")]
    pub push_parca: Option<ServerUrl>,
    /// Push metrics to the OpenTelemetry collector at URL, over HTTP, where `/v1/metrics` is appended
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<ServerUrl>,
    /// Push so often [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = quantity::span)]
    pub push_interval: Option<Span>,
    /// Believe https servers whom the authorities in FILE have certified, in PEM [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub push_ca: Option<PathBuf>,
    /// The tenant to whom profiles in Pyroscope belong (the header X-Scope-OrgID)
    #[arg(long, value_name = "NAME")]
    pub push_tenant: Option<String>,
    /// Send the token in FILE with profiles (`Authorization: Bearer TOKEN`)
    #[arg(long, value_name = "FILE")]
    pub push_token_file: Option<PathBuf>,
    /// Send the token in FILE with metrics
    #[arg(long, value_name = "FILE")]
    pub otlp_token_file: Option<PathBuf>,
}
