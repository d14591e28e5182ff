//! The user's own line that goroutines come from.

use leaktrace_core::base::num::{Goid, Ktime, Pc, ReturnPc};
use leaktrace_core::go::names::Status::Waiting;
use leaktrace_core::go::own::Own;
use leaktrace_core::go::reach::Streaks;
use leaktrace_core::judge::detect::{
    History, Observation, Policy, Sighting, Standing, Wait, Weight, facts, findings,
};
use leaktrace_core::report::View;
use leaktrace_core::schema::{Frame, Location, OwnLine, Report, Route};

use crate::golden::as_text;
use crate::service::{Code, Go, HOUR, SECOND, SELECT, Service};

const MAIN: &str = "/src/main.go";
const HTTP: &str = "/go/src/net/http/transport.go";

/// A `go` statement in `function` that is reached through `callers`, whose goroutines stand at `stands`.
fn go(code: &mut Code, function: (&str, u64), callers: &[(&str, u64)], stands: &[(&str, u64)]) -> Go {
    let mut at = |(function, line): (&str, u64)| {
        let file = if function.starts_with("main.") { MAIN } else { HTTP };
        code.at(function, file, line)
    };
    let site = at(function);
    let creators = [site].into_iter().chain(callers.iter().map(|caller| at(*caller))).collect();
    Go { site, start: Pc(site.0 + 7), creators, stands: stands.iter().map(|place| at(*place)).collect() }
}

/// A client whose call from `main.fetch` hangs, with the connection's goroutine that was started by one which has ended.
struct Client {
    service: Service,
    hung: Go,
    dial: Go,
    reads: Go,
}

impl Client {
    fn new() -> Self {
        let mut service = Service::new();
        let code = &mut service.code;
        let waits = [("net/http.(*Transport).roundTrip", 5), ("net/http.Get", 6), ("main.fetch.func1", 21)];
        let hung = go(code, ("main.fetch", 20), &[("main.main", 9)], &waits);
        let dial = go(code, ("net/http.(*Transport).queueForDial", 7), &waits[1..], &[]);
        let reads = go(
            code,
            ("net/http.(*Transport).dialConn", 44),
            &[("net/http.(*Transport).dialConnFor", 45)],
            &[("net/http.(*persistConn).readLoop", 99)],
        );
        Self { service, hung, dial, reads }
    }

    /// So many calls; each goroutine's birth is seen.
    fn calls(&mut self, count: u64) -> Vec<u64> {
        for call in 0..count {
            let at = HOUR + (call + 1) * SECOND;
            let [caller, dials, reads] = [100, 1_000, 2_000].map(|goid| goid + call);
            self.service.birth(at, caller, &self.hung);
            self.service.birth_by(at + 1, dials, caller, &self.dial);
            self.service.birth_by(at + 2, reads, dials, &self.reads);
            self.service.end(at + 3, dials);
            self.service.in_memory(caller, &self.hung, Waiting, SELECT);
            self.service.in_memory(reads, &self.reads, Waiting, SELECT).parent_goid = Some(Goid(dials));
        }
        (2_000..2_000 + count).collect()
    }

    /// The report with a verdict on these goroutines, whose `go` statement is in `function`.
    fn report(&mut self, statements: &[(&str, u32, Vec<u64>)]) -> Report {
        let mut history = History::default();
        let now = HOUR + 300 * SECOND;
        history.observe(&seen(now - 30 * SECOND, statements), &Streaks::default());
        history.observe(&seen(now - 15 * SECOND, statements), &Streaks::default());
        let watched = history.observe(&seen(now, statements), &Streaks::default());
        let registry = &self.service.registry;
        let facts = |goids: &[Goid]| facts(registry, Ktime(now), goids);
        self.service.findings = findings(&watched, &Policy::default(), &facts);
        self.service.report(now, &View::default())
    }
}

