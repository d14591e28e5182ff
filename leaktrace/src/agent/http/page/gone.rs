//! What the black box has, on the page of all processes.

use leaktrace_core::base::{escape, human};
use leaktrace_core::schema::{BlackBoxEntry, BlackBoxReason, Node, PodPlace, Sureness};

use super::{ago, place, push, short};

/// How many entries the page shows; all are in the data.
const ENTRIES: usize = 100;

/// The entries of processes that are gone, the newest first.
pub(super) fn table(node: &Node, out: &mut String) {
    let gone: Vec<&BlackBoxEntry> = node.black_box.iter().filter(|entry| is_gone(node, entry)).collect();
    if gone.is_empty() {
        return;
    }
    let count = human::count(gone.len() as u64);
    push(
        out,
        format_args!(
            "<h2>Black box</h2>\n<p>{count} processes that have ended. <a href=\"blackbox\">All as data</a>; \
             <code>leaktrace report</code> opens the folders on this machine.</p>\n\
             <table><thead><tr><th>Process<th>How it ended<th>What was suspected or found<th>Files<th class=n>Written</thead><tbody>\n"
        ),
    );
    gone.into_iter().take(ENTRIES).for_each(|entry| row(node, entry, out));
    out.push_str("</tbody></table>\n");
}

/// One whose end nobody saw, because the agent had ended, is gone all the same.
fn is_gone(node: &Node, entry: &BlackBoxEntry) -> bool {
    entry.reason.is_end() || !node.processes.iter().any(|process| process.id == entry.name.id)
}

fn row(node: &Node, entry: &BlackBoxEntry, out: &mut String) {
    let pod = entry.kubernetes.as_ref().map(PodPlace::to_string);
    let belongs = pod.as_deref().or(entry.unit.as_deref());
    let belongs = belongs.or_else(|| entry.container_id.as_deref().map(short));
    let name = entry.name;
    push(
        out,
        format_args!(
            "<tr><td>{} <span class=dim>{} {}</span><td class=bad>{}<td>{}<td><a href=\"blackbox/{name}\">event</a>",
            escape::html(&entry.exe),
            name.id.pid,
            escape::html(belongs.unwrap_or_default()),
            how(entry),
            escape::html(&entry.at.as_ref().map(place).unwrap_or_default()),
        ),
    );
    if entry.has_snapshot {
        push(out, format_args!(", <a href=\"blackbox/{name}.ltr\">snapshot</a>"));
    }
    push(out, format_args!("<td class=n>{}</tr>\n", ago(node.unix_ns.saturating_sub(entry.unix_ns))));
}

const fn how(entry: &BlackBoxEntry) -> &'static str {
    match entry.reason {
        BlackBoxReason::OomKilled if matches!(entry.sureness, Some(Sureness::Likely)) => {
            "likely killed by the OOM killer"
        }
        BlackBoxReason::OomKilled => "killed by the OOM killer",
        BlackBoxReason::Exited => "exited",
        BlackBoxReason::Signal => "ended by a signal",
        BlackBoxReason::Unknown | BlackBoxReason::Suspicion | BlackBoxReason::Memory => "not known",
    }
}

#[cfg(test)]
mod tests {
    use leaktrace_core::schema::{BlackBoxName, Location, ProcessId};

    use super::*;
    use crate::agent::http::tests::made_up;

    fn entry(pid: u32, reason: BlackBoxReason) -> BlackBoxEntry {
        let at = Location {
            function: Some("main.<i>leak</i>".to_owned()),
            file: None,
            line: Some(67),
            pc: "0x1".to_owned(),
        };
        BlackBoxEntry {
            name: BlackBoxName { unix_s: 5, id: ProcessId { pid, start_ticks: 88_123 } },
            unix_ns: 1,
            reason,
            sureness: (pid == 3).then_some(Sureness::Likely),
            exe: "<b>order".to_owned(),
            container_id: None,
            unit: None,
            kubernetes: None,
            at: Some(at),
            has_snapshot: pid == 1,
        }
    }

    fn shown(black_box: Vec<BlackBoxEntry>) -> String {
        let mut out = String::new();
        table(&Node { black_box, ..made_up::node(vec![made_up::process(4711)]) }, &mut out);
        out
    }

    #[test]
    fn only_processes_that_are_gone_are_listed() {
        let page = shown(vec![
            entry(1, BlackBoxReason::OomKilled),
            entry(2, BlackBoxReason::Memory),
            entry(3, BlackBoxReason::OomKilled),
            entry(4711, BlackBoxReason::Memory),
        ]);
        assert!(page.contains("<p>3 processes that have ended."), "{page}");
        assert!(page.contains("killed by the OOM killer<td>main.&lt;i&gt;leak&lt;/i&gt;:67"), "{page}");
        assert!(page.contains("likely killed by the OOM killer"), "{page}");
        assert!(page.contains("<a href=\"blackbox/1-88123-5.ltr\">snapshot</a>"), "{page}");
        assert!(!page.contains("2-88123-5.ltr") && !page.contains("4711-88123-5"), "{page}");
        assert!(!page.contains("<b>"), "{page}");
        assert_eq!(shown(vec![entry(4711, BlackBoxReason::Suspicion)]), "");
    }

    #[test]
    fn many_entries_are_a_page_and_no_more() {
        let page = shown((1..=500).map(|pid| entry(pid, BlackBoxReason::Exited)).collect());
        assert_eq!(page.matches("<tr><td>").count(), ENTRIES);
    }
}
