//! A plan as text, for `leaktrace doctor`.

use std::fmt;

use crate::base::escape::line;
use crate::trace::plan::site::{AttachPlan, Missed, MissedReason, Site};

/// How many function names are listed before the rest is counted.
const LISTED: usize = 4;

impl fmt::Display for AttachPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for site in &self.sites {
            writeln!(f, "{site}")?;
        }
        for missed in &self.missed {
            writeln!(f, "{missed}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<6} {}+{:#x}  {}  ({}; file offset {}, bytes {})\n       {}",
            self.kind.as_str(),
            line(&self.function),
            self.offset_in_function,
            self.instruction,
            self.cost.as_str(),
            self.file_offset,
            Bytes(&self.expected),
            self.reason,
        )
    }
}

/// An instruction's bytes as a disassembly shows them.
struct Bytes<'b>(&'b [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, byte)| {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{byte:02x}")
        })
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What only a debugger does is nothing that is missed.
        let what = if matches!(self.reason, MissedReason::DebuggerOnly(_)) { "note" } else { "missed" };
        write!(f, "{:<6} {what}: {}", self.kind.as_str(), line(&self.function))?;
        match &self.reason {
            MissedReason::InlinedInto(functions) => {
                f.write_str(" is also inlined into ")?;
                list(f, functions)
            }
            MissedReason::UnknownCallers(functions) => {
                f.write_str(" is also called by ")?;
                list(f, functions)
            }
            MissedReason::DebuggerOnly(functions) => {
                f.write_str(" is not probed where a debugger injects a call, in ")?;
                list(f, functions)?;
                f.write_str(": no action needed")
            }
            MissedReason::NoFunction => f.write_str(" is not in this binary"),
            MissedReason::NoPlace(why) => write!(f, ": {why}"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, functions: &[String]) -> fmt::Result {
    let shown = functions.len().min(LISTED);
    let names: Vec<_> = functions[..shown].iter().map(|name| line(name)).collect();
    f.write_str(&names.join(", "))?;
    match functions.len() - shown {
        0 => Ok(()),
        rest => write!(f, " and {rest} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_common::event::Kind;

    #[test]
    fn what_is_missed_is_said_with_a_few_names_and_a_count() {
        let missed = |reason| {
            let missed = Missed { kind: Kind::Ready, function: "runtime.ready".to_owned(), reason };
            missed.to_string()
        };
        let into = ["a", "b", "c", "d", "e", "f"].map(|name| format!("runtime.{name}"));
        assert_eq!(
            missed(MissedReason::InlinedInto(into.to_vec())),
            "ready  missed: runtime.ready is also inlined into runtime.a, runtime.b, runtime.c, runtime.d and 2 more"
        );
        assert_eq!(
            missed(MissedReason::DebuggerOnly(vec!["runtime.debugCallWrap".to_owned()])),
            "ready  note: runtime.ready is not probed where a debugger injects a call, in runtime.debugCallWrap: no \
             action needed"
        );
        assert_eq!(missed(MissedReason::NoFunction), "ready  missed: runtime.ready is not in this binary");
        assert_eq!(
            missed(MissedReason::UnknownCallers(vec!["main.f\nend    \x1b[2J".to_owned()])),
            r"ready  missed: runtime.ready is also called by main.f\nend    \x1b[2J"
        );
    }
}
