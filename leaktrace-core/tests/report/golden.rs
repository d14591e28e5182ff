//! What reports look like. After a wanted change: `INSTA_UPDATE=always cargo test -p leaktrace-core`, and read the diff.

use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::names::Status::{Running, Waiting};
use leaktrace_core::judge::detect::Gate;
use leaktrace_core::report::View;
use leaktrace_core::report::render::{FORMATS, Options, Style};
use leaktrace_core::schema::{Report, Shed};
use leaktrace_core::trace::budget::Load;

use crate::service::{Go, HOUR, SECOND, SELECT, SEND, Service};

fn rendered(format: &str, report: &Report, style: Style, width: Option<usize>) -> String {
    let (mut out, gate) = (Vec::new(), Gate::default());
    let options = Options { style, width, gate: &gate };
    (FORMATS.named(format).unwrap().writer.report)(report, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub(crate) fn as_text(report: &Report) -> String {
    rendered("text", report, Style::Plain, None)
}

fn as_json(report: &Report) -> serde_json::Value {
    let line = rendered("json", report, Style::Plain, None);
    assert_eq!(line.lines().count(), 1, "one line for each report");
    serde_json::from_str(&line).unwrap()
}

/// A service with a leak that is two weeks old, a new one, and some that are well.
fn orders() -> Service {
    let mut service = Service::new();
    let order = Go::simple(&mut service.code, "order");
    for goid in 100..3_200 {
        let blocked = service.in_memory(goid, &order, Waiting, SEND);
        blocked.wait_since = Some(Ktime(if goid < 1_600 { HOUR / 4 } else { HOUR / 2 }));
    }
    service.look(HOUR);
    for goid in 5_000..5_205 {
        service.birth(HOUR + (goid - 4_999) * SECOND, goid, &order);
        service.park(HOUR + (goid - 4_999) * SECOND + 1_000, goid, SELECT);
        service.in_memory(goid, &order, Waiting, SELECT);
    }
    let mut cache = Go::simple(&mut service.code, "cache");
    let file = "/go/src/sync/mutex.go";
    cache.stands.splice(0..2, [service.code.at("sync.(*Mutex).Lock", file, 81)]);
    for goid in 6_000..6_012 {
        service.birth(HOUR + 200 * SECOND, goid, &cache);
        service.park(HOUR + 200 * SECOND + 1_000, goid, 77);
        service.in_memory(goid, &cache, Waiting, 77);
    }
    let hot = Go::simple(&mut service.code, "hot");
    for goid in 7_000..17_000 {
        service.birth(HOUR + 250 * SECOND, goid, &hot);
        service.end(HOUR + 250 * SECOND + 5_000_000, goid);
    }
    service.birth(HOUR + 299 * SECOND, 17_001, &hot);
    service.in_memory(17_001, &hot, Running, 0).stack_id = None;
    service.overhead.events_per_second = 1_234.5;
    service.overhead.target_cpu_percent_estimate = Some(1.23);
    service.overhead.own_cpu_percent = Some(0.04);
    service
}

#[test]
fn one_look_at_a_service_with_a_leak() {
    let report = orders().report(HOUR + 300 * SECOND, &View::default());
    insta::assert_snapshot!(as_text(&report));
}

#[test]
fn losses_repairs_and_what_was_shed_are_said() {
    let mut service = orders();
    service.traced.produced += 234;
    service.traced.dropped = [200, 34, 0];
    let shed = |what: &str, now| Shed { what: what.to_owned(), duration_ns: 12 * SECOND, now };
    service.overhead.shed =
        vec![shed("park and ready", true), shed("creator stacks", false), shed("everything", false)];
    service.notices.push("go1.28 is newer than what this version was tested with".to_owned());
    let _ = service.report(HOUR + 300 * SECOND, &View::default());
    service.end(HOUR + 301 * SECOND, 98_000);
    let order = Go::simple(&mut service.code, "order");
    service.in_memory(99_000, &order, Waiting, SELECT);
    let report = service.report(HOUR + 305 * SECOND, &View { top: Some(1), ..View::default() });
    insta::assert_snapshot!(as_text(&report));
}

#[test]
fn a_narrow_and_coloured_terminal() {
    let report = orders().report(HOUR + 300 * SECOND, &View { top: Some(1), ..View::default() });
    let out = rendered("text", &report, Style::Ansi, Some(60));
    insta::assert_snapshot!(out.replace('\x1b', "␛"));
}

#[test]
fn nothing_to_see_is_said_as_well() {
    let mut service = Service::new();
    service.registry = leaktrace_core::trace::registry::Registry::new(Ktime(HOUR));
    insta::assert_snapshot!(as_text(&service.report(HOUR + SECOND, &View::default())));
}

#[test]
fn probes_that_were_never_hit_are_a_loss() {
    let mut service = Service::new();
    let mut report = service.report(HOUR + SECOND, &View::default());
    report.completeness.unreached = true;
    report.completeness.births_recovered = 37;
    let text = as_text(&report);
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with(
            "with losses: no probe was ever hit · 1 snapshot found 37 unseen births and 0 unseen ends"
        ),
        "{last}"
    );
}

#[test]
fn where_one_go_statement_is_probed_all_else_is_no_loss() {
    let mut report = orders().report(HOUR + 300 * SECOND, &View::default());
    report.completeness.births_recovered = 37;
    report.completeness.ghosts_removed = 5;
    report.completeness.sites = vec![report.groups[0].created_by.clone()];
    let text = as_text(&report);
    assert_eq!(
        text.matches("\n    probed      each birth was seen at this go statement").count(),
        1,
        "{text}"
    );
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("complete: ")
            && last.contains(" events of 1 probed go statement · all else from 2 snapshots · costs"),
        "{last}"
    );
    let json = as_json(&report);
    assert_eq!(json["completeness"]["sites"][0]["function"], json["groups"][0]["created_by"]["function"]);
}

