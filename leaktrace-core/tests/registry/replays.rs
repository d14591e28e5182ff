//! A recording of a trace shows what the trace showed, with names of its own.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use leaktrace_common::event::Kind;
use leaktrace_core::base::num::{Goid, Ktime, Pc, ReturnPc};
use leaktrace_core::go::goroutines::{Snapshot, StackEnd};
use leaktrace_core::go::names::Status;
use leaktrace_core::go::pclntab::FuncId;
use leaktrace_core::go::symbols::{Symbol, Symbols};
use leaktrace_core::goroutines::model::{BlockedOn, Function, FunctionKind, Location, ProcessInfo, UnixTime};
use leaktrace_core::goroutines::snapshot::encode;
use leaktrace_core::goroutines::{DumpBuilder, DumpGoroutine};
use leaktrace_core::report::{self, Sources, View, Witness, recorded};
use leaktrace_core::schema::{self, Report, Traced};
use leaktrace_core::trace::decode::decode;
use leaktrace_core::trace::recording::{
    Bounds, Content, Header, Meter, RecordingReader, Records, Replay, Writer, names, walk,
};
use leaktrace_core::trace::registry::Registry;

use crate::support::{SITE, birth_record, goroutine, record, snapshot};

const SECOND: u64 = 1_000_000_000;
const ATTACHED: Ktime = Ktime(SECOND);
const VIEW: View =
    View { min_age: Duration::ZERO, top: None, sort: report::Sort::Live, include_runtime: true, places: 5 };

/// One function for every 4096 addresses.
struct Code;

impl Symbols for Code {
    fn symbols<'s>(&'s self, pc: Pc, out: &mut Vec<Symbol<'s>>) {
        let function = match pc.0 >> 12 {
            0x400 => "main.serve",
            0x401 => "main.spawn",
            _ => return,
        };
        let line = u32::try_from(pc.0 & 0xfff).ok();
        out.push(Symbol { function, file: Some("main.go".into()), line, id: FuncId::Normal, native: false });
    }

    fn wait_reason(&self, number: u8) -> Option<&str> {
        (number == 2).then_some("chan receive")
    }
}

fn records(seconds: u64) -> Vec<Vec<u8>> {
    let at = seconds * SECOND;
    let births = (0..5).map(|index| birth_record(at, seconds * 10 + index, SITE, &[SITE, 0x40_0123]));
    births.chain([record(Kind::End, at + 1, seconds * 10, &[])]).collect()
}

/// What memory shows after the second `seconds`: one goroutine more than events told, and one less.
fn shown(seconds: u64) -> Snapshot {
    let at = seconds * SECOND;
    let seen = (1..=seconds).flat_map(|second| (2..6).map(move |index| second * 10 + index));
    let mut all = snapshot(at + 10, at + 20, seen.map(|goid| goroutine(goid, Status::Waiting, 2)).collect());
    let stack = [ReturnPc(0x40_0042), ReturnPc(0x40_0043)];
    all.goroutines[0].stack_id = all.stacks.intern(&stack, StackEnd::Outermost);
    for (index, end) in
        [(1, StackEnd::Boundary), (2, StackEnd::Cut(Pc(0x40_0044))), (3, StackEnd::Broken(Pc(0)))]
    {
        all.goroutines[index].stack_id = all.stacks.intern(&stack[..1], end);
    }
    all
}

/// Three seconds of a trace: what it reported at the end, and its recording.
fn trace() -> (Report, Vec<u8>) {
    let header = Header {
        format: Header::FORMAT.to_owned(),
        attached_at: ATTACHED,
        attached_unix_ns: Some(5),
        probes: vec!["birth".to_owned(), "end".to_owned()],
        wait_reasons: vec![String::new(), String::new(), "chan receive".to_owned()],
        notices: vec!["made up".to_owned()],
        ..Header::default()
    };
    let mut writer = Writer::begin(Vec::new(), &header.to_text(), Bounds::of_total(1 << 20)).unwrap();
    let (mut registry, mut unnamed) = (Registry::new(ATTACHED), names::Unnamed::default());
    let mut decoded = 0;
    for seconds in 1..=3 {
        let at = Ktime(seconds * SECOND + 30);
        registry.expect_snapshot();
        writer.asked(at).unwrap();
        let mut batch = Records::default();
        for record in records(seconds) {
            registry.apply(&decode(&record).unwrap());
            assert!(batch.push(&record));
            decoded += 1;
        }
        let shown = shown(seconds);
        registry.reconcile(&shown);
        unnamed.add_records(&batch);
        unnamed.extend(names::addresses(&shown));
        if let Some(names) = unnamed.take(&Code) {
            writer.names(&names, at).unwrap();
        }
        writer.records(&batch, at).unwrap();
        writer.walk(&walk::encode(&shown), at).unwrap();
    }
    let traced = Traced { produced: decoded + 2, decoded, dropped: [2, 0, 0], ..Traced::default() };
    let dropped = [("ring_full".to_owned(), 2)].into();
    let meter = Meter { produced: traced.produced, dropped, ..Meter::default() };
    let now = Ktime(4 * SECOND);
    writer.meter(&meter.to_bytes(), now).unwrap();
    let sources = Sources {
        target: header.target.clone(),
        registry: &registry,
        snapshot: Some(&shown(3)),
        symbols: &Code,
        now,
        unix_ns: Some(5 + 3 * SECOND),
        probes: &[Kind::Birth, Kind::End],
        traced,
        overhead: schema::Overhead::default(),
        findings: Vec::new(),
        ignore: &leaktrace_core::judge::detect::Ignore::default(),
        own: &leaktrace_core::go::own::Own::default(),
        notices: header.notices.clone(),
    };
    (report::build(sources, &VIEW), writer.finish(now).unwrap())
}

