//! A dump that has one of everything.

use leaktrace_core::base::num::{Avma, FileOffset, Goid, Tgid};
use leaktrace_core::go::names::Status;
use leaktrace_core::goroutines::model::{
    Arguments, BlockedOn, Channel, ChannelOperation, Function, FunctionKind, Location, LocationId, LockKind,
    Mapping, ProcessInfo, SelectCase, StackId, UnixTime,
};
use leaktrace_core::goroutines::{Dump, DumpBuilder, DumpGoroutine};

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const TAKEN_AT: UnixTime = UnixTime(1_795_193_163_250_000_000);

pub(crate) fn target() -> ProcessInfo {
    ProcessInfo {
        pid: Tgid(1234),
        started_at: Some(UnixTime(TAKEN_AT.0 - 7 * 86_400 * SECOND)),
        exe: "/srv/bin/orders".to_owned(),
        go_version: "go1.26.6".to_owned(),
        build_id: Some("f00d".to_owned()),
        arch: "amd64".to_owned(),
        hostname: Some("shop-1".to_owned()),
        prints_labels: true,
    }
}

/// Builds a dump, naming frames shortly.
pub(crate) struct Sample {
    pub(crate) builder: DumpBuilder,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let mut builder = DumpBuilder::new(target(), TAKEN_AT);
        builder.mapping(Mapping {
            start: Avma(0x40_0000),
            end: Avma(0x80_0000),
            offset: FileOffset(0),
            file: "/srv/bin/orders".to_owned(),
            build_id: Some("f00d".to_owned()),
        });
        Self { builder }
    }

    /// `name file:line`; the address is made from the line.
    pub(crate) fn frame(&mut self, text: &str) -> LocationId {
        let (name, place) = text.rsplit_once(' ').unwrap();
        let (file, line) = place.rsplit_once(':').unwrap();
        let line: u32 = line.parse().unwrap();
        let (name, inlined) = name.strip_prefix("inlined ").map_or((name, false), |name| (name, true));
        let kind = match name {
            "runtime.goexit" => FunctionKind::Goexit,
            "runtime.gopanic" | "runtime.sigpanic" => FunctionKind::Panic,
            name if name.ends_with("-wrapper") => FunctionKind::Wrapper,
            _ => FunctionKind::Normal,
        };
        let name = self.builder.string(name);
        let function = self.builder.function(Function { name, start_line: Some(line / 10 * 10), kind });
        let location = Location {
            pc: 0x40_0000 + u64::from(line) * 0x100 + 5,
            offset: 5 + u64::from(line % 10) * 0x100,
            function: Some(function),
            file: self.builder.string(file),
            line,
            inlined,
            exact: false,
        };
        self.builder.location(location)
    }

    /// What stands for the frames that are missing from `pc` on.
    fn cut(&mut self, name: &str, pc: u64, file: &str) -> LocationId {
        let name = self.builder.string(name);
        let function = Function { name, start_line: None, kind: FunctionKind::Cut };
        let function = Some(self.builder.function(function));
        let file = self.builder.string(file);
        self.builder.location(Location {
            pc,
            offset: 0,
            function,
            file,
            line: 0,
            inlined: false,
            exact: false,
        })
    }

    pub(crate) fn stack(&mut self, frames: &[&str]) -> StackId {
        let frames: Vec<_> = frames.iter().map(|frame| self.frame(frame)).collect();
        self.builder.stack(&frames)
    }

    /// A goroutine that waits for `reason` there.
    pub(crate) fn waiting(&mut self, goid: u64, reason: &str, frames: &[&str]) -> DumpGoroutine {
        let stack = self.stack(frames);
        let mut goroutine = DumpGoroutine::new(Goid(goid), Status::Waiting, stack);
        goroutine.wait_reason = Some(self.builder.string(reason));
        goroutine.stack_bytes = 8192;
        goroutine
    }
}

const LOCKED: [&str; 2] = ["sync.(*Mutex).Lock sync/mutex.go:90", "order.(*Book).Add /src/order/book.go:55"];

