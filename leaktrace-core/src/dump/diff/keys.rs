//! What groups are matched by: names that another build and another process have as well.

use crate::base::hash::KeyedMap;
use crate::dump::group::By;
use crate::goroutines::Dump;
use crate::goroutines::model::{BlockedOn, ChannelOperation, DumpGoroutine, FunctionKind, StackId};

/// Finds the key of one goroutine after the other, and the names of each stack only once.
pub(super) struct Keys<'d> {
    dump: &'d Dump,
    by: By,
    stacks: KeyedMap<StackId, String>,
}

impl<'d> Keys<'d> {
    pub(super) fn new(dump: &'d Dump, by: By) -> Self {
        Self { dump, by, stacks: KeyedMap::default() }
    }

    /// What the goroutine has in common with others of its kind, in one line.
    pub(super) fn key(&mut self, goroutine: &DumpGoroutine) -> String {
        let dump = self.dump;
        match self.by {
            By::Stack => format!("{} ({})", self.names(goroutine.stack), dump.doing(goroutine)),
            By::CreatedBy => {
                let started = self.names(goroutine.stack);
                format!("{} started {started}", creator(dump, goroutine))
            }
            By::Wait => dump.doing(goroutine).to_owned(),
            By::BlockedOn => {
                let standing = self.names(goroutine.stack);
                format!("{} in {standing}", blocked(dump, goroutine))
            }
        }
    }

    /// Of the stack, that which the grouping looks at: all of it, the function that was started, or the one that
    /// blocks.
    fn names(&mut self, stack: StackId) -> &str {
        let (dump, by) = (self.dump, self.by);
        self.stacks.entry(stack).or_insert_with(|| names(dump, by, stack))
    }
}

fn names(dump: &Dump, by: By, stack: StackId) -> String {
    let name = |function: &str| dump.printed_name(function);
    let names: Vec<_> = match by {
        By::Stack | By::Wait => dump.shown_frames(stack).map(|frame| name(frame.function)).collect(),
        By::BlockedOn => dump.standing_at(stack).map(|frame| name(frame.function)).into_iter().collect(),
        By::CreatedBy => {
            let started = |kind| !matches!(kind, FunctionKind::Goexit | FunctionKind::Wrapper);
            let started = dump.frames(stack).rev().find(|frame| started(frame.kind));
            // Of a stack that is cut it is not known.
            let started = started.filter(|frame| frame.kind != FunctionKind::Cut);
            started.map(|frame| name(frame.function)).into_iter().collect()
        }
    };
    if names.is_empty() { "(unknown)".to_owned() } else { names.join(" < ") }
}

fn creator(dump: &Dump, goroutine: &DumpGoroutine) -> String {
    let created_by = goroutine.created_by.map(|at| dump.printed_name(dump.frame(at).function));
    created_by.unwrap_or_else(|| "(unknown)".to_owned())
}

/// The kind of thing that the goroutine is blocked on: its address means nothing in another process.
fn blocked(dump: &Dump, goroutine: &DumpGoroutine) -> String {
    let operation = |operation: ChannelOperation| format!("chan {}", operation.as_str());
    let Some(blocked) = goroutine.blocked_on.and_then(|id| dump.tables.blocked(id)) else {
        return dump.doing(goroutine).to_owned();
    };
    match blocked {
        BlockedOn::Channel { operation: wanted, channel } => {
            let element = dump.tables.channel(*channel).and_then(|channel| channel.element);
            let element = element.map(|id| format!(" of {}", dump.string(id))).unwrap_or_default();
            operation(*wanted) + &element
        }
        BlockedOn::NilChannel { operation: wanted } => operation(*wanted) + " on a nil channel",
        BlockedOn::Select { cases } => format!("select of {}", cases.len()),
        BlockedOn::NoCases => "select without cases".to_owned(),
        BlockedOn::Lock { kind, .. } => kind.as_str().to_owned(),
        BlockedOn::Sleep { .. } => "sleep".to_owned(),
        BlockedOn::Io { .. } => "IO".to_owned(),
    }
}