fn seen(at: u64, statements: &[(&str, u32, Vec<u64>)]) -> Observation {
    let mut seen = Observation { at: Ktime(at), complete: true, ..Observation::default() };
    for (index, (function, line, goids)) in statements.iter().enumerate() {
        seen.standings.push(stuck(function, *line).into());
        seen.sightings.extend(goids.iter().map(|goid| Sighting {
            goid: Goid(*goid),
            parent: None,
            standing: u32::try_from(index).unwrap_or_default(),
            object: 0,
            moves: Some(1),
            waiting_ns: None,
            stack_bytes: 2048,
            leaked: false,
            locked: false,
            weight: Weight::ONE,
        }));
    }
    seen
}

/// Goroutines of this `go` statement that wait for a nil channel, as nothing is as easy to judge.
fn stuck(function: &str, line: u32) -> Standing {
    let file = if function.starts_with("main.") { MAIN } else { HTTP };
    let (function, file) = (Some(function.to_owned()), Some(file.to_owned()));
    let frame = Frame { function: Some("net/http.wait".to_owned()), file: None, line: Some(1), pc: None };
    Standing {
        created_by: Location { function, file, line: Some(line), pc: "0x1".to_owned() },
        start_function: None,
        doing: "chan receive (nil chan)".to_owned(),
        wait: Wait::NilChannel,
        stack: vec![frame],
        is_main: false,
    }
}

fn line(report: &Report) -> Option<(&str, Option<u32>, Route)> {
    let OwnLine { function, line, by, .. } = report.verdicts().next()?.own_line.as_ref()?;
    Some((function, *line, *by))
}

const READS: (&str, u32) = ("net/http.(*Transport).dialConn", 44);

#[test]
fn the_line_is_found_over_an_ancestor_that_has_ended() {
    let mut client = Client::new();
    let reads = client.calls(5);
    let report = client.report(&[(READS.0, READS.1, reads)]);
    assert_eq!(line(&report), Some(("main.fetch.func1", Some(21), Route::Ancestor)));
    let verdict = report.verdicts().next().expect("one");
    let summary = "5 goroutines, created for main.fetch.func1 (main.go:21) by net/http.(*Transport).dialConn";
    assert!(verdict.summary.contains(&summary[14..]), "{}", verdict.summary);
    let text = as_text(&report);
    assert!(text.contains("\n    your line   main.fetch.func1  /src/main.go:21\n"), "{text}");
    let title = "5 goroutines created for main.fetch.func1  main.go:21  by net/http.(*Transport).dialConn";
    assert!(text.contains(title), "{text}");
}

#[test]
fn who_hangs_and_what_it_has_opened_are_one_incident() {
    let mut client = Client::new();
    let reads = client.calls(5);
    let report = client.report(&[("main.fetch", 20, (100..105).collect()), (READS.0, READS.1, reads)]);
    assert_eq!(report.incidents.len(), 1);
    let incident = &report.incidents[0];
    assert_eq!((incident.verdicts.len(), incident.live), (2, 10));
    assert_eq!(line(&report), Some(("main.fetch", Some(20), Route::GoStatement)));
}

#[test]
fn each_of_two_callers_of_a_library_is_told_for_its_own() {
    let mut client = Client::new();
    let code = &mut client.service.code;
    let lib = ("shop.example/lib.Start", 3);
    let (leaks, well) = (go(code, lib, &[("main.leaks", 50)], &[]), go(code, lib, &[("main.well", 60)], &[]));
    for goid in 0..100 {
        client.service.birth(HOUR + goid * SECOND, 3_000 + goid, &well);
        client.service.end(HOUR + goid * SECOND + 1, 3_000 + goid);
    }
    for goid in 0..4 {
        client.service.birth(HOUR + goid * SECOND, 4_000 + goid, &leaks);
        client.service.in_memory(4_000 + goid, &leaks, Waiting, SELECT);
    }
    let report = client.report(&[("shop.example/lib.Start", 3, (4_000..4_004).collect())]);
    assert_eq!(line(&report), Some(("main.leaks", Some(50), Route::Caller)));
    let stack = &report.verdicts().next().expect("one").creation_stack;
    assert_eq!(stack[1].function.as_deref(), Some("main.leaks"), "and the stack is that one");
    client.service.own = Own::new(None, &["shop.example/".to_owned()]);
    client.service.in_memory(4_000, &leaks, Waiting, SELECT);
    let report = client.report(&[("shop.example/lib.Start", 3, vec![4_000])]);
    assert_eq!(line(&report), Some(("shop.example/lib.Start", Some(3), Route::GoStatement)));
}

