//! What is done with a core file.

use leaktrace_core::base::memory::Memory as _;
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::binary::elf::core_file::CoreFile;

/// Takes a core apart. The program that it is of is the part of `data` after the first two bytes' number of bytes.
pub(crate) fn core(data: &[u8]) {
    let Some((len, rest)) = data.split_first_chunk() else { return };
    let Some((program, core)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len))) else { return };
    let Ok(core) = CoreFile::parse(&core) else { return };
    let _ = (core.pid(), core.mappings().count());
    let Ok(exe) = Elf::parse(program) else { return };
    let Ok(bias) = core.bias(&exe) else { return };
    let memory = core.memory(&exe, bias);
    for segment in exe.segments() {
        let _ = memory.bytes(bias.to_avma(segment.svma), segment.mem_size, 1 << 16);
    }
    let _ = core.environ(&memory);
}
