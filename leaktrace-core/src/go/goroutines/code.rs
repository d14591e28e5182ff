//! A program's function tables as the walk asks for them.

use crate::base::num::Pc;
use crate::go::moduledata::Modules;
use crate::go::unwind::{FrameRule, FrameRules};

use super::{Code, StartKind};

impl FrameRules for Modules<'_> {
    fn rule(&self, pc: Pc) -> Option<FrameRule> {
        let (module, function) = self.function(pc)?;
        Some(FrameRule::of(&function, module.text_offset(pc)?))
    }
}

impl Code for Modules<'_> {
    /// A goroutine that no known function started counts as the program's, as with the runtime: those that C
    /// threads call into Go with have no start function.
    fn start_kind(&self, entry: Pc) -> StartKind {
        self.function(entry).map_or(StartKind::User, |(_, function)| StartKind::of(&function))
    }
}
