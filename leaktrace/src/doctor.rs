//! `leaktrace doctor`: item by item what this machine and a process allow, with the remedy for what is missing.
//! Attaches nothing.

use std::io::{self, Write};

use leaktrace_common::event::Kind;
use leaktrace_core::base::{escape, human};
use leaktrace_core::go::facts::Untested;
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::trace::plan::{AttachPlan, Statement};
use thiserror::Error;

use crate::clock;
use crate::inspect::{self, Inspected};
use crate::kernel::cost::CostPerHit;
use crate::kernel::features::{self, Finding, Need, State};
use crate::kernel::{Hub, HubOptions};
use crate::process::find::HeldProcess;
use crate::process::privileges::{Capability, Privileges};
use crate::process::workers::Workers;
use crate::process::{Pid, Procfs};

/// What is missing for tracing to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DoctorError {
    /// Something that can be granted.
    #[error("tracing is not permitted")]
    NotPermitted,
    /// Something that the kernel does not have.
    #[error("this kernel lacks a feature that tracing needs")]
    Kernel,
}

/// What was found about one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Works without, or nobody knows.
    Note,
    Missing,
}

/// One line of the report, and perhaps one below it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    verdict: Verdict,
    what: String,
    remedy: Option<String>,
}

impl Item {
    fn good(what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, what: what.into(), remedy: None }
    }

    fn note(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// What ends the examination: its error tells the remedy.
    fn failed(error: &anyhow::Error) -> Self {
        Self { verdict: Verdict::Missing, what: format!("{error:#}"), remedy: None }
    }

    fn missing(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, what: what.into(), remedy: Some(remedy.into()) }
    }
}

/// Where the findings go, and how they look. What is named in a heading or an item cannot add lines to it.
struct Page<'w> {
    out: &'w mut dyn Write,
    color: bool,
}

impl Page<'_> {
    fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", escape::line(text))
    }

    fn items(&mut self, items: &[Item]) -> io::Result<()> {
        items.iter().try_for_each(|item| self.item(item))?;
        writeln!(self.out)
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        let (mark, color) = match item.verdict {
            Verdict::Good => ("ok     ", 32),
            Verdict::Note => ("note   ", 33),
            Verdict::Missing => ("MISSING", 31),
        };
        let what = escape::line(&item.what);
        if self.color {
            writeln!(self.out, "  \x1b[{color}m{mark}\x1b[0m {what}")?;
        } else {
            writeln!(self.out, "  {mark} {what}")?;
        }
        match &item.remedy {
            Some(remedy) => writeln!(self.out, "          → {}", escape::line(remedy)),
            None => Ok(()),
        }
    }
}

/// Examines the machine, and the process if one is named.
///
/// Of the process only these `go` statements are examined, if there are any.
pub fn run(
    pid: Option<Pid>,
    statements: &[Statement],
    procfs: &Procfs,
    color: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut page = Page { out, color };
    let privileges = Privileges::of_this_process(procfs);
    let findings = features::find_all();
    let cost = measure();
    page.heading("This machine")?;
    page.items(
        &[machine(&privileges), kernel(&findings), cost.as_ref().map(of_cost).into_iter().collect()].concat(),
    )?;
    if let Some(pid) = pid {
        examine(pid, procfs, statements, &mut page)?;
    }
    verdict(&privileges, &findings).map_err(Into::into)
}

/// What a hit costs, where we may find out.
fn measure() -> Option<CostPerHit> {
    Hub::new(HubOptions::default()).ok()?.cost().ok()
}

fn of_cost(cost: &CostPerHit) -> Item {
    let end = Kind::End.index();
    Item::good(format!("a probe costs {:.0} ns per hit", cost.emulated[end]))
}

fn machine(privileges: &Privileges) -> Vec<Item> {
    let mut items: Vec<Item> =
        Capability::NEEDED.into_iter().map(|capability| of_capability(capability, privileges)).collect();
    if let Some(scope) = privileges.ptrace_scope.filter(|scope| *scope > 0)
        && !privileges.has(Capability::SysPtrace)
    {
        items.push(Item::note(
            format!("kernel.yama.ptrace_scope is {scope}, which protects even your own processes"),
            "grant CAP_SYS_PTRACE, or run `sysctl kernel.yama.ptrace_scope=0`",
        ));
    }
    items
}

fn of_capability(capability: Capability, privileges: &Privileges) -> Item {
    let what = format!("{capability}: {}", capability.purpose());
    if privileges.has(capability) {
        return Item::good(what);
    }
    let remedy =
        "run as root (sudo), or grant it (in Docker: --cap-add, in Kubernetes: securityContext.capabilities)";
    Item::missing(what, remedy)
}

fn kernel(findings: &[Finding]) -> Vec<Item> {
    let attachable = findings
        .iter()
        .any(|found| found.feature.need() == Need::OneWayToAttach && found.state == State::Present);
    findings.iter().map(|found| of_feature(*found, attachable)).collect()
}

fn of_feature(found: Finding, attachable: bool) -> Item {
    let (name, remedy) = (found.feature.as_str(), found.feature.remedy());
    match (found.state, found.feature.need()) {
        (State::Present, _) => Item::good(name),
        (State::Unknown, _) => {
            Item::note(format!("{name}: unknown without privileges"), "run this as root (sudo) to find out")
        }
        (State::Absent, Need::Required) => Item::missing(name, remedy),
        (State::Absent, Need::OneWayToAttach) if !attachable => Item::missing(name, remedy),
        (State::Absent, Need::OneWayToAttach | Need::Helpful) => Item::note(format!("no {name}"), remedy),
    }
}

