//! Functions of our own to probe, for measuring what a hit costs and for tests. They are copies of one that has
//! an instruction of each cost, with a `g` and the thread's `g0` where Go keeps them.

use std::arch::global_asm;
use std::fs::File;
use std::io;

use leaktrace_common::layout::GoLayout;
use leaktrace_core::base::num::{Avma, FileOffset};
use leaktrace_core::trace::plan::Cost;

use crate::process::maps::Maps;
use crate::process::{Pid, Procfs};

/// Where our own binary is found.
pub(crate) const OWN_EXE: &str = "/proc/self/exe";

// The offsets in `offset_of` are those of these instructions.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .text.leaktrace_specimen,\"ax\",@progbits",
    ".hidden leaktrace_specimen",
    ".globl leaktrace_specimen",
    ".type leaktrace_specimen,@function",
    ".balign 32",
    "leaktrace_specimen:",
    ".rept 24",
    ".balign 32, 0xcc",
    "push r14",
    "mov r14, rsi",
    "mov rax, rdi",
    "push rbp",
    "mov rax, rax",
    "pop rbp",
    "pop r14",
    "ret",
    ".endr",
    ".size leaktrace_specimen, . - leaktrace_specimen",
    ".popsection",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .text.leaktrace_specimen,\"ax\",@progbits",
    ".hidden leaktrace_specimen",
    ".globl leaktrace_specimen",
    ".type leaktrace_specimen,@function",
    ".balign 32",
    "leaktrace_specimen:",
    ".rept 24",
    ".balign 32",
    "stp x28, x30, [sp, #-16]!",
    "mov x28, x1",
    "b .+4",
    "mov x0, x0",
    "ldp x28, x30, [sp], #16",
    "ret",
    ".endr",
    ".size leaktrace_specimen, . - leaktrace_specimen",
    ".popsection",
);

/// How far the copies are apart.
const STRIDE: u64 = 32;

type Function = unsafe extern "C" fn(g: *const u64, g0: *const u64);

unsafe extern "C" {
    fn leaktrace_specimen(g: *const u64, g0: *const u64);
}

/// Where in the function the instruction of this cost is.
#[cfg(target_arch = "x86_64")]
const fn offset_of(cost: Cost) -> u64 {
    match cost {
        Cost::Emulated => 8,
        Cost::SingleStepped => 9,
    }
}

/// Where in the function the instruction of this cost is.
#[cfg(target_arch = "aarch64")]
const fn offset_of(cost: Cost) -> u64 {
    match cost {
        Cost::Emulated => 8,
        Cost::SingleStepped => 12,
    }
}

/// One of the copies of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Specimen(u64);

impl Specimen {
    /// How many there are.
    pub const COUNT: u64 = 24;

    /// The one with this number; numbers beyond the last begin anew.
    pub const fn new(number: u64) -> Self {
        Self(number % Self::COUNT)
    }

    /// Where in our binary its instruction of this cost is.
    pub fn place(self, cost: Cost) -> io::Result<FileOffset> {
        let address = self.at(cost).0;
        let maps = Maps::read(&Procfs::system(), Pid::own()).map_err(io::Error::other)?;
        let mapping = maps.iter().find(|mapping| (mapping.start.0..mapping.end.0).contains(&address));
        mapping
            .map(|mapping| mapping.offset.plus(address - mapping.start.0))
            .ok_or_else(|| io::Error::other("the specimens are not in a mapping of this process"))
    }

    /// Where in our memory its instruction of this cost is.
    pub fn at(self, cost: Cost) -> Avma {
        Avma(self.address() + offset_of(cost))
    }

    fn address(self) -> u64 {
        leaktrace_specimen as *const () as u64 + self.0 * STRIDE
    }

    fn call(self, g: *const u64, g0: *const u64) {
        // SAFETY: every copy has the type of the first.
        let function: Function = unsafe { std::mem::transmute(self.address()) };
        // SAFETY: the function only moves its arguments between registers, which it restores.
        unsafe { function(g, g0) };
    }
}

/// Our own binary, for attaching.
pub fn own_exe() -> io::Result<File> {
    File::open(OWN_EXE)
}

/// Enough of the Go runtime's structs for a probe to find what it looks for: a new goroutine, and a thread that
/// runs it on behalf of another.
pub struct Goroutines {
    g: Box<[u64; word::ALL]>,
    g0: Box<[u64; word::ALL]>,
    m: Box<[u64; word::ALL]>,
    curg: Box<[u64; word::ALL]>,
    frames: Box<[[u64; 2]]>,
}