const WORKER: [&str; 6] = [
    "runtime.gopark runtime/proc.go:402",
    "runtime.chansend runtime/chan.go:283",
    "runtime.chansend1 runtime/chan.go:161",
    "inlined order.(*Worker[go.shape.int]).emit /src/order/worker.go:93",
    "order.(*Worker[go.shape.int]).process /src/order/worker.go:88",
    "runtime.goexit runtime/asm_amd64.s:1700",
];

/// Three goroutines that send on one channel, and one of every other kind.
pub(crate) fn sample() -> Dump {
    let mut sample = Sample::new();
    main_goroutine(&mut sample);
    workers(&mut sample);
    selects(&mut sample);
    locks(&mut sample);
    oddities(&mut sample);
    let completeness = sample.builder.completeness();
    completeness.unreadable = 1;
    completeness.moved = 1;
    completeness.took_ns = Some(1_500_000);
    completeness.notes.push("1 goroutine was not read".to_owned());
    sample.builder.finish()
}

fn main_goroutine(sample: &mut Sample) {
    let frames = [
        "runtime.gopark runtime/proc.go:402",
        "main.main /src/main.go:12",
        "runtime.main runtime/proc.go:250",
    ];
    let mut goroutine = sample.waiting(1, "IO wait", &frames);
    let description = Some(sample.builder.string("socket 10.0.0.3:5432"));
    goroutine.blocked_on = Some(sample.builder.blocked_on(BlockedOn::Io { fd: 7, description }));
    goroutine.waiting_ns = Some(59 * SECOND);
    sample.builder.goroutine(goroutine);
}

fn workers(sample: &mut Sample) {
    let element = Some(sample.builder.string("order.Order"));
    let channel = sample.builder.channel(Channel {
        address: Avma(0xc0_0001_2300),
        element,
        length: 100,
        capacity: 100,
        closed: false,
        timer: false,
        stopped: false,
        receivers: 0,
        senders: 3,
    });
    let operation = ChannelOperation::Send;
    let blocked_on = sample.builder.blocked_on(BlockedOn::Channel { operation, channel });
    for (goid, minutes) in [(18, 1), (19, 200), (20, 8_880)] {
        let mut goroutine = sample.waiting(goid, "chan send", &WORKER);
        goroutine.parent = Some(Goid(1));
        goroutine.created_by = Some(sample.frame("main.start /src/main.go:88"));
        goroutine.creation_stack =
            Some(sample.stack(&["main.start /src/main.go:88", "main.main /src/main.go:12"]));
        goroutine.waiting_ns = Some(minutes * 60 * SECOND);
        goroutine.age_ns = Some(minutes * 61 * SECOND);
        goroutine.age_is_lower_bound = goid == 20;
        goroutine.labels = sample.builder.labels([("path", "/api/v1"), ("user", "it's \"me\" <b>")]);
        goroutine.blocked_on = Some(blocked_on);
        let texts = [None, Some("#"), None, None, Some("#, #?"), None];
        let texts = texts.map(|text| text.map(|text| sample.builder.string(text)));
        let texts = sample.builder.arguments(Box::new(texts));
        let values = sample.builder.values(&[goid, 0xc0_0001_2300, 1], None);
        goroutine.arguments = Some(Arguments { texts, values });
        sample.builder.goroutine(goroutine);
    }
}

fn selects(sample: &mut Sample) {
    let timer = Channel {
        address: Avma(0xc0_0002_0000),
        element: Some(sample.builder.string("time.Time")),
        length: 0,
        capacity: 1,
        closed: true,
        timer: true,
        stopped: false,
        receivers: 1,
        senders: 0,
    };
    let unknown = Channel { address: Avma(0xc0_0003_0000), element: None, ..timer };
    let cases = [timer, unknown].map(|channel| SelectCase {
        operation: ChannelOperation::Receive,
        channel: sample.builder.channel(channel),
    });
    let frames = ["runtime.selectgo runtime/select.go:335", "order.Wait[...] /src/order/wait.go:21"];
    let mut goroutine = sample.waiting(21, "select", &frames);
    goroutine.blocked_on = Some(sample.builder.blocked_on(BlockedOn::Select { cases: Box::new(cases) }));
    goroutine.created_by = Some(sample.frame("main.start /src/main.go:89"));
    goroutine.bubble = Some(3);
    sample.builder.goroutine(goroutine);

    let none = sample.waiting(22, "select (no cases)", &["main.forever /src/main.go:30"]);
    let blocked_on = Some(sample.builder.blocked_on(BlockedOn::NoCases));
    sample.builder.goroutine(DumpGoroutine { blocked_on, status: Status::Leaked, ..none });
    let nil = BlockedOn::NilChannel { operation: ChannelOperation::Receive };
    let blocked_on = Some(sample.builder.blocked_on(nil));
    let goroutine = sample.waiting(23, "chan receive (nil chan)", &["main.forever /src/main.go:31"]);
    sample.builder.goroutine(DumpGoroutine { blocked_on, bubble: Some(3), ..goroutine });
}

