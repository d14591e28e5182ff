//! Everything that is known of one Go program, put together and checked, or a precise refusal.

mod foreign;

use std::fmt;

use thiserror::Error;

use crate::base::memory::{Memory, ReadError, Unchanging};
use crate::base::num::{Avma, Bias};
use crate::binary::elf::{Arch, Elf, Segment};
use crate::go::buildinfo::BuildInfo;
use crate::go::code::Code;
use crate::go::confirm;
use crate::go::facts::Facts;
use crate::go::globals::{Found, Globals, GlobalsError, Sources};
use crate::go::layout::{Layout, LayoutError, LayoutSource};
use crate::go::moduledata::{Module, ModuledataError, Modules};
use crate::go::names::WaitReasons;
use crate::go::pclntab::PclntabError;
use crate::go::validate::InvalidLayout;
use crate::go::version::{GoVersion, NEWEST_TESTED, OLDEST, Support};
use foreign::foreign;
pub use foreign::says_go;

/// The longest version string that is believed.
const MAX_VERSION: usize = 128;

/// A Go program that leaktrace can work with.
#[derive(Clone, Debug)]
pub struct Program<'d> {
    /// What it was built for.
    pub arch: Arch,
    /// Where it was loaded.
    pub bias: Bias,
    /// What it says about how it was built; some builds remove that.
    pub build: Option<BuildInfo>,
    /// The release of Go that built it.
    pub version: GoVersion,
    /// Its functions and tables.
    pub modules: Modules<'d>,
    /// Where the fields of its runtime's structs are.
    pub layout: Layout,
    /// Where those were read.
    pub layout_source: LayoutSource,
    /// Where its runtime's variables are.
    pub globals: Globals,
    /// What its wait reasons are called.
    pub wait_reasons: WaitReasons,
    /// What else depends on the release.
    pub facts: Facts,
    /// What a user should know about all this.
    pub notices: Vec<Notice>,
    /// By how many nanoseconds its clock is ahead of the one that walks are timed by: in a time namespace of its own.
    pub clock_ahead: i64,
}

/// Something that does not stop leaktrace, and that a user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The release is newer than any that was tested.
    Newer(GoVersion),
    /// There is no build information; the version was read from the runtime itself.
    NoBuildInfo,
    /// The table of wait reasons was not found, so goroutines have numbers instead.
    NoWaitReasons,
    /// The list of goroutines was found only by what it looks like.
    AllgsByShape,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(version) => {
                write!(
                    f,
                    "{version} is newer than {NEWEST_TESTED}, the newest release that leaktrace was tested with"
                )
            }
            Self::NoBuildInfo => f.write_str("the program has no build information"),
            Self::NoWaitReasons => {
                f.write_str("the runtime's names of wait reasons were not found; numbers are shown instead")
            }
            Self::AllgsByShape => {
                f.write_str("the runtime's list of goroutines was found only by its shape in memory")
            }
        }
    }
}

