//! Records of inlined calls, in both formats.
//!
//! Sources: Go 1.19 `src/runtime/symtab.go` (`inlinedCall`), Go 1.20 and later `src/runtime/symtabinl.go`
//! (`inlinedCall`) and `src/cmd/link/internal/ld/pcln.go` (`genInlTreeSym`).

use super::{Format, FuncId, Function, Pclntab, TextOffset};
use crate::base::bytes;

/// One call that the compiler inlined into a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InlinedCall<'d> {
    /// The function that was called.
    pub name: &'d str,
    /// Whether that function is special to the runtime.
    pub id: FuncId,
    /// An instruction of the function that this was inlined into, at the place of the call: where the caller's
    /// line is to be looked up.
    pub parent: TextOffset,
    /// The line where the called function begins. Not known before Go 1.20.
    pub start_line: Option<u32>,
}

impl<'d> Pclntab<'d> {
    /// The `index`th record of the inline tree that `tree` begins with, of `function`.
    ///
    /// The tree is outside this table: at `gofunc`, which the module data knows, plus
    /// [`Function::inline_tree`].
    pub fn inlined_call(&self, function: &Function<'d>, tree: &[u8], index: u32) -> Option<InlinedCall<'d>> {
        let size = self.inline_record_size();
        let start = usize::try_from(index).ok()?.checked_mul(size)?;
        let record = tree.get(start..)?.get(..size)?;
        let [id, name, parent] = match self.format {
            Format::Go118 => [2, 12, 16],
            Format::Go120 => [0, 4, 8],
        };
        let start_line = match self.format {
            Format::Go118 => None,
            Format::Go120 => bytes::u32_at(record, 12),
        };
        Some(InlinedCall {
            name: self.name(bytes::u32_at(record, name)?),
            id: self.ids.get(bytes::u8_at(record, id)?),
            parent: function.entry().plus(bytes::u32_at(record, parent)?.into()),
            start_line,
        })
    }
}