#[test]
fn where_one_go_statement_is_probed_with_gaps_nobody_says_that_each_birth_was_seen() {
    let shed = |what: Load| Shed { what: what.as_str().to_owned(), duration_ns: SECOND, now: false };
    let told = |change: &dyn Fn(&mut Report)| {
        let mut report = orders().report(HOUR + 300 * SECOND, &View::default());
        report.completeness.sites = vec![report.groups[0].created_by.clone()];
        change(&mut report);
        let text = as_text(&report);
        let is_each = text.contains("each birth was seen");
        assert_ne!(is_each, text.contains("births at this go statement may have been missed"), "{text}");
        let last = text.lines().last().unwrap();
        assert_eq!(last.starts_with("complete: "), is_each, "{last}");
        assert_ne!(last.starts_with("with losses: "), is_each, "{last}");
        (is_each, last.to_owned())
    };
    assert!(told(&|report| report.overhead.shed = vec![shed(Load::Waits), shed(Load::Stacks)]).0);
    assert!(!told(&|report| report.overhead.shed = vec![shed(Load::Births)]).0);
    assert!(!told(&|report| report.overhead.shed = vec![shed(Load::Unattended)]).0);
    assert!(!told(&|report| report.completeness.undecodable = 1).0);
    assert!(!told(&|report| report.completeness.dropped = [("ring_full".to_owned(), 3)].into()).0);
    assert!(!told(&|report| report.completeness.unreached = true).0);
    let (is_each, last) = told(&|report| report.completeness.site_births_recovered = 2);
    assert!(!is_each && last.contains(" · 2 births there unseen · all else from 2 snapshots"), "{last}");
}

#[test]
fn two_hundred_groups_line_up() {
    let mut service = Service::new();
    for number in 0..200_u64 {
        let go = Go::simple(&mut service.code, &format!("pkg{number}"));
        for goid in 0..=number * number / 8 {
            service.in_memory(number * 10_000 + goid + 1, &go, Waiting, SELECT);
        }
    }
    let report = service.report(HOUR + 30 * SECOND, &View { top: None, ..View::default() });
    let text = as_text(&report);
    let titles: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(titles.len(), 200);
    insta::assert_snapshot!([&titles[..3], &titles[98..102], &titles[197..]].concat().join("\n"));
}

#[test]
fn the_json_is_what_its_documentation_shows() {
    let report = orders().report(HOUR + 300 * SECOND, &View { top: Some(2), ..View::default() });
    let json = as_json(&report);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

#[test]
fn the_same_report_is_the_same_bytes() {
    let bytes = || {
        let report = orders().report(HOUR + 300 * SECOND, &View::default());
        rendered("json", &report, Style::Plain, None)
    };
    assert_eq!(bytes(), bytes());
}
