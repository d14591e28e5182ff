//! What the options of pushing mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::header::HeaderValue;
use leaktrace_core::node::push::Metrics;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::agent::headers::bearer;
use crate::agent::http::{Listen, read_token};
use crate::agent::tls;
use crate::cli::agent::PushArgs;
use crate::dump::facts;
use crate::process::Procfs;
use crate::server_url::ServerUrl;

/// How often is pushed, if nothing else is said, and at most.
const INTERVAL: Duration = Duration::from_mins(1);
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_hours(24);

/// Where systems have the certificates of authorities: Debian and Alpine, Fedora, SUSE, others.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is sent to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::agent) struct PushConfig {
    pub(super) destinations: Vec<Destination>,
    pub(super) interval: Duration,
    /// What is said of the machine and of leaktrace.
    pub(super) about: Metrics,
}

/// What kind of server something is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Pyroscope,
    Parca,
    Otlp,
}

impl Server {
    pub(super) const ALL: [Self; 3] = [Self::Pyroscope, Self::Parca, Self::Otlp];

    /// Its name in metrics and messages.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pyroscope => "pyroscope",
            Self::Parca => "parca",
            Self::Otlp => "otlp",
        }
    }
}

/// One server, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) server: Server,
    pub(super) url: ServerUrl,
    /// How TLS begins, where the URL wants it.
    pub(super) trust: Option<Trust>,
    /// `Bearer …`; never shown.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) tenant: Option<HeaderValue>,
}

/// Whom to believe, and who it has to be.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl PartialEq for Trust {
    /// Whether both are of one reading of the file: what that says may have changed.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for Trust {}

impl PushConfig {
    /// What was typed. Tokens are read with the rights of whoever started us.
    pub(in crate::agent) fn resolve(
        args: &PushArgs,
        listen: &Listen,
        procfs: &Procfs,
    ) -> anyhow::Result<Self> {
        check(args)?;
        let tenant = args.push_tenant.as_deref().map(tenant).transpose()?;
        let of_profiles = args.push_token_file.as_deref().map(authorization).transpose()?;
        let of_metrics = args.otlp_token_file.as_deref().map(authorization).transpose()?;
        let all = [
            (Server::Pyroscope, &args.push_pyroscope, &of_profiles, tenant),
            (Server::Parca, &args.push_parca, &of_profiles, None),
            (Server::Otlp, &args.otlp_endpoint, &of_metrics, None),
        ];
        let client = client(args)?;
        let given = all.into_iter().filter_map(|(server, url, authorization, tenant)| {
            let (url, authorization) = (url.clone()?, authorization.clone());
            Some(trust(&url, client.as_ref()).map(|trust| Destination {
                server,
                url,
                trust,
                authorization,
                tenant,
            }))
        });
        Ok(Self {
            destinations: given.collect::<anyhow::Result<_>>()?,
            interval: args.push_interval.unwrap_or(INTERVAL),
            about: Metrics {
                machine: listen.node.clone(),
                booted_s: facts::booted_s(procfs),
                ticks_per_second: rustix::param::clock_ticks_per_second(),
                version: env!("CARGO_PKG_VERSION"),
            },
        })
    }
}

/// Refuses what makes no sense together. The options may come from different places, so that clap cannot say this.
fn check(args: &PushArgs) -> anyhow::Result<()> {
    let profiles = args.push_pyroscope.is_some() || args.push_parca.is_some();
    let needs = [
        ("push-tenant", args.push_tenant.is_some(), args.push_pyroscope.is_some(), "--push-pyroscope URL"),
        ("push-token-file", args.push_token_file.is_some(), profiles, "--push-pyroscope or --push-parca URL"),
        (
            "otlp-token-file",
            args.otlp_token_file.is_some(),
            args.otlp_endpoint.is_some(),
            "--otlp-endpoint URL",
        ),
        (
            "push-interval",
            args.push_interval.is_some(),
            profiles || args.otlp_endpoint.is_some(),
            "--push-pyroscope, --push-parca or --otlp-endpoint URL",
        ),
        ("push-ca", args.push_ca.is_some(), is_encrypted(args), "a URL that begins with https://"),
    ];
    for (name, is_given, has_what_it_needs, needed) in needs {
        if is_given && !has_what_it_needs {
            bail!("--{name} needs {needed}");
        }
    }
    match args.push_interval {
        Some(interval) if !(SHORTEST..=LONGEST).contains(&interval) => {
            bail!("--push-interval is {interval:?}; expected 10s to 24h")
        }
        Some(_) | None => Ok(()),
    }
}

fn is_encrypted(args: &PushArgs) -> bool {
    let urls = [&args.push_pyroscope, &args.push_parca, &args.otlp_endpoint];
    urls.into_iter().flatten().any(ServerUrl::is_encrypted)
}

