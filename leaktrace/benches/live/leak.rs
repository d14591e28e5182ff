//! Whether a leak of one goroutine in a thousand is named within a minute, and alone, in an HTTP service that grows and
//! answers 3,000 requests a second; and what watching costs the service, which is measured without before and after.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use leaktrace::process::Pid;
use leaktrace_tests::report::Report;

use crate::effort::Effort;
use crate::service::{Figures, RATE, Service, head};
use crate::statistics::{in_seconds, seconds};

const WARM_UP: Duration = Duration::from_secs(3);
/// In seconds, before and after.
const UNTRACED: usize = 20;
const WATCHED: Duration = Duration::from_mins(1);

/// The function with the `go` statement that leaks.
const LEAK: &str = "main.answer";

/// Measures it.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let service = Service::start("growing")?;
    let [mut untraced, mut traced] = [Figures::default(), Figures::default()];
    let alone = Duration::from_secs(effort.rounds(UNTRACED).try_into()?);
    service.ask(RATE, WARM_UP)?;
    service.measure(RATE, alone, &mut untraced)?;
    let pid = service.pid();
    let watching = thread::spawn(move || watch(pid));
    service.measure(RATE, WATCHED, &mut traced)?;
    let findings = watching.join().map_err(|_| anyhow!("the watcher panicked"))??;
    service.measure(RATE, alone, &mut untraced)?;
    println!("### One leak in a thousand requests (`cargo xtask bench leak`)\n");
    println!("{}\n", findings.words());
    head("at 3,000 requests/s");
    untraced.print(&format!("no probes, {} s before and after", alone.as_secs()), &untraced);
    traced.print("`leaktrace --pid PID --duration 60s`", &untraced);
    println!();
    findings.check()
}

/// What was said of the service, by verdicts that are `certain` or `likely`.
#[derive(Default)]
struct Findings {
    /// From the start of leaktrace to the first report that names the leak, and how many goroutines that is about.
    named: Option<(Duration, u64)>,
    /// Lines about anything else.
    others: Vec<String>,
}

impl Findings {
    fn add(&mut self, report: &Report, after: Duration) {
        for verdict in report.verdicts.iter().filter(|verdict| verdict.severity != "watch") {
            if verdict.created_by.place().function == LEAK {
                self.named.get_or_insert((after, verdict.live));
            } else {
                self.others.push(verdict.summary.clone());
            }
        }
    }

    fn words(&self) -> String {
        let named = self.named.map_or_else(
            || "The leak was not named.".to_owned(),
            |(after, live)| {
                let after = seconds(in_seconds(after));
                format!("The leak was named **{after}** after leaktrace started, with {live} goroutines.")
            },
        );
        format!("{named} Other findings: {}.", self.others.len())
    }

    fn check(&self) -> Result<()> {
        self.named.context("the leak was not named")?;
        ensure!(self.others.is_empty(), "wrong: {}", self.others.join(", "));
        Ok(())
    }
}

fn watch(pid: Pid) -> Result<Findings> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leaktrace"));
    let duration = format!("{}s", WATCHED.as_secs());
    command.args([
        "--pid",
        &pid.to_string(),
        "--duration",
        &duration,
        "--interval",
        "2s",
        "--format",
        "json",
    ]);
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let mut findings = Findings::default();
    for report in serde_json::Deserializer::from_reader(stdout).into_iter::<Report>() {
        findings.add(&report.context("not a report")?, began.elapsed());
    }
    ensure!(child.wait()?.success(), "leaktrace failed");
    Ok(findings)
}
