//! What is left when a program ends, and whether it should be.
//!
//! A goroutine that a test created and that still waits when the test has returned is a likely leak: that is what
//! goleak looks for. What a program leaves behind at its end is worth a look only: a server's goroutines are there
//! by design. Goroutines of the runtime, of package `testing` and of `os/signal` are left out, as goleak does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::base::human;
use crate::base::path::base_name;
use crate::base::time::SECOND_NS;
use crate::judge::detect::rules::elsewhere::LEFT_AT_EXIT;
use crate::judge::detect::{Level, Policy, hidden_by};
use crate::judge::incidents;
use crate::judge::owners::{Owners, UNKNOWN_TEST, test_name};
use crate::schema::{Frame, Group, Incident, Location, Report};
use crate::schema::{Severity, Verdict};

/// States in which a goroutine waits for nothing at all.
const GOING_ON: [&str; 4] = ["runnable", "running", "copystack", "preempted"];
/// What it does not wait for another one in either. They pass by themselves, too.
const SYSCALL: &str = "syscall";
const SLEEP: &str = "sleep";
/// How old one is at most that has only not come to its end yet, in nanoseconds: a program often ends as soon as it was
/// told that its goroutines are done, which they say themselves. goleak gives them about as long.
const ENDING_NS: u64 = SECOND_NS;

/// Adds a verdict on each `go` statement of which goroutines are left, as far as `policy` wants to hear of it. Where
/// there is one that is as sure, that is told how many are left, and by which tests.
pub fn add_verdicts(report: &mut Report, owners: &Owners, policy: &Policy) {
    let tests_run = report.groups.iter().any(is_running_test);
    let is_allowed = policy.levels.of_code(LEFT_AT_EXIT.code) == Level::Allow;
    if !is_allowed {
        report.notices.extend(not_judged(&report.groups, policy));
    }
    let left = report.groups.iter().filter_map(|group| Left::of(group, owners, tests_run));
    let left: Vec<Left> = left.filter(|left| !is_ignored(&left.group, policy)).collect();
    for left in left {
        let mut verdicts = report.incidents.iter_mut().flat_map(|incident| &mut incident.verdicts);
        let known = verdicts.find(|verdict| is_at(verdict, &left.group));
        match known {
            Some(verdict) if verdict.severity <= left.severity() => left.add_to(verdict),
            Some(verdict) => left.replace(verdict),
            None => report.incidents.extend(incidents::of(vec![left.verdict()], BTreeSet::new())),
        }
    }
    let is_left = |verdict: &Verdict| verdict.code == LEFT_AT_EXIT.code;
    let mut take_out = |option, is_hidden: &dyn Fn(&Verdict) -> bool| {
        let is_hidden = |verdict: &mut Verdict| is_left(verdict) && is_hidden(verdict);
        let of_one = |incident: &mut Incident| incident.verdicts.extract_if(.., is_hidden).count();
        let hidden: usize = report.incidents.iter_mut().map(of_one).sum();
        report.notices.extend(hidden_by(option, hidden as u64));
    };
    take_out("--allow", &|_| is_allowed);
    take_out("--baseline", &|verdict| policy.baseline.knows(verdict));
    incidents::settle(&mut report.incidents);
}

/// The goroutines of one `go` statement that are left.
struct Left {
    group: Group,
    tests: BTreeMap<String, u64>,
    /// Those whose test has ended.
    of_ended: u64,
}

impl Left {
    fn of(group: &Group, owners: &Owners, tests_run: bool) -> Option<Self> {
        if group.live == 0 || is_background(group) || is_ending(group) {
            return None;
        }
        let mut left = Self { group: group.clone(), tests: BTreeMap::new(), of_ended: 0 };
        for (test, created) in owners.at(&group.created_by) {
            left.tests.insert(test.to_owned(), created.live);
            let may_run = test == UNKNOWN_TEST && tests_run;
            left.of_ended += if may_run { 0 } else { created.live - created.of_running };
        }
        if left.tests.keys().all(|test| test == UNKNOWN_TEST) {
            left.guess(tests_run);
        }
        Some(left)
    }

