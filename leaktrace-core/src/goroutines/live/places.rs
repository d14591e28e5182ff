//! Addresses with their names, each looked up once.

use crate::base::hash::KeyedMap;
use crate::base::num::{Pc, ReturnPc};
use crate::go::goroutines::{Stack, StackEnd};
use crate::go::pclntab::FuncId;
use crate::go::program::Program;
use crate::go::symbolize::{SymbolFrame, expand, go_statement};
use crate::goroutines::DumpBuilder;
use crate::goroutines::model::{Function, FunctionKind, Location, LocationId};

/// The places of one program.
pub(super) struct Places<'p> {
    program: &'p Program<'p>,
    /// By the address and whether it is that of the instruction itself.
    known: KeyedMap<(ReturnPc, bool), NamedCode>,
    /// The `go` statements, by the address after them.
    creators: KeyedMap<ReturnPc, Option<LocationId>>,
    frames: Vec<SymbolFrame<'p>>,
    unknown: u64,
    /// The end of every complete stack, which a walk leaves out.
    goexit: Option<ReturnPc>,
}

/// What is at one address.
#[derive(Clone)]
struct NamedCode {
    locations: Vec<LocationId>,
    /// The function that the code is of.
    id: Option<FuncId>,
}

impl<'p> Places<'p> {
    pub(super) fn new(program: &'p Program<'p>) -> Self {
        Self {
            program,
            known: KeyedMap::default(),
            creators: KeyedMap::default(),
            frames: Vec::new(),
            unknown: 0,
            goexit: goexit(program),
        }
    }

    /// How many addresses have no name.
    pub(super) const fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The places of a stack.
    pub(super) fn stack(&mut self, stack: Stack<'_>, builder: &mut DumpBuilder) -> Vec<LocationId> {
        let goexit = self.goexit.filter(|_| stack.end == StackEnd::Outermost);
        let mut locations = Vec::with_capacity(stack.pcs.len() + 1);
        let mut callee = None;
        for &pc in stack.pcs.iter().chain(&goexit) {
            let exact = callee.map_or_else(|| self.is_entry(pc), is_injected);
            let place = self.at(pc, exact, builder);
            locations.extend(&place.locations);
            callee = Some(place.id.unwrap_or(FuncId::Normal));
        }
        locations.extend(stack.end.cut().map(|(at, name)| cut(at, name, builder)));
        locations
    }

    /// What is known of the stack of a goroutine that is executing: the function that it was started with is at its outer
    /// end as long as it lives. Nothing if that is no function of the program.
    pub(super) fn started_with(&mut self, start: Pc, builder: &mut DumpBuilder) -> Vec<LocationId> {
        let pc = ReturnPc(start.0.wrapping_add(1));
        if !self.is_entry(pc) || Some(pc) == self.goexit {
            return Vec::new();
        }
        self.stack(Stack { pcs: &[pc], end: StackEnd::Outermost }, builder)
    }

    /// Where a `go` statement is, as Go prints it: in the physical function, on the line of the innermost call.
    pub(super) fn created_by(&mut self, pc: ReturnPc, builder: &mut DumpBuilder) -> Option<LocationId> {
        if let Some(&known) = self.creators.get(&pc) {
            return known;
        }
        let creator = self.find_creator(pc, builder);
        self.creators.insert(pc, creator);
        creator
    }

    fn find_creator(&mut self, pc: ReturnPc, builder: &mut DumpBuilder) -> Option<LocationId> {
        self.look_up(pc);
        Some(location(&go_statement(&self.frames)?, false, builder))
    }

    fn at(&mut self, pc: ReturnPc, exact: bool, builder: &mut DumpBuilder) -> &NamedCode {
        if !self.known.contains_key(&(pc, exact)) {
            let place = self.find(pc, exact, builder);
            self.known.insert((pc, exact), place);
        }
        &self.known[&(pc, exact)]
    }

    fn find(&mut self, pc: ReturnPc, exact: bool, builder: &mut DumpBuilder) -> NamedCode {
        self.look_up(pc);
        let Some(physical) = self.frames.last() else {
            self.unknown += 1;
            return NamedCode { locations: vec![nameless(pc, builder)], id: None };
        };
        let id = Some(physical.id);
        // Only the innermost one has the address that is on the stack.
        let frames = self.frames.iter().enumerate();
        let locations = frames.map(|(index, frame)| location(frame, exact && index == 0, builder)).collect();
        NamedCode { locations, id }
    }

    /// Sets `frames` to what is at `pc`.
    fn look_up(&mut self, pc: ReturnPc) {
        self.frames.clear();
        expand(&self.program.modules, pc.call_site(), &mut self.frames);
    }

    /// Whether a goroutine with this innermost address has not begun: it is about to execute the instruction.
    fn is_entry(&self, pc: ReturnPc) -> bool {
        let function = self.program.modules.function(pc.call_site());
        function.is_some_and(|(module, function)| module.entry(&function) == pc.call_site())
    }
}

/// Whether a function is called by no call: its caller's address is that of the instruction it was called at.
const fn is_injected(callee: FuncId) -> bool {
    matches!(callee, FuncId::Sigpanic | FuncId::AsyncPreempt | FuncId::DebugCall)
}

fn goexit(program: &Program<'_>) -> Option<ReturnPc> {
    let module = program.modules.main();
    let function = module.pclntab.function_named("runtime.goexit")?;
    let quantum = u64::from(module.pclntab.quantum());
    Some(ReturnPc(module.entry(&function).0.wrapping_add(quantum)))
}

fn location(frame: &SymbolFrame<'_>, exact: bool, builder: &mut DumpBuilder) -> LocationId {
    let name = builder.string(frame.function);
    let function = Function { name, start_line: frame.start_line, kind: frame.id.into() };
    let pc = frame.pc.0.wrapping_add(u64::from(!exact));
    let location = Location {
        pc,
        offset: pc.saturating_sub(frame.entry.0),
        function: Some(builder.function(function)),
        file: builder.string(frame.file),
        line: frame.line,
        inlined: frame.inlined,
        exact,
    };
    builder.location(location)
}

/// What stands for the frames that are missing from `at` on.
fn cut(at: Pc, name: &str, builder: &mut DumpBuilder) -> LocationId {
    let name = builder.string(name);
    let function = Function { name, start_line: None, kind: FunctionKind::Cut };
    let function = Some(builder.function(function));
    let file = builder.mapped_file(at.0).unwrap_or_default().to_owned();
    let file = builder.string(&file);
    builder.location(Location { pc: at.0, offset: 0, function, file, line: 0, inlined: false, exact: false })
}

fn nameless(pc: ReturnPc, builder: &mut DumpBuilder) -> LocationId {
    let file = builder.string("");
    let (function, inlined, exact) = (None, false, false);
    builder.location(Location { pc: pc.0, offset: 0, function, file, line: 0, inlined, exact })
}
