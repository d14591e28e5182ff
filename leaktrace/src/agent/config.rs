//! What the options of `agent` mean.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use leaktrace_core::node::black_box::{Bounds, Steps};
use leaktrace_core::node::{Scope, Sides};
use leaktrace_core::session::{Matcher, MatcherError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::black_box::BlackBoxConfig;
use super::http::{Guard, Listen};
use super::push::PushConfig;
use super::tls::Identity;
use crate::cli::agent::{Agent, BlackBoxArgs};
use crate::dump::facts;
use crate::process::Procfs;
use crate::quantity::Overhead;

/// The most that the agent may use where there is no limit, in cores.
const WITHOUT_LIMIT: f64 = 1.0;

/// How the agent watches, and to whom it speaks.
pub(super) struct AgentConfig {
    /// Which processes are meant.
    pub(super) meant: Arc<Meant>,
    /// How many cores it may use by itself.
    pub(super) cores: f64,
    pub(super) most_processes: usize,
    pub(super) most_series: usize,
    /// How many bytes of memory it may have, if there is a limit.
    pub(super) most_memory: Option<u64>,
    /// Whether profiles of all processes together may be asked for.
    pub(super) is_node_profiled: bool,
    /// Whether processes may be watched more closely by who asks for it.
    pub(super) is_probing_allowed: bool,
    /// What a study may cost its process.
    pub(super) max_overhead: Overhead,
    pub(super) listen: Listen,
    /// Where black boxes are kept, if they are.
    pub(super) black_box: Option<BlackBoxConfig>,
    /// What is sent to whom.
    pub(super) push: PushConfig,
}

/// Which processes are meant.
#[derive(Debug)]
pub(super) struct Meant {
    pub(super) scope: Scope,
    /// How old they are at least.
    pub(super) min_age: Duration,
}

fn scope(args: &Agent) -> Result<Scope, MatcherError> {
    Ok(Scope {
        matcher: Matcher::new(args.exe.as_deref(), args.comm.as_deref())?,
        exe: Sides::new(&[], &args.exclude_exe, "--exclude-exe")?,
        container: Sides::new(&args.container, &args.exclude_container, "--container")?,
        unit: Sides::new(&args.unit, &args.exclude_unit, "--unit")?,
    })
}

/// What the settings mean.
pub(super) struct Resolved {
    /// As they were given.
    pub(super) args: Agent,
    pub(super) config: AgentConfig,
    pub(super) guard: Guard,
}

/// How many descriptors each process takes, and how many are for everything else.
const EACH: u64 = 3;
const OTHERS: u64 = 256;

/// How many entries there are at most.
const MOST_ENTRIES: usize = 10_000;

/// What is not said otherwise: of how much memory the first snapshot is taken, in percent, and how much is kept for how long.
const FIRST_STEP: u32 = 80;
const MOST_KEPT: u64 = 256 << 20;
const LONGEST_KEPT: Duration = Duration::from_hours(7 * 24);

fn black_box(args: &BlackBoxArgs) -> anyhow::Result<Option<BlackBoxConfig>> {
    let BlackBoxArgs { black_box, black_box_memory, black_box_size, black_box_age } = args;
    let Some(folder) = black_box else {
        // They may come from different places, so that clap cannot say this.
        let given = [
            ("memory", black_box_memory.is_some()),
            ("size", black_box_size.is_some()),
            ("age", black_box_age.is_some()),
        ];
        return match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => bail!("--black-box-{name} needs --black-box DIR"),
            None => Ok(None),
        };
    };
    let bounds = Bounds {
        bytes: black_box_size.map_or(MOST_KEPT, |size| size.0),
        age: black_box_age.unwrap_or(LONGEST_KEPT),
        entries: MOST_ENTRIES,
    };
    Ok(Some(BlackBoxConfig {
        folder: folder.clone(),
        steps: Steps::new(black_box_memory.unwrap_or(FIRST_STEP))?,
        bounds,
    }))
}

/// The certificate and the key, if they are given. They may come from different places, so that clap cannot say this.
fn identity(args: &Agent) -> anyhow::Result<Option<Identity>> {
    match (&args.tls_cert, &args.tls_key) {
        (None, None) => Ok(None),
        (Some(_), None) => bail!("--tls-cert needs --tls-key FILE"),
        (None, Some(_)) => bail!("--tls-key needs --tls-cert FILE"),
        (Some(_), Some(_)) if args.listen_unix.is_some() => {
            bail!("--tls-cert is of no use with --listen-unix: a socket file is not spoken to over a network")
        }
        (Some(certificate), Some(key)) => Ok(Some(Identity::read(certificate, key)?)),
    }
}

/// For how many processes there are descriptors, once as many are allowed as can be.
fn room() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.or(limit.current);
    // Where that is refused, what was allowed before is.
    let is_raised = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: limit.maximum }).is_ok();
    let allowed = if is_raised { most } else { limit.current };
    let room = allowed.map_or(u64::MAX, |allowed| allowed.saturating_sub(OTHERS) / EACH);
    usize::try_from(room).unwrap_or(usize::MAX).max(1)
}

impl AgentConfig {
    /// What was typed, and who may ask. Token, certificate and key are read with the rights of whoever started us.
    pub(super) fn resolve(args: &Agent, procfs: &Procfs) -> anyhow::Result<Resolved> {
        let guard =
            Guard::new(args.token_file.as_deref(), args.allowed_host.clone(), args.allow_unauthenticated)?;
        let identity = identity(args)?;
        let listen = Listen {
            tcp: args.listen_unix.is_none().then_some(args.listen),
            unix: args.listen_unix.clone(),
            advertise: args.advertise.clone(),
            node: facts::hostname(procfs),
            identity,
        };
        let push = PushConfig::resolve(&args.push, &listen, procfs)?;
        let config = Self {
            meant: Arc::new(Meant { scope: scope(args)?, min_age: args.min_age }),
            cores: args.max_cpu.0.unwrap_or(WITHOUT_LIMIT),
            most_processes: (args.max_processes as usize).min(room()),
            most_series: args.max_series as usize,
            most_memory: args.max_memory.map(|most| most.0),
            is_node_profiled: args.node_profile,
            is_probing_allowed: args.allow_probes,
            max_overhead: args.max_overhead,
            listen,
            black_box: black_box(&args.black_box)?,
            push,
        };
        Ok(Resolved { args: args.clone(), config, guard })
    }
}
