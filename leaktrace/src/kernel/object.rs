//! The compiled eBPF object that is part of this binary: its ABI version, its maps, and its programs as instructions.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::RawFd;

use aya_obj::generated::{BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE, bpf_insn};
use leaktrace_common::ABI_VERSION;
use leaktrace_common::event::Kind;
use leaktrace_common::process::ProcessKind;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use thiserror::Error;

/// Compiled by `cargo xtask ebpf`, which also says in `manifest.json` by what.
#[cfg(target_arch = "x86_64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/leaktrace-x86_64.bpf.o");
/// Compiled by `cargo xtask ebpf`, which also says in `manifest.json` by what.
#[cfg(target_arch = "aarch64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/leaktrace-aarch64.bpf.o");

/// The read-only global that carries the version.
const ABI_SYMBOL: &str = "LEAKTRACE_ABI_VERSION";

/// The instruction that loads 64 bits, among them the address of a map: it takes the room of two.
const LOAD_64: u8 = 0x18;

/// Why the object in this binary cannot be used. Each is a mistake in how leaktrace was built.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// It is not a BPF object.
    #[error("the eBPF object in this binary cannot be parsed: {0}")]
    Unparsable(String),
    /// It does not say which version of the ABI it was built for.
    #[error("the eBPF object in this binary does not state its ABI version")]
    NoAbiVersion,
    /// It was built for another version.
    #[error("the eBPF object in this binary has ABI version {object}, and leaktrace has {ours}")]
    AbiVersion {
        /// The object's.
        object: u32,
        /// Ours.
        ours: u32,
    },
    /// It lacks a program.
    #[error("the eBPF object in this binary has no program {0}")]
    NoProgram(&'static str),
    /// It lacks a map.
    #[error("the eBPF object in this binary has no map {0}")]
    NoMap(&'static str),
}

/// A program in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// The one for events of this kind.
    Of(Kind),
    /// The one that ends the tracing of a process at its exec.
    Exec,
    /// The one that tells of this of any process.
    Process(ProcessKind),
}

impl Program {
    const ALL: [Self; Kind::ALL.len() + 1 + ProcessKind::ALL.len()] = [
        Self::Of(Kind::Birth),
        Self::Of(Kind::End),
        Self::Of(Kind::Park),
        Self::Of(Kind::Ready),
        Self::Of(Kind::Site),
        Self::Exec,
        Self::Process(ProcessKind::Exec),
        Self::Process(ProcessKind::Exit),
        Self::Process(ProcessKind::OomVictim),
    ];

    /// Its name, in the object and to the kernel.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Of(Kind::Birth) => "leaktrace_birth",
            Self::Of(Kind::End) => "leaktrace_end",
            Self::Of(Kind::Park) => "leaktrace_park",
            Self::Of(Kind::Ready) => "leaktrace_ready",
            Self::Of(Kind::Site) => "leaktrace_site",
            Self::Exec => "leaktrace_exec",
            Self::Process(ProcessKind::Exec) => "leaktrace_node_exec",
            Self::Process(ProcessKind::Exit) => "leaktrace_node_exit",
            Self::Process(ProcessKind::OomVictim) => "leaktrace_node_oom",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Of(kind) => kind.index(),
            Self::Exec => Kind::ALL.len(),
            Self::Process(kind) => Kind::ALL.len() + kind as usize,
        }
    }
}

/// The object, parsed once: from it the programs of any number of targets are made. aya's own loader makes one set of
/// them, and reads all types of the kernel first, which takes longer than everything else.
pub(super) struct Object {
    maps: Vec<(String, aya_obj::Map)>,
    /// In the order of [`Program::ALL`].
    programs: Vec<Template>,
}

/// A program whose maps have not been created yet.
struct Template {
    /// Where it loads the address of a map, the number of that map in [`Object::maps`] is in the descriptor's place.
    instructions: Vec<bpf_insn>,
    license: CString,
}

impl Object {
    /// The one in this binary, once its version has been compared with ours.
    pub(super) fn ours() -> Result<Self, ObjectError> {
        check_abi(OBJECT)?;
        Self::parse(OBJECT)
    }

    fn parse(object: &[u8]) -> Result<Self, ObjectError> {
        let mut object = aya_obj::Object::parse(object).map_err(|error| unparsable(&error))?;
        let maps: Vec<(String, aya_obj::Map)> =
            object.maps.iter().map(|(name, map)| (name.clone(), map.clone())).collect();
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let numbered = (0..).zip(&maps).map(|(number, (name, map)): (RawFd, _)| (name.as_str(), number, map));
        object.relocate_maps(numbered, &text).map_err(|error| unparsable(&error))?;
        object.relocate_calls(&text).map_err(|error| unparsable(&error))?;
        let programs = Program::ALL.map(|program| template(&object, program));
        Ok(Self { programs: programs.into_iter().collect::<Result<_, _>>()?, maps })
    }