/// Where [`Goroutines`] keeps things, in words, with the distances of Go 1.26: what the programs read in one go
/// depends on them.
mod word {
    pub(super) const GOID: usize = 0;
    pub(super) const WAITREASON: usize = 3;
    pub(super) const PARENT_GOID: usize = 16;
    pub(super) const GOPC: usize = 17;
    pub(super) const STARTPC: usize = 19;
    pub(super) const M: usize = 20;
    pub(super) const SCHED_BP: usize = 21;
    pub(super) const CURG: usize = 0;
    /// How long everything is.
    pub(super) const ALL: usize = 22;
}

/// What the specimen's goroutines say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The new goroutine's id.
    pub goid: u64,
    /// The id of the goroutine that creates or wakes it.
    pub parent_goid: u64,
    /// The return address of the `go` statement.
    pub creation_pc: u64,
    /// The entry of the function that was started.
    pub start_pc: u64,
    /// Why it waits.
    pub wait_reason: u8,
}

impl Goroutines {
    /// Makes them, with a creator that is `depth` frames deep: its return addresses are 1, 2 and so on.
    pub fn new(identity: Identity, depth: usize) -> Self {
        let mut frames: Box<[[u64; 2]]> = (1..=depth as u64).map(|pc| [0, pc]).collect();
        for index in 1..depth {
            frames[index - 1][0] = address(&frames[index]);
        }
        let mut curg = Box::new([0; word::ALL]);
        curg[word::GOID] = identity.parent_goid;
        curg[word::SCHED_BP] = frames.first().map_or(0, address);
        let mut m = Box::new([0; word::ALL]);
        m[word::CURG] = address(&*curg);
        let mut g0 = Box::new([0; word::ALL]);
        g0[word::M] = address(&*m);
        let mut g = Box::new([0; word::ALL]);
        g[word::GOID] = identity.goid;
        g[word::WAITREASON] = u64::from(identity.wait_reason);
        g[word::PARENT_GOID] = identity.parent_goid;
        g[word::GOPC] = identity.creation_pc;
        g[word::STARTPC] = identity.start_pc;
        Self { g, g0, m, curg, frames }
    }

    /// Where they keep things.
    pub const fn layout() -> GoLayout {
        GoLayout {
            g_goid: offset(word::GOID),
            g_parent_goid: offset(word::PARENT_GOID),
            g_gopc: offset(word::GOPC),
            g_startpc: offset(word::STARTPC),
            g_waitreason: offset(word::WAITREASON),
            g_m: offset(word::M),
            g_sched_bp: offset(word::SCHED_BP),
            m_curg: offset(word::CURG),
        }
    }

    /// The address of the new goroutine's `g`.
    pub fn g(&self) -> u64 {
        address(&*self.g)
    }

    /// The address of the thread's `g0`.
    pub fn g0(&self) -> u64 {
        address(&*self.g0)
    }

    /// Runs a specimen once, with the `g` in the first register and `g0` in Go's own.
    pub fn run(&self, specimen: Specimen) {
        std::hint::black_box((&self.m, &self.curg, &self.frames));
        specimen.call(self.g.as_ptr(), self.g0.as_ptr());
    }

    /// Runs a specimen in a fork of this process, which has the same code at the same place.
    pub fn run_in_fork(&self, specimen: Specimen) -> io::Result<()> {
        // SAFETY: the child calls nothing but the specimen and `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                self.run(specimen);
                // SAFETY: it does not return.
                unsafe { libc::_exit(0) }
            }
            -1 => Err(io::Error::last_os_error()),
            child => {
                // SAFETY: a null pointer says that the status is not wanted.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
                Ok(())
            }
        }
    }

    /// Runs a specimen with a `g` that cannot be read.
    pub fn run_unreadable(&self, specimen: Specimen) {
        specimen.call(std::ptr::null(), self.g0.as_ptr());
    }
}

fn address<T>(of: &T) -> u64 {
    std::ptr::from_ref(of) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "a struct of a few words")]
const fn offset(word: usize) -> u32 {
    (word * size_of::<u64>()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_instructions_are_where_they_are_said_to_be() {
        let binary = std::fs::read(OWN_EXE).unwrap();
        for number in [0, Specimen::COUNT - 1] {
            let bytes = |cost| {
                let start = usize::try_from(Specimen::new(number).place(cost).unwrap().0).unwrap();
                binary[start..start + 5].to_vec()
            };
            assert_eq!(bytes(Cost::Emulated)[0], 0x55);
            assert_eq!(bytes(Cost::SingleStepped)[..3], [0x48, 0x89, 0xc0]);
        }
    }

    #[test]
    fn a_specimen_runs_without_a_probe_too() {
        let identity = Identity { goid: 1, parent_goid: 2, creation_pc: 3, start_pc: 4, wait_reason: 5 };
        Goroutines::new(identity, 2).run(Specimen::new(15));
    }
}
