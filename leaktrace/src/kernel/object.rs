//! The compiled eBPF object that is part of this binary: its ABI version, and its programs as instructions.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::RawFd;

use aya_obj::generated::bpf_insn;
use leaktrace_common::ABI_VERSION;
use leaktrace_common::event::Kind;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use thiserror::Error;

/// Compiled by `cargo xtask ebpf`, which also says in `manifest.json` by what.
#[cfg(target_arch = "x86_64")]
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/leaktrace-x86_64.bpf.o");
/// Compiled by `cargo xtask ebpf`, which also says in `manifest.json` by what.
#[cfg(target_arch = "aarch64")]
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/leaktrace-aarch64.bpf.o");

/// The read-only global that carries the version.
const ABI_SYMBOL: &str = "LEAKTRACE_ABI_VERSION";

/// The map whose size the user chooses.
pub(super) const RING: &str = "EVENTS";

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

/// The name of the program for events of this kind.
pub(super) const fn program_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Birth => "leaktrace_birth",
        Kind::End => "leaktrace_end",
        Kind::Park => "leaktrace_park",
        Kind::Ready => "leaktrace_ready",
    }
}

/// Compares the version of the object with ours.
pub(super) fn check_abi(object: &[u8]) -> Result<(), ObjectError> {
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

/// The object, for loading it without aya's loader: that one reads all types of the kernel first, which takes
/// longer than everything else.
pub(super) struct Object {
    object: aya_obj::Object,
}

impl Object {
    /// Parses it.
    pub(super) fn parse(object: &[u8]) -> Result<Self, ObjectError> {
        let object = aya_obj::Object::parse(object).map_err(|error| unparsable(&error))?;
        Ok(Self { object })
    }

    /// The maps to create, with a ring buffer of the given size. Sections with constants are maps too.
    pub(super) fn maps(&self, ring_bytes: u32) -> Vec<(String, aya_obj::Map)> {
        // Other sections, such as `.bss`, are maps to the linker. The programs have no variables.
        let is_wanted = |name: &str| !name.starts_with('.') || is_constants(name);
        let maps = self.object.maps.iter().filter(|(name, _)| is_wanted(name));
        maps.map(|(name, map)| {
            let mut map = map.clone();
            if name == RING {
                map.set_max_entries(ring_bytes);
            }
            (name.clone(), map)
        })
        .collect()
    }

    /// Puts the descriptors of the created maps into the instructions.
    pub(super) fn relocate(&mut self, maps: &HashMap<String, RawFd>) -> Result<(), ObjectError> {
        let text: HashSet<usize> = self.object.functions.keys().map(|(section, _)| *section).collect();
        let definitions = self.object.maps.clone();
        let known = definitions.iter().filter_map(|(name, map)| Some((name.as_str(), *maps.get(name)?, map)));
        self.object.relocate_maps(known, &text).map_err(|error| unparsable(&error))?;
        self.object.relocate_calls(&text).map_err(|error| unparsable(&error))
    }

    /// The instructions of a program and its licence.
    pub(super) fn program(&self, kind: Kind) -> Result<(&[bpf_insn], CString), ObjectError> {
        let name = program_name(kind);
        let program = self.object.programs.get(name).ok_or(ObjectError::NoProgram(name))?;
        let function = self.object.functions.get(&program.function_key());
        let function = function.ok_or(ObjectError::NoProgram(name))?;
        Ok((&function.instructions, program.license.clone()))
    }
}

/// Whether a map of this name is a section with constants.
pub(super) fn is_constants(name: &str) -> bool {
    name.starts_with(".rodata")
}

fn unparsable(error: &dyn std::fmt::Display) -> ObjectError {
    ObjectError::Unparsable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_in_this_binary_is_for_this_abi_and_has_all_programs() {
        check_abi(OBJECT).unwrap();
        let mut object = Object::parse(OBJECT).unwrap();
        assert!(Kind::ALL.into_iter().all(|kind| object.program(kind).is_ok()));
        assert!(object.relocate(&HashMap::new()).is_err(), "the programs refer to maps");
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        assert!(matches!(check_abi(b"\x7fELF"), Err(ObjectError::Unparsable(_))));
    }
}
