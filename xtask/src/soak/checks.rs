//! What has to be so after every round, whatever happened in it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::{Target, text};
use serde_json::Value;

use super::ground::{Ground, Process};

/// How long after the end of all leaktraces a probe may be there.
const PROBES_GO: Duration = Duration::from_secs(2);

/// How long whoever is left may take for the end: the keeper waits for the kernel that long.
pub(super) const ALL_GO: Duration = Duration::from_secs(15);

/// Which processes may be there: these, and the keepers of these.
pub(super) fn nobody_left(ground: &Ground, expected: &[u32]) -> Result<()> {
    let is_known = |process: &Process| expected.contains(&process.pid) || expected.contains(&process.parent);
    let deadline = Instant::now() + ALL_GO;
    loop {
        let left: Vec<Process> =
            ground.processes().into_iter().filter(|process| !is_known(process)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let states: Vec<String> = left.iter().map(|process| state(process.pid)).collect();
            bail!("processes are left: {left:?}\n{}", states.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a process and its threads wait for, as far as the kernel tells.
pub(super) fn state(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let wanted = ["Name:", "State:", "PPid:", "Threads:", "SigPnd:", "ShdPnd:"];
    let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    let mut text = format!("{pid}: {}", lines.collect::<Vec<_>>().join(" "));
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let _: std::fmt::Result = write!(text, "\n{} {}", read("comm").trim(), read("stack"));
    }
    text
}

/// A program's code is what its files say, soon.
pub(super) fn code(pid: u32) -> Result<()> {
    let deadline = Instant::now() + PROBES_GO;
    loop {
        let altered = text::altered_code(pid).with_context(|| format!("the code of {pid} cannot be read"))?;
        if altered.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("the code of {pid} is not that of its files: {altered:x?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program works, and has not found anything wrong.
///
/// # Panics
/// When it has.
pub(super) fn works(target: &mut Target) {
    let before = target.state().site("verified").finished;
    poll_until(PATIENCE, "the program goes on", || {
        (target.state().site("verified").finished > before).then_some(())
    });
}

/// A folder has nothing in it but these files.
pub(super) fn files(folder: &Path, expected: &[String]) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !expected.contains(&name) {
            bail!("{} is left", entry.path().display());
        }
    }
    Ok(())
}

/// How many reports there are, and how many events the last ones are about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) reports: u64,
    pub(super) events: u64,
}

/// Both equations hold in every report of these. If it `drained` all before its end, nothing is on its way in the last ones.
pub(super) fn equations(documents: &[u8], drained: bool) -> Result<Sums> {
    let documents = serde_json::Deserializer::from_slice(documents).into_iter::<Value>();
    let documents = documents.collect::<Result<Vec<_>, _>>().context("it is not whole")?;
    let mut sums = Sums::default();
    for (index, document) in documents.iter().enumerate() {
        let is_drained = drained && index + 1 == documents.len();
        sums.events = 0;
        for report in reports(document) {
            sums.reports += 1;
            sums.events +=
                equation(report, is_drained).with_context(|| format!("{}", report["completeness"]))?;
        }
    }
    Ok(sums)
}

/// The report that a document is, or the reports in it.
fn reports(document: &Value) -> Vec<&Value> {
    match document["processes"].as_array() {
        Some(processes) => {
            processes.iter().map(|process| &process["report"]).filter(|report| report.is_object()).collect()
        }
        None => vec![document],
    }
}

/// The events that a report is about.
fn equation(report: &Value, is_drained: bool) -> Result<u64> {
    let number = |of: &Value, name: &str| of[name].as_u64().with_context(|| format!("no {name}"));
    let seen = &report["completeness"];
    let dropped: u64 =
        seen["dropped"].as_object().context("no drops")?.values().filter_map(Value::as_u64).sum();
    let on_its_way = number(seen, "in_flight")?;
    let accounted = number(seen, "decoded")? + dropped + number(seen, "undecodable")? + on_its_way;
    let produced = number(seen, "produced")?;
    if produced != accounted || number(seen, "undecodable")? > 0 {
        bail!("{produced} events, of which {accounted} are accounted for");
    }
    if is_drained && on_its_way > 0 {
        bail!("{on_its_way} events are on their way in the last report");
    }
    for of in report["groups"].as_array().into_iter().flatten().chain([&report["totals"]]) {
        let came = number(of, "before_attach")? + number(of, "born")?;
        if number(of, "live")? + number(of, "ended")? != came {
            bail!("goroutines do not add up: {of}");
        }
    }
    Ok(produced)
}

#[cfg(test)]
mod tests {
    use super::{Sums, equations};

    fn report(produced: u64, in_flight: u64, live: u64) -> String {
        format!(
            r#"{{"completeness": {{"produced": {produced}, "decoded": 5, "dropped": {{"ring_full": 2}},
                "undecodable": 0, "in_flight": {in_flight}}}, "groups": [],
                "totals": {{"live": {live}, "before_attach": 4, "born": 3, "ended": 1}}}}"#
        )
    }

    #[test]
    fn what_does_not_add_up_is_found() {
        let right = report(7, 0, 6);
        assert_eq!(equations(right.as_bytes(), true).unwrap(), Sums { reports: 1, events: 7 });
        let two = format!("{}{right}", report(8, 1, 6));
        assert_eq!(equations(two.as_bytes(), true).unwrap(), Sums { reports: 2, events: 7 });
        let several = format!(r#"{{"processes": [{{"report": {right}}}, {{"report": null}}]}}"#);
        assert_eq!(equations(several.as_bytes(), true).unwrap(), Sums { reports: 1, events: 7 });
        for wrong in [report(8, 0, 6), report(8, 1, 6), report(7, 0, 5), right[1..].to_owned()] {
            assert!(equations(wrong.as_bytes(), true).is_err(), "{wrong}");
        }
    }
}
