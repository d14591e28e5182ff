//! What the profile formats have in common: wrappers are left out.

use crate::goroutines::Dump;
use crate::goroutines::model::{FunctionKind, NamedFrame, StackId};

/// The frames of a stack, innermost first, without the wrappers that profiles leave out.
pub(super) fn without_wrappers(dump: &Dump, stack: StackId) -> impl Iterator<Item = NamedFrame<'_>> {
    dump.frames(stack).filter(wrapper_rule())
}

/// The same, in groups: the frames that were inlined into one, and that one.
pub(super) fn physical_frames(dump: &Dump, stack: StackId) -> Vec<Vec<NamedFrame<'_>>> {
    let frames: Vec<_> = dump.frames(stack).collect();
    let mut keep = wrapper_rule();
    let groups = frames.chunk_by(|frame, _| frame.inlined);
    groups.map(|frames| frames.iter().copied().filter(&mut keep).collect()).collect()
}

/// Decides for one frame after the other whether it is kept.
fn wrapper_rule() -> impl FnMut(&NamedFrame<'_>) -> bool {
    let mut callee = FunctionKind::Normal;
    move |frame| {
        let keep = frame.kind != FunctionKind::Wrapper || callee == FunctionKind::Panic;
        callee = frame.kind;
        keep
    }
}
