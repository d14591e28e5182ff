//! Where single `go` statements run: the call of `runtime.newproc` whose return address goroutines keep in `g.gopc`.
//!
//! On both architectures the kernel steps over such a call without a second trap. The goroutine that runs it is in Go's
//! own register for that, and what it starts is the first argument (`src/runtime/proc.go`, go1.19 to go1.27); the new
//! goroutine does not exist yet. Assembly calls another copy of `newproc`, with arguments on the stack: not looked for.

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;

use crate::base::num::{ReturnPc, Svma};
use crate::base::path::base_name;
use crate::binary::disasm::{self, Operation};
use crate::binary::elf::Arch;
use crate::go::moduledata::Modules;
use crate::go::symbolize::{SymbolFrame, display_name, expand, go_statement};
use crate::schema::Location;
use crate::trace::plan::statement::Statement;
use crate::trace::plan::{AttachPlan, Cost, PlanError, Planner, Site};

const NEWPROC: &str = "runtime.newproc";
/// The most calls of `newproc` that are looked at. The largest programs have some thousands.
const MAX_CALLS: usize = 1 << 16;
/// The most instructions that are probed: a generic function may have many instances.
const MAX_PLACES: usize = 256;
/// How many near matches are named.
const LISTED: usize = 4;

/// What may be a call of `newproc`.
struct Call<'d> {
    at: Svma,
    creation_pc: ReturnPc,
    /// What is called there, the innermost inlined function first.
    frames: Vec<SymbolFrame<'d>>,
}

impl<'d> Planner<'_, 'd> {
    /// The instructions of all these `go` statements.
    pub(super) fn statements(
        &self,
        modules: &Modules<'d>,
        wanted: &[Statement],
    ) -> Result<AttachPlan, PlanError> {
        let calls = self.calls_of_newproc(modules);
        let mut plan = AttachPlan::default();
        for statement in wanted {
            let mut is_known = false;
            for call in calls.iter().filter(|call| statement.is_at(&call.frames)) {
                // Another name of it may have been given before.
                if plan.sites.iter().any(|site| site.svma == call.at) {
                    is_known = true;
                } else if let Some(site) = self.creation(call, statement)? {
                    is_known = true;
                    plan.sites.push(site);
                    plan.statements.push(call.location());
                }
            }
            if !is_known {
                return Err(unknown(statement, &calls, modules));
            }
            if plan.sites.len() > MAX_PLACES {
                let (statement, places) = (statement.to_string(), plan.sites.len());
                return Err(PlanError::TooManyPlaces { statement, places, most: MAX_PLACES });
            }
        }
        Ok(plan)
    }

    /// Everything in the text that looks like a call of `newproc`.
    fn calls_of_newproc(&self, modules: &Modules<'d>) -> Vec<Call<'d>> {
        let Some(newproc) = self.code.function(NEWPROC) else { return Vec::new() };
        let (arch, (start, text)) = (self.code.arch(), self.code.text());
        let references = disasm::references_to(arch, start, text, self.code.address(newproc.entry()));
        let calls = references.into_iter().take(MAX_CALLS).filter_map(|at| {
            let creation_pc = ReturnPc(self.code.bias().to_avma(at.plus(call_len(arch))).0);
            let mut frames = Vec::new();
            expand(modules, creation_pc.call_site(), &mut frames);
            // `newproc` jumps to its own beginning when its stack has grown.
            let is_caller = frames.last().is_some_and(|caller| caller.function != NEWPROC);
            is_caller.then_some(Call { at, creation_pc, frames })
        });
        calls.collect()
    }

    /// The instruction of a call that was asked for; `None` where the bytes look like a call inside of another instruction.
    fn creation(&self, call: &Call<'d>, statement: &Statement) -> Result<Option<Site>, PlanError> {
        let refused = |why: String| {
            let (statement, function) = (statement.to_string(), call.function());
            PlanError::NotProbed { statement, function, why }
        };
        let Some(function) = self.code.function_at(call.at) else { return Ok(None) };
        let body = self.body(&function).map_err(|error| refused(error.to_string()))?;
        let Some(index) = body.index_of(call.at) else { return Ok(None) };
        let instruction = &body.instructions[index];
        if !matches!(instruction.operation, Operation::Call(Some(_))) {
            return Err(refused(format!("it jumps to {NEWPROC} instead of calling it")));
        }
        if function.flags().is_assembly() {
            return Err(refused(
                "it is written in assembly, and no goroutine may be running there".to_owned(),
            ));
        }
        let reason =
            "the call that starts the goroutine, whose creator is running; no other birth comes here";
        let site = self.site(Kind::Site, &function, &body, instruction, GRegister::Current, reason);
        match site {
            Some(site) if site.cost == Cost::Emulated => Ok(Some(site)),
            Some(site) => {
                Err(refused(format!("the kernel would single-step its call, {:02x?}", site.expected)))
            }
            None => Err(refused("its code is not in the file".to_owned())),
        }
    }
}

impl Call<'_> {
    /// The function as Go prints it.
    fn function(&self) -> String {
        go_statement(&self.frames).map(|at| display_name(at.function).into_owned()).unwrap_or_default()
    }

    /// Where the `go` statement is, as reports say it.
    fn location(&self) -> Location {
        let at = go_statement(&self.frames);
        Location {
            function: at.map(|at| display_name(at.function).into_owned()),
            file: at.map(|at| at.file.to_owned()),
            line: at.map(|at| at.line),
            pc: self.creation_pc.to_string(),
        }
    }

    /// It in a form that can be typed, and its function.
    fn text(&self) -> String {
        let (file, line) = self.frames.first().map_or(("", 0), |innermost| (innermost.file, innermost.line));
        format!("{}:{line} in {}", base_name(file), self.function())
    }
}

/// How long a call is that can be probed: `call rel32`, and `bl`.
const fn call_len(arch: Arch) -> u64 {
    match arch {
        Arch::Amd64 => 5,
        Arch::Arm64 => 4,
    }
}

/// Why there is no such `go` statement, and which ones may have been meant.
fn unknown(statement: &Statement, calls: &[Call<'_>], modules: &Modules<'_>) -> PlanError {
    if let Some(plugin) = plugin_of(statement, modules) {
        return PlanError::InPlugin { statement: statement.to_string(), plugin };
    }
    let distances = calls.iter().filter_map(|call| Some((statement.distance(&call.frames)?, call)));
    let mut near: Vec<(u32, String)> = distances.map(|(distance, call)| (distance, call.text())).collect();
    near.sort_unstable();
    near.dedup();
    let near = near.into_iter().map(|(_, text)| text).take(LISTED).collect();
    PlanError::NoStatement { statement: statement.to_string(), near }
}

/// The plugin that has a function in which a `go` statement may be.
fn plugin_of(statement: &Statement, modules: &Modules<'_>) -> Option<String> {
    let plugins = modules.iter().filter_map(|module| Some((module.plugin_path.clone()?, module)));
    let mut having = plugins.filter(|(_, module)| {
        module.pclntab.functions().any(|function| {
            let file = function.line(function.entry()).map_or("", |begin| begin.file);
            statement.may_be_in(function.name(), file)
        })
    });
    having.next().map(|(path, _)| path)
}
