//! Frames as a report has them.

use crate::base::num::{Pc, ReturnPc};
use crate::go::symbols::Names;
use crate::schema::{Blocked, Frame};

/// The frames of a creator's stack.
pub(super) fn creators(pcs: &[ReturnPc], complete: bool, names: &mut Names<'_>) -> Vec<Frame> {
    let mut frames = names.stack(pcs);
    if !complete {
        frames.push(Frame::missing(Pc(0), "...stack cut: further frames were not read..."));
    }
    frames
}

impl Frame {
    /// What stands for the frames that are missing from `at` on.
    pub(super) fn missing(at: Pc, what: &str) -> Self {
        Self { function: Some(what.to_owned()), file: None, line: None, pc: Some(at.to_string()) }
    }
}

impl Blocked {
    /// `count` goroutines that stand at `stack` and wait for what `wait_reason` says.
    pub(crate) fn new(wait_reason: String, stack: Vec<Frame>, count: u64) -> Self {
        let innermost = stack.first().cloned();
        let (function, file, line) =
            innermost.map_or((None, None, None), |frame| (frame.function, frame.file, frame.line));
        Self { count, wait_reason, function, file, line, stack }
    }
}