/// Why a process is not a Go program that leaktrace can work with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProgramError {
    /// No sign of Go at all.
    #[error("not a Go program: it has no Go function table")]
    NotGo,
    /// Built with gccgo.
    #[error("built with gccgo; only programs built with the standard Go toolchain can be traced")]
    Gccgo,
    /// Built with `TinyGo`.
    #[error("built with TinyGo; only programs built with the standard Go toolchain can be traced")]
    TinyGo,
    /// Compressed with UPX: the code that runs is in no file, so nothing can be attached to it.
    #[error("packed with UPX: the running code is not in the file, so probes cannot be attached")]
    Packed,
    /// The function table is there and was made unreadable, as garble does.
    #[error("obfuscated, perhaps with garble: {0}")]
    Obfuscated(Obfuscation),
    /// Built with `-linkshared`: the runtime is in another file.
    #[error("built with -linkshared: the Go runtime is in a shared library and not in the executable")]
    LinkShared,
    /// Older than what is supported.
    #[error("built with {0}; the oldest supported release is {OLDEST}")]
    TooOld(GoVersion),
    /// A release before Go 1.18, going by the function table.
    #[error("built with a Go release older than 1.18; the oldest supported release is {OLDEST}")]
    Ancient,
    /// Neither build information nor the runtime says which release it is.
    #[error("cannot determine which Go release built it")]
    NoVersion,
    /// The function table cannot be read.
    #[error("the program's Go function table cannot be read")]
    Pclntab(#[source] PclntabError),
    /// The runtime's description of the program cannot be read.
    #[error("the runtime's module data cannot be read")]
    Modules(#[source] ModuledataError),
    /// The runtime's structs are not known.
    #[error("cannot determine the layout of the runtime's structs")]
    Layout(#[from] LayoutError),
    /// The runtime's variables were not found.
    #[error("cannot find the runtime's variables")]
    Globals(#[from] GlobalsError),
    /// What was found does not fit the live process.
    #[error("the binary does not match the running process")]
    Invalid(#[from] InvalidLayout),
    /// The process's memory could not be read.
    #[error("the memory of the process could not be read")]
    Read(#[from] ReadError),
}

/// By what a program is known to be obfuscated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obfuscation {
    /// The function table has a magic number that Go does not write.
    Magic(u32),
    /// The runtime's functions do not have their names.
    Names,
}

impl fmt::Display for Obfuscation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(magic) => write!(f, "its function table has the unknown magic number {magic:#x}"),
            Self::Names => f.write_str("the runtime's functions do not have their names"),
        }
    }
}

impl<'d> Program<'d> {
    /// Finds out all that is needed of the running program `elf`, loaded at `bias`, and checks it against the
    /// process.
    pub fn inspect(elf: &Elf<'d>, bias: Bias, memory: &dyn Memory) -> Result<Self, ProgramError> {
        let program = Self::examine(elf, bias, memory)?;
        program.layout.validate(memory, &program.globals)?;
        Ok(program)
    }

    /// The same without the check: for a program that is not running, with
    /// [`FileMemory`](crate::binary::elf::FileMemory).
    pub fn examine(elf: &Elf<'d>, bias: Bias, memory: &dyn Memory) -> Result<Self, ProgramError> {
        // The function table tells of what is too old, and the runtime itself knows its release.
        let build = BuildInfo::read(elf).ok();
        let stated = build.as_ref().map(|build| build.version);
        let modules = Modules::find(elf, bias, memory, stated).map_err(|error| refusal(elf, error))?;
        let code = Code::new(elf, bias, modules.main());
        if code.function("runtime.goexit").is_none() {
            return Err(without_runtime(elf));
        }
        let constants = constants(elf, bias, modules.main(), memory);
        let version = stated.or_else(|| version_in(&code, &constants)).ok_or(ProgramError::NoVersion)?;
        if version.support() == Support::TooOld {
            return Err(ProgramError::TooOld(version));
        }
        let (layout, layout_source) = layout(elf, &code, &constants, version)?;
        let sources = Sources { elf, bias, code: &code, module: modules.main() };
        let globals = Globals::find(&sources, &layout, memory)?;
        let wait_reasons = WaitReasons::read(&code, &constants);
        let facts = Facts::of(version, |newest| confirm::collector(newest, &code, &layout));
        let notices = notices(version, build.is_some(), &globals, &wait_reasons);
        let arch = elf.arch();
        Ok(Self {
            arch,
            bias,
            build,
            version,
            modules,
            layout,
            layout_source,
            globals,
            wait_reasons,
            facts,
            notices,
            clock_ahead: 0,
        })
    }
}

/// Memory in which what a program cannot write to, and its type descriptors, do not change. The former are as the file has
/// them. The latter are in a segment of a PIE that is writable until they are relocated, and the runtime hands out their
/// addresses only after that.
fn constants<'m>(elf: &Elf<'m>, bias: Bias, module: &Module<'_>, memory: &'m dyn Memory) -> Unchanging<'m> {
    let fixed = || elf.segments().iter().filter(|segment| !segment.writable);
    let start = |segment: &Segment| bias.to_avma(segment.svma);
    let ranges = fixed().map(|segment| start(segment)..start(segment).plus(segment.mem_size));
    let constants = Unchanging::new(memory, ranges.chain([module.types.start..module.types.end]));
    let as_in_the_file = fixed().filter(|_| !elf.relocates_text());
    as_in_the_file.fold(constants, |constants, segment| {
        constants.with(start(segment), elf.bytes_from(segment.svma).unwrap_or_default())
    })
}

/// From the type descriptors, else from debug information; the error is that of the former.
fn layout(
    elf: &Elf<'_>,
    code: &Code<'_, '_>,
    memory: &dyn Memory,
    version: GoVersion,
) -> Result<(Layout, LayoutSource), LayoutError> {
    match Layout::read(code, memory, version) {
        Ok(mut layout) => {
            // Without it a count that the runtime keeps is not shown, and that is all.
            let _ = layout.complete(elf);
            Ok((layout, LayoutSource::TypeDescriptors))
        }
        Err(error) => {
            let layout = Layout::from_dwarf(elf, version).map_err(|_| error)?;
            Ok((layout, LayoutSource::Dwarf))
        }
    }
}

