//! Dumps made up by chance: everything a builder takes, in every combination.

use leaktrace_core::base::num::{Avma, Goid};
use leaktrace_core::go::names::Status;
use leaktrace_core::goroutines::model::{
    Arguments, BlockedId, BlockedOn, Channel, ChannelOperation, Function, FunctionKind, Location, LocationId,
    LockKind, SelectCase, StackId,
};
use leaktrace_core::goroutines::{Dump, DumpBuilder, DumpGoroutine};
use proptest::prelude::*;

use crate::hostile::HOSTILE;
use crate::sample::{TAKEN_AT, target};

#[derive(Clone, Debug)]
struct Frame {
    name: String,
    file: String,
    pc: u64,
    offset: u64,
    line: u32,
    kind: usize,
    known: bool,
    inlined: bool,
    exact: bool,
}

/// Words that end as a hostile one may, some of them.
fn words(ordinary: &'static str) -> impl Strategy<Value = String> {
    let endings = [&["", "", ""][..], &HOSTILE].concat();
    (ordinary, prop::sample::select(endings)).prop_map(|(word, ending)| word + ending)
}

prop_compose! {
    fn frames()(
        name in words("(runtime\\.|main\\.)?[a-zA-Z.\\[\\]<;é]{0,8}"),
        file in words("[a-z/.]{0,6}"),
        (pc, offset, line) in (any::<u64>(), 0_u64..5_000, any::<u32>()),
        kind in 0..FunctionKind::ALL.len(),
        (known, inlined, exact) in any::<(bool, bool, bool)>(),
    ) -> Frame {
        Frame { name, file, pc, offset, line, kind, known, inlined, exact }
    }
}

#[derive(Clone, Debug)]
struct Routine {
    numbers: [u64; 6],
    optional: [bool; 9],
    flags: [bool; 7],
    status: u32,
    stack: Vec<usize>,
    labels: Vec<(String, String)>,
    blocked: (usize, u64, u32),
    word: String,
}

prop_compose! {
    fn routines()(
        numbers in any::<[u64; 6]>(),
        optional in any::<[bool; 9]>(),
        flags in any::<[bool; 7]>(),
        status in prop::sample::select(vec![0_u32, 1, 2, 3, 4, 6, 8, 9, 10, 11]),
        stack in prop::collection::vec(any::<usize>(), 0..12),
        labels in prop::collection::vec((words("\\PC{0,4}"), words("\\PC{0,4}")), 0..3),
        blocked in (0_usize..8, any::<u64>(), any::<u32>()),
        word in words("(chan receive|int)"),
    ) -> Routine {
        Routine { numbers, optional, flags, status, stack, labels, blocked, word }
    }
}

prop_compose! {
    pub(crate) fn dumps()(
        frames in prop::collection::vec(frames(), 1..8),
        routines in prop::collection::vec(routines(), 0..12),
        minor in 18..30,
        (exe, host, note) in (words("/srv/x"), words("h"), words("n")),
    ) -> Dump {
        let mut target = target();
        target.go_version = format!("go1.{minor}.1");
        (target.exe, target.hostname) = (exe, Some(host));
        let mut builder = DumpBuilder::new(target, TAKEN_AT);
        builder.completeness().notes.push(note);
        for routine in &routines {
            let goroutine = goroutine(&mut builder, &frames, routine);
            builder.goroutine(goroutine);
        }
        builder.finish()
    }
}

fn location(builder: &mut DumpBuilder, frame: &Frame) -> LocationId {
    let name = builder.string(&frame.name);
    let kind = FunctionKind::ALL[frame.kind];
    let function = builder.function(Function { name, start_line: frame.exact.then_some(frame.line), kind });
    let location = Location {
        pc: frame.pc,
        offset: frame.offset,
        function: frame.known.then_some(function),
        file: builder.string(&frame.file),
        line: frame.line,
        inlined: frame.inlined,
        exact: frame.exact,
    };
    builder.location(location)
}

fn stack(builder: &mut DumpBuilder, frames: &[Frame], picks: &[usize]) -> StackId {
    let stack: Vec<_> = picks.iter().map(|pick| location(builder, &frames[pick % frames.len()])).collect();
    builder.stack(&stack)
}

fn goroutine(builder: &mut DumpBuilder, frames: &[Frame], routine: &Routine) -> DumpGoroutine {
    let Routine { numbers, optional, flags, status, stack: picks, labels, blocked, word } = routine;
    let [goid, waiting, age, bubble, bytes, parent] = *numbers;
    // One number is not stored: the greatest, which stands for none.
    let number = |index: usize, value: u64| optional[index].then_some(value.min(u64::MAX - 1));
    let stack = stack(builder, frames, picks);
    DumpGoroutine {
        parent: number(0, parent).map(Goid),
        waiting_ns: number(1, waiting),
        age_ns: number(2, age),
        bubble: number(3, bubble),
        stack_bytes: bytes,
        created_by: optional[4].then(|| location(builder, &frames[0])),
        creation_stack: optional[5].then_some(stack),
        wait_reason: optional[6].then(|| builder.string(word)),
        labels: builder.labels(labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))),
        blocked_on: optional[7].then(|| blocked_on(builder, *blocked, word)),
        arguments: optional[8].then(|| arguments(builder, picks)),
        scanning: flags[0],
        locked: flags[1],
        age_is_lower_bound: flags[2],
        moved: flags[3],
        system: flags[4],
        cut: flags[5],
        start_only: flags[6],
        ..DumpGoroutine::new(Goid(goid), Status::from_raw(*status).unwrap(), stack)
    }
}

/// Frames of which some are known and have more or less values, not all of which are there.
fn arguments(builder: &mut DumpBuilder, picks: &[usize]) -> Arguments {
    let text = |pick: usize| (!pick.is_multiple_of(4)).then(|| ["", "#", "{#?, #}"][pick % 3]);
    let texts = picks.iter().map(|pick| text(*pick).map(|text| builder.string(text))).collect();
    let values: Vec<_> = picks.iter().map(|pick| *pick as u64 >> (pick % 64)).collect();
    Arguments { texts: builder.arguments(texts), values: builder.values(&values, None) }
}

fn blocked_on(builder: &mut DumpBuilder, (kind, address, count): (usize, u64, u32), word: &str) -> BlockedId {
    let channel = Channel {
        address: Avma(address % 3),
        element: (count % 2 == 0).then(|| builder.string(word)),
        length: address,
        capacity: u64::from(count),
        closed: count % 3 == 0,
        timer: count % 5 == 0,
        stopped: count % 7 == 0,
        receivers: count,
        senders: count / 2,
    };
    let channel = builder.channel(channel);
    let operation = if count % 2 == 0 { ChannelOperation::Send } else { ChannelOperation::Receive };
    let case = SelectCase { operation, channel };
    let description = (count % 2 == 0).then(|| builder.string(word));
    let blocked = match kind {
        0 => BlockedOn::Channel { operation, channel },
        1 => BlockedOn::NilChannel { operation },
        2 => BlockedOn::Select { cases: vec![case; count as usize % 4].into() },
        3 => BlockedOn::NoCases,
        4 => BlockedOn::Sleep { remaining_ns: Some(address.cast_signed()).filter(|_| address % 2 == 0) },
        5 => BlockedOn::Io { fd: count.cast_signed(), description },
        _ => BlockedOn::Lock {
            kind: LockKind::ALL[count as usize % LockKind::ALL.len()],
            address: Avma(address),
            waiters: (kind == 6).then_some(count),
        },
    };
    builder.blocked_on(blocked)
}
