//! A running target as the core sees it: its file, where that was loaded, and its memory.

use leaktrace::process::find::HeldProcess;
use leaktrace::process::memory::ProcessMemory;
use leaktrace::process::{Pid, Procfs};
use leaktrace_core::base::num::Bias;
use leaktrace_core::binary::elf::Elf;

/// A process whose program is at hand.
pub(crate) struct Live {
    target: HeldProcess,
    procfs: Procfs,
    /// Its memory.
    pub(crate) memory: ProcessMemory,
}

impl Live {
    /// The process `pid`.
    pub(crate) fn open(pid: u32) -> Self {
        let (procfs, pid) = (Procfs::system(), Pid(pid));
        let target = HeldProcess::open(&procfs, pid).expect("the process can be opened");
        Self { target, procfs, memory: ProcessMemory::new(pid) }
    }

    /// The bytes of its program.
    pub(crate) fn file(&self) -> &[u8] {
        self.target.exe.bytes()
    }

    /// Where the program was loaded.
    pub(crate) fn bias(&self, elf: &Elf<'_>) -> Bias {
        let segments = elf.segments().iter().map(|segment| (segment.svma, segment.file_offset));
        self.target.bias(&self.procfs, segments).expect("the program is mapped")
    }
}

/// The same file without its section headers: as if it had been stripped to the bone.
pub(crate) fn without_sections(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    // e_shoff, and e_shentsize, e_shnum, e_shstrndx
    file[0x28..0x30].fill(0);
    file[0x3a..0x40].fill(0);
    file
}