/// What `leaktrace report` makes of a recording.
fn report_of(recording: &[u8], after: Option<u64>) -> Report {
    let mut witness = Witness::default();
    let replay = Replay::run_before(recording, after, &mut |walk, file| witness.observe(walk, file)).unwrap();
    recorded(&replay, &witness, &VIEW, &[])
}

/// A snapshot file of three goroutines in `select {}`.
fn stuck() -> Vec<u8> {
    let mut builder = DumpBuilder::new(ProcessInfo::default(), UnixTime(0));
    let (name, file, words) =
        (builder.string("main.wait"), builder.string("main.go"), builder.string("select (no cases)"));
    let function = builder.function(Function { name, start_line: None, kind: FunctionKind::Normal });
    let at = builder.location(Location {
        pc: 0x40_0042,
        offset: 5,
        function: Some(function),
        file,
        line: 7,
        inlined: false,
        exact: false,
    });
    let (stack, blocked_on) = (builder.stack(&[at]), Some(builder.blocked_on(BlockedOn::NoCases)));
    for goid in 2..5 {
        let goroutine = DumpGoroutine::new(Goid(goid), Status::Waiting, stack);
        let (wait_reason, created_by) = (Some(words), Some(at));
        builder.goroutine(DumpGoroutine { wait_reason, created_by, blocked_on, ..goroutine });
    }
    let mut bytes = Vec::new();
    encode(&builder.finish(), &mut bytes).unwrap();
    bytes
}

#[test]
fn a_replay_judges_what_its_snapshots_show() {
    let header = Header { format: Header::FORMAT.to_owned(), attached_at: ATTACHED, ..Header::default() };
    let mut writer = Writer::begin(Vec::new(), &header.to_text(), Bounds::of_total(1 << 20)).unwrap();
    for seconds in 2..60 {
        let at = seconds * SECOND;
        let all = (2..5).map(|goid| goroutine(goid, Status::Waiting, 2)).collect();
        writer.asked(Ktime(at)).unwrap();
        writer.walk(&walk::encode(&snapshot(at, at + 1, all)), Ktime(at + 2)).unwrap();
        writer.snapshot(&stuck(), Ktime(at + 2)).unwrap();
    }
    let recording = writer.finish(Ktime(60 * SECOND)).unwrap();
    let report = report_of(&recording, None);
    let verdicts: Vec<_> = report.verdicts().collect();
    let [verdict] = verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!((verdict.code.as_str(), verdict.live), ("LT004", 3));
    let early = report_of(&recording, Some(SECOND / 2));
    assert_eq!(early.incidents, [], "nothing was seen yet");
}

/// What every replayed report says beside what the trace said.
const NOT_CHECKED: &str = "LT005, LT006 and cancelled contexts were not checked, and connections are not known: a recording does not hold the memory of \
     the process or what its kernel knew";

#[test]
fn a_replay_reports_what_the_trace_reported() {
    let (live, recording) = trace();
    let mut replayed = report_of(&recording, None);
    assert_eq!(replayed.notices.pop().as_deref(), Some(NOT_CHECKED));
    assert_eq!(replayed, live);
    assert!(live.completeness.balances() && live.completeness.births_recovered > 0, "{live:?}");
    assert_eq!(live.groups[0].creation_stack[1].function.as_deref(), Some("main.serve"));
}

