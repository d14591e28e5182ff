//! How fast a dump is written: `cargo bench -p leaktrace-core --bench render`.
//!
//! Times are on a CPU, of which there is one, and of writing alone: nothing is read from a process, and what is written
//! goes nowhere.

mod measure;

use std::io;

use leaktrace_core::base::num::{Avma, Goid};
use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::go::names::Status;
use leaktrace_core::goroutines::model::{
    Arguments, BlockedOn, Channel, ChannelOperation, Function, FunctionKind, Location, LocationId,
    ProcessInfo, StackId, UnixTime,
};
use leaktrace_core::goroutines::snapshot::{decode, encode};
use leaktrace_core::goroutines::{Dump, DumpBuilder, DumpGoroutine};
use measure::timed;

/// The formats that are measured; of a snapshot, writing and reading are.
const MEASURED: [&str; 5] = ["json", "folded", "pprof", "html", "debug2"];
const COUNT: u64 = 100_000;
const DEPTH: usize = 10;

fn main() {
    for (whose, channels) in [("one of 20 channels", 20), ("a channel of its own", COUNT)] {
        let dump = dump(channels);
        for format in FORMATS.all().iter().filter(|format| MEASURED.contains(&format.name)) {
            timed(&format!("{}: 100,000, each on {whose}", format.name), || {
                render(format, &dump, &Options::default(), &mut io::sink())
            })
            .expect("nothing fails to go nowhere");
        }
        let mut file = Vec::new();
        timed(&format!("ltr: 100,000, each on {whose}"), || encode(&dump, &mut file))
            .expect("nothing fails to be counted");
        println!("{:<58} {:>6} KiB", "", file.len() >> 10);
        timed("the same, read again", || decode(&file)).expect("what was written can be read");
    }
}

/// Goroutines on a few stacks, of which each waits to receive from one of so many channels.
fn dump(channels: u64) -> Dump {
    let target = ProcessInfo { go_version: "go1.27.0".to_owned(), ..ProcessInfo::default() };
    let mut builder = DumpBuilder::new(target, UnixTime(1_795_000_000_000_000_000));
    let frames: Vec<_> = (0..30).map(|number| frame(number, &mut builder)).collect();
    let stacks: Vec<_> = frames.windows(DEPTH).map(|frames| (builder.stack(frames), frames[0])).collect();
    let text = builder.string("#, {#?, #}");
    let texts = builder.arguments([Some(text); DEPTH].into());
    let mut like = None;
    for (goid, &(stack, created_by)) in (1..=COUNT).zip(stacks.iter().cycle()) {
        let values = builder.values(&values(goid), like);
        like = like.or(Some(values));
        let goroutine = goroutine(goid, stack, created_by, goid % channels, &mut builder);
        builder.goroutine(DumpGoroutine { arguments: Some(Arguments { texts, values }), ..goroutine });
    }
    builder.finish()
}

/// Three a frame, the first of which is the goroutine's own.
fn values(goid: u64) -> Vec<u64> {
    [0xc000_0100_0000 + goid * 64, 0, 0x5a_e350].repeat(DEPTH)
}

fn frame(number: u64, builder: &mut DumpBuilder) -> LocationId {
    let name = builder.string(&format!("example.com/service/internal/worker.(*Pool).step{number}"));
    let file = builder.string(&format!("example.com/service/internal/worker/step{number}.go"));
    let function = builder.function(Function { name, start_line: Some(20), kind: FunctionKind::Normal });
    let (pc, function) = (0x40_1000 + number * 0x100, Some(function));
    builder.location(Location { pc, offset: 0x40, function, file, line: 42, inlined: false, exact: false })
}

fn goroutine(
    goid: u64,
    stack: StackId,
    created_by: LocationId,
    channel: u64,
    builder: &mut DumpBuilder,
) -> DumpGoroutine {
    let (operation, element) = (ChannelOperation::Receive, builder.string("int"));
    let channel = builder.channel(Channel {
        address: Avma(0xc000_0000_0000 + channel * 96),
        element: Some(element),
        length: 0,
        capacity: 0,
        closed: false,
        timer: false,
        stopped: false,
        receivers: 1,
        senders: 0,
    });
    DumpGoroutine {
        parent: Some(Goid(1)),
        waiting_ns: Some(263_915_348_310 + goid % 7),
        stack_bytes: 2_048,
        created_by: Some(created_by),
        wait_reason: Some(builder.string("chan receive")),
        blocked_on: Some(builder.blocked_on(BlockedOn::Channel { operation, channel })),
        ..DumpGoroutine::new(Goid(goid), Status::Waiting, stack)
    }
}
