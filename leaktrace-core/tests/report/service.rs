//! A service with made-up code, watched as a real one is.

use std::collections::BTreeMap;

use leaktrace_common::event::Kind;
use leaktrace_core::base::num::{Avma, GPtr, Goid, Ktime, Pc, ReturnPc};
use leaktrace_core::go::goroutines::{
    Goroutine, GoroutineKind, Snapshot, StackBounds, StackEnd, StackTable, Want,
};
use leaktrace_core::go::names::Status;
use leaktrace_core::go::own::Own;
use leaktrace_core::go::pclntab::FuncId;
use leaktrace_core::go::symbols::{Symbol, Symbols};
use leaktrace_core::judge::detect::{Finding, Ignore};
use leaktrace_core::report::{Sources, View, build};
use leaktrace_core::schema::{Overhead, Report, TargetInfo, Traced};
use leaktrace_core::trace::decode::{About, BirthEvent, EndEvent, Event, ParkEvent, Stack};
use leaktrace_core::trace::registry::Registry;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const HOUR: u64 = 3_600 * SECOND;
pub(crate) const SELECT: u8 = 9;
pub(crate) const SEND: u8 = 15;

/// A function, its file, and what the runtime calls it.
type Function = (String, String, FuncId);

/// Names for code that is not there: function `n` covers the 256 addresses from `n << 8`, one line each.
#[derive(Default)]
pub(crate) struct Code {
    functions: BTreeMap<u64, Function>,
}

impl Code {
    /// The return address of a call in line `line` of `function`.
    pub(crate) fn at(&mut self, function: &str, file: &str, line: u64) -> ReturnPc {
        let id = match function {
            "runtime.main" => FuncId::RuntimeMain,
            function if function.contains(".gowrap") => FuncId::Wrapper,
            _ => FuncId::Normal,
        };
        let known = self.functions.iter().find(|(_, known)| known.0 == function).map(|(number, _)| *number);
        let number = known.unwrap_or(16 + self.functions.len() as u64);
        self.functions.insert(number, (function.to_owned(), file.to_owned(), id));
        ReturnPc((number << 8 | line) + 1)
    }
}

impl Symbols for Code {
    fn symbols<'s>(&'s self, pc: Pc, out: &mut Vec<Symbol<'s>>) {
        if let Some((function, file, id)) = self.functions.get(&(pc.0 >> 8)) {
            let line = u32::try_from(pc.0 & 0xff).ok();
            out.push(Symbol { function, file: Some(file.into()), line, id: *id, native: false });
        }
    }

    fn wait_reason(&self, number: u8) -> Option<&str> {
        match number {
            SELECT => Some("select"),
            SEND => Some("chan send"),
            _ => None,
        }
    }
}

/// A watched service: what happens to it, and what its memory will show.
pub(crate) struct Service {
    pub(crate) code: Code,
    pub(crate) registry: Registry,
    memory: Vec<Goroutine>,
    stacks: StackTable,
    pub(crate) traced: Traced,
    pub(crate) overhead: Overhead,
    pub(crate) notices: Vec<String>,
    pub(crate) ignore: Ignore,
    pub(crate) own: Own,
    pub(crate) findings: Vec<Finding>,
}

