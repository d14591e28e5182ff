//! Where the fields of runtime structs lie in one particular binary.
//!
//! Offsets change between Go releases and even between patch releases (`runtime.m` grew between 1.24.3 and
//! 1.24.11), so they come from the target itself and are checked against the live process before they are
//! believed. This module reads no goroutines: it says where to read.
//!
//! The type descriptors are asked first: every binary has them, the garbage collector relies on them, and they
//! are at hand in memory, while debug information is often gone and takes seconds to search in a large binary.
//! The two agree (`tests/tests/layout_matrix.rs`).

mod collector;
mod descriptors;
mod dwarf;
mod fields;
mod read;
#[cfg(test)]
pub(crate) mod sample;
mod shape;

pub use collector::{CollectorFields, DeferFields, SpanFields, SpecialFields};
pub use fields::{
    AncestorFields, GFields, HchanFields, MFields, PFields, SchedFields, SudogFields, TimerFields,
};

use leaktrace_common::layout::{ABSENT, GoLayout};
use thiserror::Error;

use self::descriptors::Descriptors;
use self::dwarf::DwarfShapes;
use crate::base::memory::Memory;
use crate::base::num::Avma;
use crate::binary::dwarf::{DebugInfo, DwarfError};
use crate::binary::elf::Elf;
use crate::go::code::Code;
use crate::go::facts;
pub use crate::go::facts::LabelsFormat;
use crate::go::layout::shape::Shape;
use crate::go::types::{TypeError, Types};
use crate::go::version::GoVersion;

/// The most type descriptors that are looked at on the way from `g` to the others.
const MAX_TYPES: usize = 2000;
/// The structs that every program has.
const WANTED: [&str; 7] = [
    "runtime.g",
    "runtime.m",
    "runtime.p",
    "runtime.sudog",
    "runtime.hchan",
    "runtime.timer",
    "runtime.ancestorInfo",
];
/// The struct that no type descriptor reaches.
const SCHEDT: &str = "runtime.schedt";
/// Functions that allocate these structs, and so name their type descriptors: `malg` a `g`, `allocm` an `m`
/// (1.25+: an `mPadded`), `procresize` a `p`, `acquireSudog` a `sudog`, `makechan` an `hchan`, `time.Sleep` a
/// `timer`, `saveAncestors` an array of `ancestorInfo`.
const ALLOCATING: [&str; 7] = [
    "runtime.malg",
    "runtime.allocm",
    "runtime.procresize",
    "runtime.acquireSudog",
    "runtime.makechan",
    "time.Sleep",
    "runtime.saveAncestors",
];

/// Where a layout's offsets were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutSource {
    /// The binary's debug information.
    Dwarf,
    /// The type descriptors that every Go binary carries, stripped or not.
    TypeDescriptors,
}

impl LayoutSource {
    /// The words under which a user is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dwarf => "debug information",
            Self::TypeDescriptors => "type descriptors",
        }
    }
}

/// Why the offsets of a binary's runtime structs are not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// A struct that every program has was not found.
    #[error("the type descriptor of {name} was not found")]
    NoStruct {
        /// The struct.
        name: String,
    },
    /// A struct lacks a field that every supported release has.
    #[error("{shape} has no field {field}")]
    NoField {
        /// The struct.
        shape: String,
        /// The field.
        field: String,
    },
    /// A type descriptor could not be read.
    #[error("a type descriptor could not be read")]
    Type(#[from] TypeError),
    /// The debug information could not be read.
    #[error("the debug information could not be read")]
    Dwarf(#[from] DwarfError),
}

/// The offsets of one binary's runtime structs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `runtime.g`
    pub g: GFields,
    /// `runtime.m`
    pub m: MFields,
    /// `runtime.p`
    pub p: PFields,
    /// `runtime.sudog`
    pub sudog: SudogFields,
    /// `runtime.hchan`
    pub hchan: HchanFields,
    /// `runtime.timer`, where the binary links it.
    pub timer: Option<TimerFields>,
    /// `runtime.ancestorInfo`
    pub ancestor: Option<AncestorFields>,
    /// `runtime.schedt`, which no descriptor reaches: where the table knows the release.
    pub sched: Option<SchedFields>,
    /// What the garbage collector looks at.
    pub collector: Option<CollectorFields>,
    /// How `g.labels` is to be read.
    pub labels: LabelsFormat,
}