    /// Without having seen births, the function with the `go` statement may still be a test.
    fn guess(&mut self, tests_run: bool) {
        let by = self.group.created_by.function.as_deref().map(test_name);
        if let Some(test) = by.filter(|function| is_test(function)) {
            self.tests = BTreeMap::from([(test.to_owned(), self.group.live)]);
            self.of_ended = if tests_run { 0 } else { self.group.live };
        }
    }

    fn severity(&self) -> Severity {
        let passing = count_in(&self.group, GOING_ON.into_iter().chain([SYSCALL, SLEEP]));
        if self.of_ended > passing { Severity::Likely } else { Severity::Watch }
    }

    fn evidence(&self) -> impl Iterator<Item = (String, serde_json::Value)> {
        let tests = (!self.tests.is_empty()).then(|| ("tests".to_owned(), json!(self.tests)));
        std::iter::once(("left_at_exit".to_owned(), json!(self.group.live))).chain(tests)
    }

    /// Takes the place of a verdict that is less sure.
    fn replace(self, verdict: &mut Verdict) {
        let own_line = verdict.own_line.take();
        let also = std::mem::replace(verdict, self.verdict());
        verdict.own_line = own_line.or(verdict.own_line.take());
        verdict.evidence.insert("also".to_owned(), json!([also.code]));
    }

    fn add_to(&self, verdict: &mut Verdict) {
        verdict.evidence.extend(self.evidence());
        if !self.tests.is_empty() {
            verdict.summary = format!("{}; created in {}", verdict.summary, self.test_names());
        }
    }

    /// `TestA and TestB`, at most three.
    fn test_names(&self) -> String {
        let names: Vec<&str> = self.tests.keys().map(|test| short(test)).collect();
        match names.as_slice() {
            [] => String::new(),
            [one] => (*one).to_owned(),
            [one, other] => format!("{one} and {other}"),
            [one, other, rest @ ..] => format!("{one}, {other} and {} more", rest.len()),
        }
    }

    fn summary(&self) -> String {
        let group = &self.group;
        let by = &group.created_by;
        let function = by.function.as_deref().unwrap_or("unknown code");
        let doing = most(group).map_or_else(String::new, |(reason, _)| format!(", {reason}"));
        let tests =
            if self.tests.is_empty() { String::new() } else { format!("; created in {}", self.test_names()) };
        let count = human::some(group.live, "goroutine");
        format!("{count} left at the end, created by {function}{}{doing}{tests}", place(by))
    }

    fn verdict(self) -> Verdict {
        let (summary, severity) = (self.summary(), self.severity());
        let (cause, remedy) = self.words();
        let evidence = self.evidence().collect();
        let is_busy = |state: &str| GOING_ON.contains(&state) || state == SYSCALL;
        let waits = most(&self.group).filter(|(reason, _)| !is_busy(reason));
        Verdict {
            code: LEFT_AT_EXIT.code.to_owned(),
            name: LEFT_AT_EXIT.name.to_owned(),
            severity,
            wait_reason: waits.map_or_else(String::new, |(reason, _)| reason.clone()),
            start_function: self.group.start_function,
            live: self.group.live,
            net_per_minute: self.group.net_per_minute,
            oldest_age_ns: self.group.oldest_age_ns,
            age_is_lower_bound: self.group.age_is_lower_bound,
            blocked_at: self.group.blocked_at,
            creation_stack: self.group.creation_stack,
            stack_bytes: self.group.stack_bytes,
            created_by: self.group.created_by,
            own_line: self.group.own_line,
            evidence,
            summary,
            cause,
            remedy,
        }
    }

    fn words(&self) -> (String, String) {
        let [it, it_waits, it_is, is_it] = match self.group.live {
            1 => ["it", "it waits", "it is", "it"],
            _ => ["them", "they wait", "they are", "they"],
        };
        if self.of_ended > 0 {
            return (
                "The test has returned, but what it started has not ended: nobody told it to end, or nobody waited for it."
                    .to_owned(),
                format!(
                    "End {it} before the test returns, in t.Cleanup or with defer: cancel the context, close the channel \
                     or the server that {it_waits} for, and wait until {it_is} done."
                ),
            );
        }
        (
            format!("The program ended without waiting for {it}. This alone is not a leak."),
            format!(
                "If {is_it} should have ended earlier, find out what {it_waits} for; otherwise leave {it}."
            ),
        )
    }
}