/// One `go` statement of a service.
pub(crate) struct Go {
    pub(crate) site: ReturnPc,
    pub(crate) start: Pc,
    pub(crate) creators: Vec<ReturnPc>,
    pub(crate) stands: Vec<ReturnPc>,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self {
            code: Code::default(),
            registry: Registry::new(Ktime(HOUR)),
            memory: Vec::new(),
            stacks: StackTable::new(),
            traced: Traced::default(),
            overhead: Overhead::default(),
            notices: Vec::new(),
            ignore: Ignore::default(),
            own: Own::new(None, &["order.".to_owned()]),
            findings: Vec::new(),
        }
    }

    pub(crate) fn event(&mut self, event: &Event<'_>) {
        self.traced.produced += 1;
        self.traced.decoded += 1;
        self.registry.apply(event);
    }

    pub(crate) fn birth(&mut self, at: u64, goid: u64, go: &Go) {
        self.birth_by(at, goid, 1, go);
    }

    /// A goroutine is born that `parent` started.
    pub(crate) fn birth_by(&mut self, at: u64, goid: u64, parent: u64, go: &Go) {
        let bytes: Vec<u8> = go.creators.iter().flat_map(|pc| pc.0.to_ne_bytes()).collect();
        self.event(&Event::Birth(BirthEvent {
            about: about(at, goid),
            parent: Some(Goid(parent)),
            creation_pc: go.site,
            start_pc: go.start,
            stack: Stack::from_bytes(&bytes),
            stack_state: leaktrace_common::event::StackState::Complete,
        }));
    }

    pub(crate) fn park(&mut self, at: u64, goid: u64, wait_reason: u8) {
        self.event(&Event::Park(ParkEvent { about: about(at, goid), wait_reason }));
    }

    pub(crate) fn end(&mut self, at: u64, goid: u64) {
        self.event(&Event::End(EndEvent { about: about(at, goid) }));
    }

    /// The next snapshot shows this goroutine.
    pub(crate) fn in_memory(
        &mut self,
        goid: u64,
        go: &Go,
        status: Status,
        wait_reason: u8,
    ) -> &mut Goroutine {
        let lo = goid << 20;
        self.memory.push(Goroutine {
            goid: Goid(goid),
            g: GPtr(goid << 9),
            parent_goid: Some(Goid(1)),
            gopc: go.site,
            startpc: go.start,
            stack: StackBounds { lo: Avma(lo), hi: Avma(lo + 8192) },
            wait_since: None,
            labels: Avma(0),
            waiting: Avma(0),
            stack_id: self.stacks.intern(&go.stands, StackEnd::Outermost),
            stack_used: 400,
            status,
            wait_reason,
            tracking_seq: None,
            locked: false,
            moved: false,
            kind: GoroutineKind::User,
        });
        let last = self.memory.len() - 1;
        &mut self.memory[last]
    }

    /// The stack of the goroutine that was added last ends so.
    pub(crate) fn cut_last(&mut self, end: StackEnd) {
        let last = self.memory.last_mut().expect("there is one");
        let whole = last.stack_id.and_then(|id| self.stacks.get(id)).expect("it has a stack").pcs.to_vec();
        last.stack_id = self.stacks.intern(&whole, end);
    }

    /// Takes the snapshot at `at`, which shows who will still be there in the next one.
    pub(crate) fn look(&mut self, at: u64) {
        let snapshot = self.snapshot(at, self.memory.clone());
        self.registry.expect_snapshot();
        self.registry.reconcile(&snapshot);
    }

    fn snapshot(&self, at: u64, goroutines: Vec<Goroutine>) -> Snapshot {
        Snapshot {
            goroutines,
            stacks: self.stacks.clone(),
            started: Ktime(at),
            finished: Ktime(at),
            want: Want::Stacks,
            unreadable: 0,
            moved: 0,
            dead: 0,
            beyond_limit: 0,
        }
    }

    /// Takes the snapshot at `at` and reports on it.
    pub(crate) fn report(&mut self, at: u64, view: &View) -> Report {
        let goroutines = std::mem::take(&mut self.memory);
        let snapshot = self.snapshot(at, goroutines);
        self.registry.expect_snapshot();
        self.registry.reconcile(&snapshot);
        let sources = Sources {
            target: TargetInfo {
                pid: 1234,
                exe: "/usr/bin/orders".to_owned(),
                go_version: Some("go1.26.6".to_owned()),
                build_id: Some("4f1d0c".to_owned()),
                arch: "amd64".to_owned(),
                main_module: None,
            },
            registry: &self.registry,
            snapshot: Some(&snapshot),
            symbols: &self.code,
            now: Ktime(at),
            unix_ns: Some(1_795_192_000_000_000_000),
            probes: &Kind::IN_RUNTIME,
            traced: self.traced.clone(),
            overhead: self.overhead.clone(),
            findings: std::mem::take(&mut self.findings),
            ignore: &self.ignore,
            own: &self.own,
            notices: self.notices.clone(),
        };
        build(sources, view)
    }
}

pub(crate) fn about(at: u64, goid: u64) -> About {
    About { target: 0, ktime: Ktime(at), goid: Goid(goid), g: GPtr(goid << 9) }
}

impl Go {
    /// `go start(…)` in `main.(*Server).accept`, whose goroutines wait in a `select`.
    pub(crate) fn simple(code: &mut Code, name: &str) -> Self {
        let file = format!("/src/{name}/{name}.go");
        let site = code.at(&format!("{name}.(*Server).accept"), &file, 41);
        let main = code.at("main.main", "/src/main.go", 12);
        let runtime_main = code.at("runtime.main", "/go/src/runtime/proc.go", 250);
        let serve = format!("{name}.(*Server).serve");
        let start = Pc(code.at(&serve, &file, 0).call_site().0);
        let stands = vec![
            code.at("runtime.gopark", "/go/src/runtime/proc.go", 200),
            code.at("runtime.selectgo", "/go/src/runtime/select.go", 100),
            code.at(&serve, &file, 93),
        ];
        Self { site, start, creators: vec![ReturnPc(7), site, main, runtime_main], stands }
    }
}