fn locks(sample: &mut Sample) {
    for (index, kind) in LockKind::ALL.into_iter().enumerate() {
        let goid = 30 + index as u64;
        let goroutine = sample.waiting(goid, "sync.Mutex.Lock", &LOCKED);
        let waiters = (index > 0).then_some(u32::try_from(index).unwrap());
        let lock = BlockedOn::Lock { kind, address: Avma(0xc0_0004_0000 + goid), waiters };
        let blocked_on = Some(sample.builder.blocked_on(lock));
        sample.builder.goroutine(DumpGoroutine { blocked_on, ..goroutine });
    }
    for (goid, remaining_ns) in [(40, Some(3_599 * SECOND.cast_signed())), (41, Some(-5))] {
        let goroutine = sample.waiting(goid, "sleep", &["time.Sleep runtime/time.go:195"]);
        let blocked_on = Some(sample.builder.blocked_on(BlockedOn::Sleep { remaining_ns }));
        sample.builder.goroutine(DumpGoroutine { blocked_on, ..goroutine });
    }
}

fn oddities(sample: &mut Sample) {
    let empty = sample.builder.stack(&[]);
    let mut running = DumpGoroutine::new(Goid(50), Status::Running, empty);
    running.created_by = Some(sample.frame("main.start /src/main.go:90"));
    running.locked = true;
    sample.builder.goroutine(running);
    let moved = DumpGoroutine { moved: true, ..DumpGoroutine::new(Goid(51), Status::Runnable, empty) };
    sample.builder.goroutine(moved);

    let frames = [
        "main.Ω</script><script>alert(1)</script>;\"&' /src/weird.go:41",
        "main.f-wrapper <autogenerated>:1",
        "runtime.gopanic runtime/panic.go:770",
        "main.main.func1 /src/main.go:42",
    ];
    let mut hostile = sample.waiting(52, "chan receive", &frames);
    hostile.scanning = true;
    hostile.labels = sample.builder.labels([("</script>", "\u{1}\n\u{202e}")]);
    sample.builder.goroutine(hostile);

    let unknown = Location {
        pc: 0x7f00_0000_1234,
        offset: 0,
        function: None,
        file: sample.builder.string(""),
        line: 0,
        inlined: false,
        exact: true,
    };
    let unknown = sample.builder.location(unknown);
    let caller = sample.frame("main._Cfunc_wait _cgo_gotypes.go:50");
    let stack = sample.builder.stack(&[unknown, caller]);
    sample.builder.goroutine(DumpGoroutine::new(Goid(53), Status::Syscall, stack));

    let frames = ["runtime.gopark runtime/proc.go:402", "plug.Wait /src/plug/plug.go:12"];
    let mut frames: Vec<_> = frames.iter().map(|frame| sample.frame(frame)).collect();
    frames.push(sample.cut(
        "...stack cut: no Go function table has this address...",
        0x7f00_0000_5678,
        "/srv/plug.so",
    ));
    let stack = sample.builder.stack(&frames);
    let mut cut = DumpGoroutine::new(Goid(54), Status::Waiting, stack);
    cut.cut = true;
    cut.created_by = Some(sample.frame("main.load /src/main.go:70"));
    sample.builder.goroutine(cut);
    sample.builder.completeness().cut_stacks = 1;

    let frames = ["runtime.gopark runtime/proc.go:402", "runtime.bgsweep runtime/mgcsweep.go:300"];
    let system = sample.waiting(2, "GC sweep wait", &frames);
    sample.builder.goroutine(DumpGoroutine { system: true, ..system });
}