/// A test without its package.
fn short(test: &str) -> &str {
    if test == UNKNOWN_TEST { "a test" } else { test.rsplit('.').next().unwrap_or(test) }
}

/// How many of them are in these states.
fn count_in(group: &Group, states: impl IntoIterator<Item = &'static str>) -> u64 {
    states.into_iter().filter_map(|state| group.wait_reasons.get(state)).sum()
}

/// What most of them do.
fn most(group: &Group) -> Option<(&String, u64)> {
    let reasons = group.wait_reasons.iter().map(|(reason, count)| (reason, *count));
    reasons.max_by_key(|(reason, count)| (*count, std::cmp::Reverse(*reason)))
}

/// ` (worker.go:88)`
fn place(location: &Location) -> String {
    match (&location.file, location.line) {
        (Some(file), Some(line)) => format!(" ({}:{line})", base_name(file)),
        (Some(_) | None, _) => String::new(),
    }
}

fn is_at(verdict: &Verdict, group: &Group) -> bool {
    let (one, other) = (&verdict.created_by, &group.created_by);
    (&one.function, &one.file, one.line) == (&other.function, &other.file, other.line)
}

/// The main goroutine, and those that packages `testing` and `os/signal` and the tracer keep for themselves.
///
/// Source: goleak, `options.go` (`isTestStack`, `isStdLibStack`, `isTraceStack`).
fn is_background(group: &Group) -> bool {
    let started = group.start_function.as_deref().unwrap_or_default();
    let by = group.created_by.function.as_deref().unwrap_or_default();
    let traces = |function: &str| function == "runtime.ReadTrace" || function == "os/signal.signal_recv";
    let stack = group.blocked_at.iter().flat_map(|blocked| &blocked.stack);
    started == "runtime.main"
        || started == "os/signal.loop"
        || by.starts_with("testing.")
        || by.starts_with("os/signal.Notify.")
        || stack.filter_map(|frame| frame.function.as_deref()).any(traces)
}

/// Whether its goroutines are to be left alone wherever they are seen to stand.
fn is_ignored(group: &Group, policy: &Policy) -> bool {
    let creator = group.created_by.function.as_ref();
    let ignored = |stack: &[Frame]| policy.ignore.matches_stack(creator, stack);
    let mut stands = group.blocked_at.iter().map(|blocked| blocked.stack.as_slice());
    ignored(&[]) || stands.any(ignored)
}

/// What is not known of goroutines that were about to do something when the program ended.
fn not_judged(groups: &[Group], policy: &Policy) -> Option<String> {
    let heard = groups.iter().filter(|group| !is_background(group) && !is_ignored(group, policy));
    let ending = heard.filter(|group| is_ending(group));
    let count = ending.map(|group| group.live).sum();
    let (they_were, they) = if count == 1 { ("it was", "it") } else { ("they were", "they") };
    (count > 0).then(|| {
        format!(
            "{} younger than a second did not wait for anything when the program ended, so it is not known whether {they_were} \
             left behind: let the program or the test end some milliseconds later to see what {they} would do",
            human::some(count, "goroutine")
        )
    })
}

/// Whether all of them may have been about to end.
fn is_ending(group: &Group) -> bool {
    group.live > 0
        && count_in(group, GOING_ON) == group.live
        && group.oldest_age_ns.is_some_and(|age| age < ENDING_NS)
}

/// Whether these are the goroutines on which tests run.
fn is_running_test(group: &Group) -> bool {
    let by = group.created_by.function.as_deref().unwrap_or_default();
    group.live > 0 && by.starts_with("testing.(*T).")
}

/// `pkg.TestOrder`, `pkg.FuzzOrder`, and not `pkg.Testify`.
fn is_test(function: &str) -> bool {
    let name = function.rsplit('.').next().unwrap_or_default();
    let rest = ["Test", "Fuzz", "Benchmark", "Example"].iter().find_map(|kind| name.strip_prefix(kind));
    rest.is_some_and(|rest| !rest.starts_with(|first: char| first.is_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::is_test;

    #[test]
    fn tests_are_known_by_their_names() {
        assert!(
            ["order.TestOrder", "order.Test_x", "order.Test", "order.FuzzX"]
                .map(is_test)
                .iter()
                .all(|&is| is)
        );
        assert!(!["order.Testify", "order.start", "main.main"].map(is_test).iter().any(|&is| is));
    }
}