fn notices(
    version: GoVersion,
    has_build: bool,
    globals: &Globals,
    wait_reasons: &WaitReasons,
) -> Vec<Notice> {
    let newer = (version.support() == Support::Newer).then_some(Notice::Newer(version));
    let no_build = (!has_build).then_some(Notice::NoBuildInfo);
    let no_reasons = wait_reasons.is_empty().then_some(Notice::NoWaitReasons);
    let by_shape = (globals.found == Found::MemoryShape).then_some(Notice::AllgsByShape);
    [newer, no_build, no_reasons, by_shape].into_iter().flatten().collect()
}

/// `schedinit` (`src/runtime/proc.go`) looks whether `buildVersion`, a string in initialised data, is empty.
fn version_in(code: &Code<'_, '_>, memory: &dyn Memory) -> Option<GoVersion> {
    let module = code.module();
    let refs =
        code.data_refs("runtime.schedinit").into_iter().map(|found| code.bias().to_avma(found.address));
    let in_data = refs.filter(|&at| module.data.contains(at));
    // The pointer and the length may each be referred to.
    in_data
        .flat_map(|at| [at, Avma(at.0.wrapping_sub(8))])
        .filter_map(|at| memory.go_string(at, MAX_VERSION).ok())
        .find_map(|text| GoVersion::parse(&text))
}

/// What has Go functions and not those of the runtime. A program that has the runtime in a shared library names what it needs
/// of it to the dynamic loader, and every Go function that needs stack needs this.
fn without_runtime(elf: &Elf<'_>) -> ProgramError {
    let wanted = elf.section(".dynstr").map_or(&[][..], |section| section.data);
    let is_wanted = |name: &[u8]| wanted.windows(name.len()).any(|bytes| bytes == name);
    if is_wanted(b"\0runtime.morestack") {
        return ProgramError::LinkShared;
    }
    ProgramError::Obfuscated(Obfuscation::Names)
}

/// Why there is no readable Go runtime in the file.
fn refusal(elf: &Elf<'_>, error: ModuledataError) -> ProgramError {
    match error {
        ModuledataError::Read(error) => ProgramError::Read(error),
        ModuledataError::Pclntab(PclntabError::NotFound) => foreign(elf),
        ModuledataError::Pclntab(PclntabError::UnknownMagic { magic }) => {
            ProgramError::Obfuscated(Obfuscation::Magic(magic))
        }
        ModuledataError::Pclntab(PclntabError::TooOld { .. }) => ProgramError::Ancient,
        ModuledataError::Pclntab(error) => ProgramError::Pclntab(error),
        error @ (ModuledataError::NotFound { .. } | ModuledataError::UnknownLayout { .. }) => {
            ProgramError::Modules(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;
    use crate::binary::elf::tests::{elf_with_sections, tiny_elf};

    fn refused(data: &[u8]) -> ProgramError {
        let file = tiny_elf(data);
        Program::inspect(&Elf::parse(&file).unwrap(), Bias::ZERO, &Pieces::new()).unwrap_err()
    }

    #[test]
    fn what_is_no_go_program_is_told_apart() {
        assert_eq!(refused(b"int main(void) { return 0; }"), ProgramError::NotGo);
        assert_eq!(refused(b"....UPX!...."), ProgramError::Packed);
        assert_eq!(refused(b"\0libc.so.6\0libgo.so.21\0"), ProgramError::Gccgo);
    }

    #[test]
    fn a_runtime_in_another_file_is_no_obfuscation() {
        let refused = |names: &[u8]| {
            let file = elf_with_sections(&[(".dynstr", names.to_vec(), false)]);
            without_runtime(&Elf::parse(&file).unwrap())
        };
        let obfuscated = ProgramError::Obfuscated(Obfuscation::Names);
        assert_eq!(refused(b"\0libruntime.so\0runtime.morestack_noctxt\0"), ProgramError::LinkShared);
        assert_eq!(refused(b"\0libc.so.6\0pthread_create\0"), obfuscated);
    }

    #[test]
    fn refusals_say_what_is_supported() {
        let refusal = |error: ProgramError| error.to_string();
        assert_eq!(
            refusal(ProgramError::TooOld(GoVersion::new(1, 17))),
            "built with go1.17; the oldest supported release is go1.19"
        );
        assert_eq!(
            refusal(ProgramError::Obfuscated(Obfuscation::Magic(0x1234))),
            "obfuscated, perhaps with garble: its function table has the unknown magic number 0x1234"
        );
        assert_eq!(
            Notice::Newer(GoVersion::new(1, 99)).to_string(),
            format!(
                "go1.99 is newer than {NEWEST_TESTED}, the newest release that leaktrace was tested with"
            )
        );
    }
}