#[test]
fn births_that_no_probe_saw_at_a_probed_go_statement_are_told_from_others() {
    let probed = |pc: u64| {
        let at = schema::Location { function: None, file: None, line: None, pc: ReturnPc(pc).to_string() };
        let header = Header {
            format: Header::FORMAT.to_owned(),
            attached_at: ATTACHED,
            sites: vec![at],
            ..Header::default()
        };
        let mut writer = Writer::begin(Vec::new(), &header.to_text(), Bounds::of_total(1 << 20)).unwrap();
        for (seconds, most) in [(2, 2), (3, 4)] {
            let (at, all) = (seconds * SECOND, (2..=most).map(|goid| goroutine(goid, Status::Waiting, 2)));
            writer.asked(Ktime(at)).unwrap();
            writer.walk(&walk::encode(&snapshot(at, at + 1, all.collect())), Ktime(at + 2)).unwrap();
        }
        let report = report_of(&writer.finish(Ktime(4 * SECOND)).unwrap(), None);
        assert_eq!(report.completeness.sites.len(), 1);
        (report.completeness.births_recovered, report.completeness.site_births_recovered)
    };
    assert_eq!((probed(SITE), probed(SITE + 1)), ((2, 2), (2, 0)));
}

#[test]
fn what_is_recorded_after_the_end_counts_for_nothing() {
    let ended = Ktime(2 * SECOND);
    let mut batch = Records::default();
    for goid in 0..5 {
        assert!(batch.push(&birth_record(ended.0 + goid, 100 + goid, SITE, &[])));
    }
    let header = Header { format: Header::FORMAT.to_owned(), attached_at: ATTACHED, ..Header::default() };
    let mut writer = Writer::begin(Vec::new(), &header.to_text(), Bounds::of_total(1 << 20)).unwrap();
    writer.last(ended).unwrap();
    writer.records(&batch, Ktime(3 * SECOND)).unwrap();
    let recording = writer.finish(Ktime(4 * SECOND)).unwrap();
    let report = report_of(&recording, None);
    assert_eq!((report.totals.born, report.completeness.decoded), (1, 5));
}

#[test]
fn a_replay_ends_when_it_is_told_to() {
    let (_, recording) = trace();
    let early = report_of(&recording, Some(SECOND + 40));
    assert_eq!((early.completeness.decoded, early.window.duration_ns), (12, SECOND + 40));
    let late = Replay::run(recording.as_slice(), Some(4 * SECOND)).unwrap_err();
    assert_eq!(late.to_string(), "this recording is 3.0 s long");
    assert!(Replay::run(recording.as_slice(), Some(3 * SECOND)).is_ok());
    let none = Replay::run(recording.as_slice(), Some(0)).unwrap();
    assert_eq!(
        none.dump().unwrap_err().to_string(),
        "there is no snapshot in the first 0.0 s of this recording"
    );
}

#[test]
fn whatever_is_cut_off_the_rest_has_all_its_names() {
    let (_, whole) = trace();
    let mut cut = 0;
    for len in 0..whole.len() {
        let Ok(replay) = Replay::run(&whole[..len], None) else { continue };
        let report = recorded(&replay, &Witness::default(), &VIEW, &[]);
        assert!(report.notices.iter().any(|notice| notice.contains("writer was stopped")), "{report:?}");
        assert!(report.groups.iter().all(|group| group.created_by.function.is_some()), "{len}: {report:?}");
        cut += 1;
    }
    assert!(cut > 500, "{cut}");
}

#[test]
fn a_walk_comes_back() {
    let before = shown(3);
    let after = walk::decode(&walk::encode(&before)).unwrap();
    assert_eq!((after.started, after.finished), (before.started, before.finished));
    assert_eq!(after.goroutines.len(), before.goroutines.len());
    for (after, before) in after.goroutines.iter().zip(&before.goroutines) {
        assert_eq!(
            (after.goid, after.parent_goid, after.gopc, after.startpc, after.stack.size(), after.status),
            (
                before.goid,
                before.parent_goid,
                before.gopc,
                before.startpc,
                before.stack.size(),
                before.status
            )
        );
    }
    let stack =
        |walk: &Snapshot| walk.goroutines[0].stack_id.and_then(|id| Some(walk.stacks.get(id)?.pcs.to_vec()));
    assert_eq!(stack(&after), stack(&before));
    let ends = |walk: &Snapshot| walk.stacks.iter().map(|(_, stack)| stack.end).collect::<Vec<_>>();
    assert_eq!(ends(&after), ends(&before));
}

#[test]
fn damaged_contents_are_counted() {
    let (_, whole) = trace();
    let mut reader = RecordingReader::open(whole.as_slice()).unwrap();
    let mut writer = Writer::begin(Vec::new(), reader.header(), Bounds::of_total(1 << 20)).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        if let Content::Walk(bytes) = block.content {
            writer.walk(&bytes[..bytes.len() - 1], block.at).unwrap();
            writer.names(b"[{\"pc\":1}]", block.at).unwrap();
            writer.meter(b"{", block.at).unwrap();
        }
    }
    let replay = Replay::run(writer.finish(Ktime(9)).unwrap().as_slice(), None).unwrap();
    assert_eq!(
        recorded(&replay, &Witness::default(), &VIEW, &[]).notices[1],
        "9 blocks of the recording cannot be read"
    );
}
