//! What Go's own tests expect of the leaks that they ship: read from the toolchain's `runtime/goroutineleakprofile_test.go`.
//!
//! That file lists the programs as `makeTest("Name", regexes…)` and `makeFlakyTest(…)`; each regular expression stands
//! for goroutines that leak, and is matched against `function(arguments) [wait reason]` of the function that the `go`
//! statement started.

use anyhow::{Context as _, Result, ensure};
use leaktrace_tests::traceback::GoroutineText;
use regex::Regex;

/// One of the programs.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The argument that asks for it.
    pub(super) name: String,
    /// Whether it is one of the GoKer programs, which are a binary of their own.
    pub(super) goker: bool,
    /// Whether it leaks the same way each time, with one processor.
    pub(super) steady: bool,
    leaks: Vec<Regex>,
}

impl Expected {
    /// The programs in the text of the test file.
    pub(super) fn parse_all(source: &str) -> Result<Vec<Self>> {
        let code: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let (first, goker) = code.split_once("gokerTestCases :=").context("it lists no GoKer programs")?;
        let mut all = parse_calls(first, false)?;
        all.extend(parse_calls(goker, true)?);
        ensure!(!all.is_empty(), "it lists no programs");
        Ok(all)
    }

    /// Whether Go's tests say that this goroutine leaks.
    pub(super) fn is_leak(&self, goroutine: &GoroutineText) -> bool {
        let Some(started) = goroutine.frames.last() else { return false };
        let function = started.function.trim_start_matches("main.");
        let words = format!("{function}() [{}]", state(goroutine));
        self.leaks.iter().any(|leak| leak.is_match(&words))
    }
}

/// The state without the word of the runtime's own leak profile.
fn state(goroutine: &GoroutineText) -> &str {
    goroutine.state.trim_end_matches(" (leaked)")
}

/// Every `makeTest("Name", `regex`, …)`: up to the next call there is nothing but regular expressions in backquotes.
fn parse_calls(code: &str, goker: bool) -> Result<Vec<Expected>> {
    let calls = code.split("make").skip(1).filter_map(|call| {
        let (kind, rest) = call.split_once("Test(\"")?;
        matches!(kind, "" | "Flaky").then_some((kind.is_empty(), rest))
    });
    calls.map(|(steady, rest)| parse_call(rest, goker, steady)).collect()
}

fn parse_call(rest: &str, goker: bool, steady: bool) -> Result<Expected> {
    let (name, arguments) = rest.split_once('"').context("a name without an end")?;
    let leaks = arguments.split('`').skip(1).step_by(2).map(Regex::new).collect::<Result<_, _>>();
    let leaks = leaks.with_context(|| format!("the expectations of {name}"))?;
    Ok(Expected { name: name.to_owned(), goker, steady, leaks })
}

#[cfg(test)]
mod tests {
    use leaktrace_tests::traceback;

    use super::*;

    const SOURCE: &str = "
\tmakeTest := func(name string, leaks ...string) testCase {
\t\ttcase := makeAnyTest(name, false, 2, leaks...)
\t}
\tmicroTests := []testCase{
\t\tmakeTest(\"ChanRecv\",
\t\t\t`ChanRecv\\.func1\\(.* \\[chan receive\\]`,
\t\t),
\t\tmakeTest(\"NoLeakGlobal\"),
\t}
\tgokerTestCases := []testCase{
\t\t// makeTest(testCase{name: \"Kubernetes1321\"},
\t\t// \t`excluded`),
\t\tmakeFlakyTest(\"Cockroach1462\",
\t\t\t`\\(\\*Stopper\\)\\.Run\\.func1\\(.* \\[chan send\\]`,
\t\t\t`Cockroach1462\\.func2\\(.* \\[sync\\.WaitGroup\\.Wait\\]`,
\t\t),
\t}
\ttestCases := append(microTests, stressTestCases...)
\trunTests := make([]string, 0)
";

    fn goroutine(state: &str, function: &str) -> GoroutineText {
        let text = format!(
            "goroutine 7 [{state}, 2 minutes]:\nmain.wait(...)\n\ta.go:1\n{function}(0x1)\n\ta.go:2 +0x1\n"
        );
        traceback::parse(&text).remove(0)
    }

    #[test]
    fn programs_and_their_leaks_are_listed() {
        let all = Expected::parse_all(SOURCE).unwrap();
        let shape = |one: &Expected| (one.name.clone(), one.goker, one.steady, one.leaks.len());
        let expected = [
            ("ChanRecv".to_owned(), false, true, 1),
            ("NoLeakGlobal".to_owned(), false, true, 0),
            ("Cockroach1462".to_owned(), true, false, 2),
        ];
        assert_eq!(all.iter().map(shape).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_goroutine_is_known_by_what_was_started_and_why_it_waits() {
        let all = Expected::parse_all(SOURCE).unwrap();
        assert!(all[0].is_leak(&goroutine("chan receive (leaked)", "main.ChanRecv.func1")));
        assert!(!all[0].is_leak(&goroutine("chan send", "main.ChanRecv.func1")));
        assert!(all[2].is_leak(&goroutine("chan send", "main.(*Stopper).Run.func1")));
    }
}