impl Layout {
    /// Reads the offsets from the type descriptors of the program that `code` is of.
    pub fn read(code: &Code<'_, '_>, memory: &dyn Memory, version: GoVersion) -> Result<Self, LayoutError> {
        let range = code.module().types;
        let types = Types::new(memory, range.start, range.end);
        let wanted: Vec<&str> = WANTED.into_iter().chain(collector::SHAPES).collect();
        let found = Descriptors::reachable(types, roots(code), &wanted);
        Self::from_shapes(&|name| found.shape(name), version)
    }

    /// Reads the offsets from the debug information of `elf`.
    pub fn from_dwarf(elf: &Elf<'_>, version: GoVersion) -> Result<Self, LayoutError> {
        let names: Vec<&str> = WANTED.into_iter().chain(collector::SHAPES).chain([SCHEDT]).collect();
        let found = DwarfShapes::read(&DebugInfo::load(elf)?, &names)?;
        Self::from_shapes(&|name| Ok(found.shape(name)), version)
    }

    /// Adds what only the debug information of `elf` has, where this knows nothing of it.
    pub fn complete(&mut self, elf: &Elf<'_>) -> Result<(), LayoutError> {
        if self.sched.is_some() {
            return Ok(());
        }
        let found = DwarfShapes::read(&DebugInfo::load(elf)?, &[SCHEDT])?;
        self.sched = found.shape(SCHEDT).map(|sched| SchedFields::of(&sched)).transpose()?;
        Ok(())
    }

    /// Reads the offsets from structs that are given by name.
    fn from_shapes(
        shape: &dyn Fn(&str) -> Result<Option<Shape>, LayoutError>,
        version: GoVersion,
    ) -> Result<Self, LayoutError> {
        let required =
            |name: &str| shape(name)?.ok_or_else(|| LayoutError::NoStruct { name: name.to_owned() });
        let timer = shape("runtime.timer")?.map(|timer| TimerFields::of(&timer)).transpose()?;
        let ancestor = shape("runtime.ancestorInfo")?;
        let sched = shape(SCHEDT)?.map(|sched| SchedFields::of(&sched)).transpose()?;
        let (g, p) = (required("runtime.g")?, required("runtime.p")?);
        Ok(Self {
            g: GFields::of(&g)?,
            m: MFields::of(&required("runtime.m")?)?,
            p: PFields::of(&p)?,
            sudog: SudogFields::of(&required("runtime.sudog")?)?,
            hchan: HchanFields::of(&required("runtime.hchan")?)?,
            timer,
            ancestor: ancestor.map(|ancestor| AncestorFields::of(&ancestor)).transpose()?,
            sched: sched.or_else(|| facts::schedt(version).ok().map(SchedFields::from)),
            collector: collector_fields(shape, &g, &p)?,
            labels: facts::labels_format(version),
        })
    }

    /// The few offsets that the probes need.
    pub fn for_probes(&self) -> GoLayout {
        GoLayout {
            g_goid: self.g.goid,
            g_parent_goid: self.g.parent_goid.unwrap_or(ABSENT),
            g_gopc: self.g.gopc,
            g_startpc: self.g.startpc,
            g_waitreason: self.g.waitreason,
            g_m: self.g.m,
            g_sched_bp: self.g.sched_bp,
            m_curg: self.m.curg,
        }
    }
}

/// What the garbage collector looks at, if all of it is known.
fn collector_fields(
    shape: &dyn Fn(&str) -> Result<Option<Shape>, LayoutError>,
    g: &Shape,
    p: &Shape,
) -> Result<Option<CollectorFields>, LayoutError> {
    let [span, special, defer] = collector::SHAPES.map(shape);
    let (Some(span), Some(special), Some(defer)) = (span?, special?, defer?) else { return Ok(None) };
    Ok(CollectorFields::of(g, p, [&span, &special, &defer]).ok())
}

/// Every address that the allocating functions name; what is no type descriptor is sorted out later.
fn roots(code: &Code<'_, '_>) -> Vec<Avma> {
    let refs = ALLOCATING.iter().flat_map(|name| code.data_refs(name));
    refs.map(|found| code.bias().to_avma(found.address)).collect()
}
