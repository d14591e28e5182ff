use super::*;
use crate::node::testing::at;
use crate::schema::{
    BLACK_BOX_SCHEMA_VERSION, BlackBoxEvent, BlackBoxReason, BlackBoxSnapshot, Ending, Level, MemoryOf,
    NodeProcess, NodeSite, NodeState, ProcessId, Sureness,
};

fn black_box() -> BlackBox {
    BlackBox::new(Steps::new(80).unwrap())
}

fn used(percent: u64) -> MemoryUse {
    MemoryUse { of: MemoryOf::Cgroup, used: percent << 20, limit: 100 << 20 }
}

fn line(line: u32) -> Location {
    Location {
        function: Some("main.leak".to_owned()),
        file: Some("/src/main.go".to_owned()),
        line: Some(line),
        pc: "0x1".to_owned(),
    }
}

fn suspected(lines: &[u32]) -> BTreeMap<Mark, (String, Location)> {
    let mark = |number: &u32| {
        let mark = Mark::Suspected(ReturnPc(u64::from(*number)), Pc(1), SuspicionKind::Grows);
        (mark, ("suspected: grows".to_owned(), line(*number)))
    };
    lines.iter().map(mark).collect()
}

#[test]
fn nothing_is_wanted_or_kept_of_a_healthy_process() {
    let mut black_box = black_box();
    black_box.memory_is(used(79), None);
    black_box.marked(1, BTreeMap::new());
    assert_eq!(black_box.wants(at(1)), None);
    assert!(!black_box.is_worth_keeping());
}

#[test]
fn memory_wants_one_snapshot_a_step_and_one_at_a_time() {
    let mut black_box = black_box();
    black_box.memory_is(used(81), None);
    assert_eq!(black_box.wants(at(1)), Some(Why::Memory(80)));
    assert!(black_box.is_worth_keeping());
    black_box.began(Why::Memory(80), at(1));
    black_box.memory_is(used(96), None);
    assert_eq!(black_box.wants(at(9)), None, "one is under way");
    black_box.ended();
    assert_eq!(black_box.wants(at(9)), Some(Why::Memory(95)), "the step between is left out");
    black_box.began(Why::Memory(95), at(9));
    black_box.ended();
    assert_eq!(black_box.wants(at(100)), None);
}

#[test]
fn whoever_has_little_of_what_is_used_is_left_alone() {
    let mut black_box = black_box();
    black_box.memory_is(used(99), Some(9 << 20));
    assert_eq!((black_box.wants(at(1)), black_box.is_worth_keeping()), (None, false));
    assert_eq!(black_box.memory(), Some(used(99)));
    black_box.memory_is(used(99), Some(10 << 20));
    assert_eq!(black_box.wants(at(1)), Some(Why::Memory(95)));
}

#[test]
fn memory_that_goes_up_and_down_wants_no_more_than_one_a_second() {
    let mut black_box = black_box();
    for (percent, second, wanted) in [(85, 1, true), (10, 1, false), (85, 1, false), (85, 2, true)] {
        black_box.memory_is(used(percent), None);
        let why = black_box.wants(at(second));
        assert_eq!(why.is_some(), wanted, "{percent}% at {second}");
        if let Some(why) = why {
            black_box.began(why, at(second));
            black_box.ended();
        }
    }
}

#[test]
fn what_becomes_conspicuous_wants_a_snapshot_and_is_remembered() {
    let mut black_box = black_box();
    black_box.marked(5, suspected(&[7]));
    assert_eq!(black_box.wants(at(1)), Some(Why::Conspicuous));
    black_box.began(Why::Conspicuous, at(1));
    black_box.ended();
    black_box.marked(6, suspected(&[7]));
    assert_eq!(black_box.wants(at(5000)), None, "nothing is new");
    black_box.marked(7, suspected(&[8]));
    assert_eq!(black_box.wants(at(600)), None, "the last one is not ten minutes old");
    assert_eq!(black_box.wants(at(601)), Some(Why::Conspicuous));
    let changes: Vec<_> =
        black_box.changes().into_iter().map(|one| (one.unix_ns, one.came, one.at.line)).collect();
    assert_eq!(changes, [(5, true, Some(7)), (7, false, Some(7)), (7, true, Some(8))]);
}

#[test]
fn changes_are_bounded_whatever_the_process_does() {
    let mut black_box = black_box();
    for time in 0..1000 {
        black_box.marked(time, suspected(&[u32::try_from(time).unwrap()]));
    }
    let changes = black_box.changes();
    assert_eq!((changes.len(), changes.last().unwrap().unix_ns), (MOST_CHANGES, 999));
}