#[test]
fn a_line_that_few_come_from_is_not_told_for_all() {
    let mut client = Client::new();
    let code = &mut client.service.code;
    let lib = ("shop.example/lib.Start", 3);
    let (few, most) =
        (go(code, lib, &[("main.few", 50)], &[]), go(code, lib, &[("net/http.serve", 60)], &[]));
    for goid in 3_000..3_020 {
        let go = if goid < 3_002 { &few } else { &most };
        client.service.birth(HOUR + SECOND, goid, go);
        client.service.in_memory(goid, go, Waiting, SELECT);
    }
    let report = client.report(&[("shop.example/lib.Start", 3, (3_000..3_020).collect())]);
    assert_eq!(line(&report), None);
    assert_eq!(report.groups[0].own_line, None);
}

#[test]
fn without_births_the_creator_must_stand_in_the_call_still() {
    let attached_late = |stands: &[(&str, u64)]| {
        let mut client = Client::new();
        let caller = go(&mut client.service.code, ("main.fetch", 20), &[], stands);
        for call in 0..3 {
            client.service.in_memory(100 + call, &caller, Waiting, SELECT);
            let reads = client.service.in_memory(2_000 + call, &client.reads, Waiting, SELECT);
            reads.parent_goid = Some(Goid(100 + call));
        }
        let report = client.report(&[(READS.0, READS.1, vec![2_000, 2_001, 2_002])]);
        line(&report).map(|(function, line, by)| (function.to_owned(), line, by))
    };
    let in_call = [("net/http.wait", 1), ("net/http.(*Transport).dialConn", 40), ("main.fetch.func1", 21)];
    assert_eq!(attached_late(&in_call), Some(("main.fetch.func1".to_owned(), Some(21), Route::ParentStack)));
    let elsewhere = [("net/http.wait", 1), ("main.fetch.func1", 30)];
    assert_eq!(attached_late(&elsewhere), None, "nothing is invented");
}

#[test]
fn those_from_before_attach_do_not_part_who_belongs_together() {
    let mut client = Client::new();
    let reads = client.calls(12);
    for call in 0..6 {
        client.service.in_memory(50 + call, &client.hung, Waiting, SELECT);
        let reads = client.service.in_memory(60 + call, &client.reads, Waiting, SELECT);
        reads.parent_goid = Some(Goid(70));
    }
    let (callers, reads) = ((50..56).chain(100..112), (60..66).chain(reads));
    let report = client.report(&[("main.fetch", 20, callers.collect()), (READS.0, READS.1, reads.collect())]);
    assert_eq!(report.incidents.len(), 1);
}

/// A library's `go` statement: ten were there before, then its births are seen, but the last ones' stacks are not taken. All
/// are stuck at `stands` but one that has moved on.
fn most_unseen(client: &mut Client, stands: &[(&str, u64)]) -> Vec<u64> {
    let code = &mut client.service.code;
    let lib = ("shop.example/lib.Start", 3);
    let leaks = go(code, lib, &[("main.leaks", 50)], stands);
    let busy = go(code, lib, &[("main.well", 60)], &[("net/http.work", 2)]);
    let untaken = go(code, lib, &[], stands);
    let untaken = Go { creators: Vec::new(), ..untaken };
    let stuck: Vec<u64> = (3_000..3_040).collect();
    (3_000..3_010).for_each(|goid| _ = client.service.in_memory(goid, &leaks, Waiting, SELECT));
    client.service.look(HOUR);
    (3_010..3_020).for_each(|goid| client.service.birth(HOUR + SECOND, goid, &leaks));
    (3_020..3_040).for_each(|goid| client.service.birth(HOUR + SECOND, goid, &untaken));
    (3_010..3_040).for_each(|goid| _ = client.service.in_memory(goid, &leaks, Waiting, SELECT));
    client.service.in_memory(3_000, &busy, Waiting, SELECT);
    for goid in 4_000..4_100 {
        client.service.birth(HOUR + SECOND, goid, &busy);
        client.service.in_memory(goid, &busy, Waiting, SELECT);
    }
    stuck
}