fn verdict(privileges: &Privileges, findings: &[Finding]) -> Result<(), DoctorError> {
    if kernel(findings).iter().any(|item| item.verdict == Verdict::Missing) {
        return Err(DoctorError::Kernel);
    }
    if privileges.missing().is_empty() { Ok(()) } else { Err(DoctorError::NotPermitted) }
}

fn planned(inspected: &Inspected, statements: &[Statement]) -> anyhow::Result<AttachPlan> {
    if statements.is_empty() {
        return inspected.plan(&Kind::IN_RUNTIME);
    }
    inspected.plan_statements(statements)
}

fn examine(pid: Pid, procfs: &Procfs, statements: &[Statement], page: &mut Page<'_>) -> anyhow::Result<()> {
    let (workers, asked) = (Workers::default(), procfs.clone());
    let target = match workers.run(move || inspect::open(&asked, pid))? {
        Ok(target) => target,
        Err(error) => {
            let error = anyhow::Error::from(error);
            page.heading(&format!("Process {pid}"))?;
            page.items(&[Item::failed(&error)])?;
            return Err(error);
        }
    };
    page.heading(&format!("Process {pid}: {}", target.exe.link().display()))?;
    let mut items = of_process(&target);
    let (asked, statements) = (procfs.clone(), statements.to_vec());
    let found = workers.run(move || {
        let inspected = Inspected::new(target, &asked)?;
        let plan = planned(&inspected, &statements);
        let moved = plan.as_ref().map_or(0, |plan| inspected.moved(plan).unwrap_or(0));
        let moved = (moved > 0).then(|| of_moved_code(moved));
        Ok((of_program(&inspected).into_iter().chain(moved).collect::<Vec<_>>(), plan))
    });
    let found = found.and_then(|found| found);
    match &found {
        Ok((of_program, _)) => items.extend_from_slice(of_program),
        Err(error) => items.push(Item::failed(error)),
    }
    page.items(&items)?;
    let plan = found?.1?;
    page.heading("Attach plan: what would be probed, and why")?;
    show_plan(&plan, page)?;
    Ok(())
}

fn of_process(target: &HeldProcess) -> Vec<Item> {
    let about = &target.about;
    let mut items = vec![Item::good(format!("{}, run by user {}, can be opened", about.name, about.uid))];
    if about.reader != target.pid {
        items.push(Item::missing(
            format!("its first thread has ended; it is read through thread {}", about.reader),
            "`leaktrace dump` and `--probes none` work, and probes cannot be attached",
        ));
    }
    if let Some(inner) = about.inner_pid {
        items.push(Item::good(format!("it runs in another pid namespace, where it is pid {inner}")));
    }
    if about.in_other_mounts {
        items.push(Item::good("it runs in another mount namespace; its binary is opened through /proc"));
    }
    if target.exe.is_deleted() {
        items.push(Item::good("its binary was deleted or replaced on disk; the running one is used"));
    }
    if let Some(tracer) = about.tracer {
        items.push(Item::note(
            format!("process {tracer} traces it with ptrace"),
            "a debugger may set breakpoints on the instructions to be probed",
        ));
    }
    if about.is_stopped {
        items.push(Item::note("it is stopped", "its memory can be read; events follow when it continues"));
    }
    items
}

fn of_program(inspected: &Inspected) -> Vec<Item> {
    let program = inspected.program();
    let mut items = vec![
        Item::good(format!("{} for {}", program.version, program.arch.as_str())),
        Item::good(of_names(inspected)),
        of_memory(inspected),
    ];
    items.extend(program.notices.iter().map(|notice| Item::note(notice.to_string(), "no action needed")));
    items.extend(program.facts.refused().map(of_untested));
    items
}

/// What is done without, because it is not known of the program's release.
fn of_untested(untested: Untested) -> Item {
    Item::note(untested.to_string(), "what needs it is left out of reports; use a newer leaktrace for it")
}

/// Where names come from. Go code keeps them in every binary.
fn of_names(inspected: &Inspected) -> String {
    let functions = inspected.program().modules.main().pclntab.functions().count();
    let stripped = match inspected.elf().section(".symtab") {
        Some(_) => "",
        None => "; the binary is stripped, which does not remove them",
    };
    let functions = human::count(functions as u64);
    format!("{functions} functions have names, files and lines{stripped}")
}

/// Whether goroutines can be read, which is all that is needed without probes.
fn of_memory(inspected: &Inspected) -> Item {
    let mut walker = Walker::new(WalkerInput::of(inspected.program()));
    match walker.snapshot(&inspected.memory(), Want::Headers, &clock::now) {
        Ok(snapshot) => Item::good(format!(
            "its memory shows {}, which is all that `leaktrace dump` and `--probes none` need",
            human::some(snapshot.goroutines.len() as u64, "goroutine")
        )),
        Err(error) => Item::missing(
            format!("its goroutines cannot be read: {error}"),
            "try again; if it keeps failing, please report it",
        ),
    }
}

/// Probes are attached to the file.
fn of_moved_code(places: usize) -> Item {
    Item::missing(
        format!(
            "it has moved its code to other pages than its file's: no probe is hit at {places} of the places below"
        ),
        "what `leaktrace dump` and `--probes none` show is right; start it without that for the rest",
    )
}

fn show_plan(plan: &AttachPlan, page: &mut Page<'_>) -> io::Result<()> {
    write!(page.out, "{plan}")
}

#[cfg(test)]
mod tests;