fn event() -> BlackBoxEvent {
    let id = ProcessId { pid: 4711, start_ticks: 88 };
    let site = |number, live, suspect: Option<&str>| NodeSite {
        created_by: line(number),
        live,
        old: 0,
        oldest_ns: 0,
        suspect: suspect.map(str::to_owned),
        per_minute: suspect.map(|_| 60.0),
    };
    let process = NodeProcess {
        id,
        exe: "order\u{1b}[2J\u{202e}".to_owned(),
        container_id: None,
        unit: Some("order.service".to_owned()),
        kubernetes: None,
        go_version: Some("go1.27.3".to_owned()),
        version: None,
        state: NodeState::Watched,
        reason: None,
        goroutines: Some(70_000),
        created: Some(80_000),
        ended: Some(10_000),
        oldest_ns: None,
        look_age_ns: None,
        sites: vec![site(12, 99, None), site(67, 50, Some("grows"))],
        other_sites: 0,
        study_age_ns: None,
        is_studied: false,
        level: Level::Memory,
        level_reason: None,
        incidents: Vec::new(),
    };
    BlackBoxEvent {
        schema_version: BLACK_BOX_SCHEMA_VERSION,
        leaktrace: "0.1.0".to_owned(),
        name: BlackBoxName { unix_s: 1_796_064_863, id },
        unix_ns: 1_796_064_900_000_000_000,
        reason: BlackBoxReason::OomKilled,
        ending: Some(Ending {
            reason: BlackBoxReason::OomKilled,
            sureness: Sureness::Certain,
            exit_code: None,
            signal: Some(9),
            evidence: "SIGKILL ended it, and oom_kill has risen".to_owned(),
        }),
        process,
        memory: Some(used(97)),
        looks: (0..200)
            .map(|second| BlackBoxLook {
                unix_ns: second * 1_000_000_000,
                goroutines: Some(second),
                created: None,
                memory: Some(second << 20),
            })
            .collect(),
        changes: vec![BlackBoxChange {
            unix_ns: 1,
            came: true,
            what: "suspected: grows".to_owned(),
            at: line(67),
        }],
        snapshot: Some(BlackBoxSnapshot {
            file: "snapshot-2.ltr".to_owned(),
            unix_ns: 1_796_064_890_000_000_000,
            why: Why::Memory(95).to_string(),
        }),
        no_snapshot: None,
        report: None,
    }
}

fn text(event: &BlackBoxEvent) -> String {
    let mut out = Vec::new();
    render(event, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_reason_comes_first_and_the_line_is_named() {
    let text = text(&event());
    let first = text.lines().next().unwrap();
    assert_eq!(first, r"order\x1b[2J\u202e (pid 4711): killed by the OOM killer");
    assert!(text.contains("97 MiB of 100 MiB (97%, cgroup)"), "{text}");
    let suspect = text.lines().find(|line| line.contains("suspected: grows +60/min")).unwrap();
    assert!(suspect.contains("main.leak (/src/main.go:67)"), "{text}");
    assert!(text.contains("last snapshot: 2026-11-30T"), "{text}");
    assert!(text.contains("because memory reached 95% of its limit"), "{text}");
    let looks = text.lines().filter(|line| line.trim_start().starts_with("1970-01-01T00:0")).count();
    assert_eq!(looks, 13, "twelve looks and a change: {text}");
    assert!(text.lines().any(|line| line.contains("00:03:19.000Z") && line.contains("199")), "{text}");
}

#[test]
fn what_is_only_likely_or_unknown_is_said_so() {
    let mut event = event();
    let ending = event.ending.as_mut().unwrap();
    ending.sureness = Sureness::Likely;
    assert!(text(&event).contains(": likely killed by the OOM killer\n"));
    let ending = event.ending.as_mut().unwrap();
    (ending.reason, ending.signal) = (BlackBoxReason::Unknown, None);
    assert!(text(&event).contains(": ended\n"));
    (event.ending, event.reason) = (None, BlackBoxReason::Memory);
    assert!(text(&event).contains(": was running when this was written (memory)\n"));
}

#[test]
fn an_event_is_read_back_and_its_bytes_do_nothing_to_a_terminal() {
    let bytes = encode(&event());
    assert!(!bytes.contains(&0x1b) && !String::from_utf8(bytes.clone()).unwrap().contains('\u{202e}'));
    let read = decode(&bytes).unwrap();
    assert_eq!(encode(&read), bytes);
    assert_eq!(read.process.exe, event().process.exe);
    assert_eq!(read.entry().at, Some(line(67)), "the suspect, and not the largest");
}

#[test]
fn a_snapshot_is_only_looked_for_beside_its_event() {
    let mut event = event();
    assert_eq!(event.snapshot_file(), Some("snapshot-2.ltr"));
    for file in ["../snapshot-1.ltr", "snapshot-/etc/passwd.ltr", "snapshot-.ltr", "/etc/passwd", ""] {
        event.snapshot.as_mut().unwrap().file = file.to_owned();
        assert_eq!(event.snapshot_file(), None, "{file:?}");
    }
}

#[test]
fn what_is_no_event_or_a_newer_one_is_told() {
    assert!(matches!(decode(b"{}"), Err(EventError::Malformed(_))));
    assert!(matches!(decode(b"\x7fELF"), Err(EventError::Malformed(_))));
    let newer = br#"{"schema_version":2,"something":"else"}"#;
    assert!(matches!(decode(newer), Err(EventError::Future(2))));
}
