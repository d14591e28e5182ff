//! Where each release keeps the fields of `moduledata`.

/// Offsets of the fields of `runtime.moduledata` that have moved, the same on amd64 and arm64.
///
/// Source: `src/runtime/symtab.go`. The fields up to offset 256 have not moved since Go 1.18.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moduledata {
    /// `types`
    pub types: usize,
    /// `etypes`
    pub etypes: usize,
    /// `rodata`
    pub rodata: usize,
    /// `gofunc`
    pub gofunc: usize,
    /// `textsectmap`
    pub textsectmap: usize,
    /// `pluginpath`
    pub pluginpath: usize,
    /// `next`
    pub next: usize,
}