#[test]
fn those_whose_start_was_seen_tell_of_the_others_that_stand_with_them() {
    let mut client = Client::new();
    let stuck = most_unseen(&mut client, &[("net/http.wait", 1)]);
    let report = client.report(&[("shop.example/lib.Start", 3, stuck)]);
    assert_eq!(
        line(&report),
        Some(("main.leaks", Some(50), Route::Caller)),
        "not main.well, who stand elsewhere"
    );
    let verdict = report.verdicts().next().expect("one");
    assert!(
        verdict.summary.contains("for main.leaks (main.go:50), as far as was seen, by "),
        "{}",
        verdict.summary
    );
    let [seen, asked] = ["starts_seen", "starts_looked_at"].map(|name| verdict.evidence[name].as_u64());
    assert_eq!((seen, asked), (Some(10), Some(26)), "of eight of the oldest and eight of the youngest, none");
    assert_eq!(verdict.creation_stack[1].function.as_deref(), Some("main.leaks"));
}

#[test]
fn others_stand_with_them_whatever_is_shown_of_their_stacks() {
    let mut client = Client::new();
    let stuck = most_unseen(&mut client, &[("net/http.wait", 1), ("net/http.(*wrapped).wait", 1)]);
    let report = client.report(&[("shop.example/lib.Start", 3, stuck)]);
    assert_eq!(line(&report), Some(("main.leaks", Some(50), Route::Caller)));
}

#[test]
fn a_stack_that_was_not_taken_says_nothing() {
    let mut client = Client::new();
    client.dial.creators = vec![ReturnPc(7)];
    let reads = client.calls(5);
    let report = client.report(&[(READS.0, READS.1, reads)]);
    assert_eq!(line(&report), None);
    assert!(report.incidents[0].verdicts[0].summary.contains("created by net/http.(*Transport).dialConn"));
}

/// A server: `main.main` is in its loop, which starts a goroutine for each connection.
fn server(stands: &[(&str, u64)]) -> (Client, Vec<u64>) {
    let mut client = Client::new();
    let code = &mut client.service.code;
    let serves = [("net/http.(*Server).Serve", 70), ("main.main", 12)];
    let conn = go(code, serves[0], &serves[1..], stands);
    let main = go(code, ("runtime.main", 1), &[], &serves);
    client.service.in_memory(1, &main, Waiting, SELECT);
    client.service.look(HOUR);
    client.service.in_memory(1, &main, Waiting, SELECT);
    for goid in 500..508 {
        client.service.birth(HOUR + SECOND, goid, &conn);
        client.service.in_memory(goid, &conn, Waiting, SELECT);
    }
    (client, (500..508).collect())
}

#[test]
fn a_loop_that_goes_on_ties_nothing_together() {
    let (mut client, conns) = server(&[("net/http.wait", 1)]);
    let background = ("net/http.startBackgroundRead", 5);
    let reads = go(&mut client.service.code, background, &[("net/http.(*conn).serve", 8)], &[]);
    for goid in 600..603 {
        client.service.birth_by(HOUR + 2 * SECOND, goid, goid - 100, &reads);
        client.service.in_memory(goid, &reads, Waiting, SELECT).parent_goid = Some(Goid(goid - 100));
    }
    let report =
        client.report(&[("net/http.(*Server).Serve", 70, conns), (background.0, 5, (600..603).collect())]);
    let lines: Vec<_> = report.verdicts().map(|verdict| verdict.own_line.clone()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().flatten().all(|line| line.function == "main.main"), "{lines:?}");
    assert_eq!(report.incidents.len(), 2, "three of eight are not in step");
}