/// How TLS begins, if any of the servers wants it.
fn client(args: &PushArgs) -> anyhow::Result<Option<Arc<ClientConfig>>> {
    if !is_encrypted(args) {
        return Ok(None);
    }
    let systems = || AUTHORITIES.into_iter().map(PathBuf::from).find(|file| file.exists());
    let file = args.push_ca.clone().or_else(systems);
    let file = file.context(
        "this system has no file of certificate authorities where others have it\nhint: name one with --push-ca FILE",
    )?;
    Ok(Some(Arc::new(tls::client(&file)?)))
}

fn trust(url: &ServerUrl, client: Option<&Arc<ClientConfig>>) -> anyhow::Result<Option<Trust>> {
    let Some(config) = client.filter(|_| url.is_encrypted()) else { return Ok(None) };
    let name = ServerName::try_from(url.address().0.to_owned());
    let name = name.with_context(|| format!("{url} has neither the name nor the address of a host"))?;
    Ok(Some(Trust { config: Arc::clone(config), name }))
}

fn tenant(name: &str) -> anyhow::Result<HeaderValue> {
    let is_name = !name.is_empty() && name.len() <= 150 && name.bytes().all(|byte| byte.is_ascii_graphic());
    let value = is_name.then(|| HeaderValue::from_str(name).ok()).flatten();
    value.context(
        "--push-tenant is not a tenant: expected 1 to 150 letters, digits or signs, and no space among them",
    )
}

fn authorization(token_file: &Path) -> anyhow::Result<HeaderValue> {
    Ok(bearer(std::str::from_utf8(&read_token(token_file)?)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &PushArgs) -> anyhow::Result<PushConfig> {
        PushConfig::resolve(args, &Listen::default(), &Procfs::system())
    }

    fn url(text: &str) -> ServerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_is_sent_unless_somebody_says_to_whom() {
        assert_eq!(resolve(&PushArgs::default()).unwrap().destinations, []);
    }

    #[test]
    fn each_server_gets_its_own_token_and_only_pyroscope_has_tenants() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("{name}-0123456789\n")).unwrap();
            Some(path)
        };
        let args = PushArgs {
            push_pyroscope: Some(url("http://a:1")),
            push_parca: Some(url("http://b:2")),
            otlp_endpoint: Some(url("http://c:3")),
            push_tenant: Some("shop".to_owned()),
            push_token_file: file("profiles"),
            otlp_token_file: file("metrics"),
            push_interval: Some(SHORTEST),
            push_ca: None,
        };
        let config = resolve(&args).unwrap();
        let text =
            |value: &Option<HeaderValue>| value.as_ref().map(|value| value.to_str().unwrap().to_owned());
        let sent =
            config.destinations.iter().map(|to| (to.server, text(&to.authorization), text(&to.tenant)));
        let (profiles, metrics) = ("Bearer profiles-0123456789", "Bearer metrics-0123456789");
        let expected = [
            (Server::Pyroscope, Some(profiles.to_owned()), Some("shop".to_owned())),
            (Server::Parca, Some(profiles.to_owned()), None),
            (Server::Otlp, Some(metrics.to_owned()), None),
        ];
        assert_eq!(sent.collect::<Vec<_>>(), expected);
        assert!(!format!("{config:?}").contains("0123456789"), "a token is never shown");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let to = PushArgs { otlp_endpoint: Some(url("http://c:3")), ..PushArgs::default() };
        let refused = [
            (PushArgs { push_tenant: Some("shop".to_owned()), ..to.clone() }, "--push-tenant needs "),
            (PushArgs { push_token_file: Some("x".into()), ..to.clone() }, "--push-token-file needs "),
            (PushArgs { push_interval: Some(INTERVAL), ..PushArgs::default() }, "--push-interval needs "),
            (
                PushArgs { push_interval: Some(Duration::from_secs(9)), ..to.clone() },
                "--push-interval is 9s; ",
            ),
            (
                PushArgs { otlp_token_file: Some("/nowhere".into()), ..to },
                "cannot read the token file /nowhere",
            ),
        ];
        for (args, told) in refused {
            let error = resolve(&args).unwrap_err();
            assert!(format!("{error:#}").starts_with(told), "{error:#}");
        }
        for (url, told) in
            [("https://a:1", "cannot read the TLS file /nowhere"), ("http://a:1", "--push-ca needs ")]
        {
            let args = PushArgs {
                otlp_endpoint: Some(url.parse().unwrap()),
                push_ca: Some("/nowhere".into()),
                ..PushArgs::default()
            };
            let error = resolve(&args).unwrap_err();
            assert!(format!("{error:#}").starts_with(told), "{error:#}");
        }
        let wrong = PushArgs {
            push_pyroscope: Some(url("http://a:1")),
            push_tenant: Some("a\nb: c".to_owned()),
            ..PushArgs::default()
        };
        assert!(resolve(&wrong).unwrap_err().to_string().starts_with("--push-tenant is not a tenant"));
    }
}