    /// The maps that these programs use, by name.
    pub(super) fn maps(&self, programs: &[Program]) -> Vec<(&str, &aya_obj::Map)> {
        let used: HashSet<usize> = programs
            .iter()
            .flat_map(|program| &self.programs[program.index()].instructions)
            .filter_map(|instruction| map_number(*instruction))
            .collect();
        let maps = self.maps.iter().enumerate().filter(|(number, _)| used.contains(number));
        maps.map(|(_, (name, map))| (name.as_str(), map)).collect()
    }

    /// The instructions of a program with the descriptors of its maps in them, and its licence.
    pub(super) fn program(
        &self,
        program: Program,
        maps: &HashMap<&str, RawFd>,
    ) -> Result<(Vec<bpf_insn>, &CString), ObjectError> {
        let Template { instructions, license } = &self.programs[program.index()];
        let mut instructions = instructions.clone();
        for instruction in &mut instructions {
            if let Some(number) = map_number(*instruction) {
                let fd = self.maps.get(number).and_then(|(name, _)| maps.get(name.as_str()));
                instruction.imm = *fd.ok_or(ObjectError::NoMap(program.name()))?;
            }
        }
        Ok((instructions, license))
    }
}

fn template(object: &aya_obj::Object, program: Program) -> Result<Template, ObjectError> {
    let name = program.name();
    let found = object.programs.get(name).ok_or(ObjectError::NoProgram(name))?;
    let function = object.functions.get(&found.function_key()).ok_or(ObjectError::NoProgram(name))?;
    Ok(Template { instructions: function.instructions.clone(), license: found.license.clone() })
}

/// The map whose address this instruction of a template loads.
fn map_number(instruction: bpf_insn) -> Option<usize> {
    let source = u32::from(instruction.src_reg());
    let loads_map =
        instruction.code == LOAD_64 && (source == BPF_PSEUDO_MAP_FD || source == BPF_PSEUDO_MAP_VALUE);
    if loads_map { usize::try_from(instruction.imm).ok() } else { None }
}

/// Compares the version of the object with ours.
fn check_abi(object: &[u8]) -> Result<(), ObjectError> {
    let version = abi_version(object)?;
    if version == ABI_VERSION {
        return Ok(());
    }
    Err(ObjectError::AbiVersion { object: version, ours: ABI_VERSION })
}

fn abi_version(object: &[u8]) -> Result<u32, ObjectError> {
    let file = object::File::parse(object).map_err(|error| unparsable(&error))?;
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(ABI_SYMBOL));
    let symbol = symbol.ok_or(ObjectError::NoAbiVersion)?;
    let bytes = symbol
        .section_index()
        .and_then(|index| file.section_by_index(index).ok())
        .and_then(|section| section.data_range(symbol.address(), 4).ok().flatten())
        .and_then(|bytes| bytes.first_chunk::<4>());
    bytes.map(|bytes| u32::from_ne_bytes(*bytes)).ok_or(ObjectError::NoAbiVersion)
}

fn unparsable(error: &dyn std::fmt::Display) -> ObjectError {
    ObjectError::Unparsable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_knows_the_maps_that_it_needs() {
        let object = Object::ours().unwrap();
        let names = |programs: &[Program]| {
            object.maps(programs).into_iter().map(|(name, _)| name.to_owned()).collect::<HashSet<_>>()
        };
        let of_exec = [".data.execed", ".rodata.target"];
        assert_eq!(names(&[Program::Exec]), HashSet::from(of_exec.map(str::to_owned)));
        let of_end = [".data.control", ".data.execed", ".rodata.target", "COUNTERS", "EVENTS"];
        assert_eq!(names(&[Program::Of(Kind::End)]), HashSet::from(of_end.map(str::to_owned)));
        let of_oom = [".rodata.kernel", "PROCESSES", "PROCESS_DROPS"];
        let oom = Program::Process(ProcessKind::OomVictim);
        assert_eq!(names(&[oom]), HashSet::from(of_oom.map(str::to_owned)));
        assert!(names(&Program::ALL).contains("SITES"));
        assert!(Program::ALL.into_iter().enumerate().all(|(index, program)| program.index() == index));
    }

    #[test]
    fn a_program_has_the_descriptors_of_its_maps() {
        let object = Object::ours().unwrap();
        assert!(object.program(Program::Exec, &HashMap::new()).is_err(), "its maps do not exist");
        let fds = HashMap::from([(".data.execed", 70), (".rodata.target", 71)]);
        let (instructions, license) = object.program(Program::Exec, &fds).unwrap();
        let found: HashSet<usize> = instructions.into_iter().filter_map(map_number).collect();
        assert_eq!(found, HashSet::from([70, 71]));
        assert_eq!(license.to_bytes(), b"Dual MIT/GPL");
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        assert!(matches!(check_abi(b"\x7fELF"), Err(ObjectError::Unparsable(_))));
        assert!(matches!(Object::parse(b"\x7fELF"), Err(ObjectError::Unparsable(_))));
    }
}
