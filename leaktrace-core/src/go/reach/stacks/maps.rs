//! Which words of a frame are pointers that are still needed: the tables that the collector itself goes by.
//!
//! Source: Go `src/runtime/stkframe.go` (`getStackMap`) and `symtab.go` (`stackmap`), go1.19 to go1.27.

use crate::base::bytes;
use crate::base::num::Pc;
use crate::binary::elf::Arch;
use crate::go::moduledata::Modules;
use crate::go::pclntab::{Function, TextOffset};
use crate::go::unwind::{FrameRules, FrameView};

/// `abi.PCDATA_StackMapIndex`
const STACK_MAP_INDEX: u32 = 1;
/// `abi.FUNCDATA_ArgsPointerMaps`, `FUNCDATA_LocalsPointerMaps` and `FUNCDATA_StackObjects`
const ARGUMENT_MAPS: u8 = 0;
const LOCAL_MAPS: u8 = 1;
const STACK_OBJECTS: u8 = 2;
/// The size of a `stackObjectRecord`.
const OBJECT_RECORD: usize = 16;
/// More than any function has.
const MAX_OBJECTS: u64 = 1 << 16;

/// Where a frame's parts are. Source: `(*unwinder).resolveInternal` in `src/runtime/traceback.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameBounds {
    /// The end of the local variables.
    pub(super) locals_end: u64,
    /// The beginning of the arguments.
    pub(super) arguments: u64,
}

impl FrameBounds {
    pub(super) fn of(frame: &FrameView, arch: Arch) -> Self {
        let entry = frame.sp.wrapping_add(frame.delta.into());
        // A frame that there is has the caller's frame pointer at its end.
        let locals_end = if frame.delta > 0 { entry.wrapping_sub(8) } else { entry };
        // The return address on one, `sys.MinFrameSize` on the other.
        let arguments = match arch {
            Arch::Amd64 | Arch::Arm64 => entry.wrapping_add(8),
        };
        Self { locals_end, arguments }
    }
}

/// What the tables of a program say about frames.
pub(in crate::go::reach) trait FrameTables: FrameRules {
    /// The map of a frame; `None` where there is none, as in assembly.
    fn map(&self, frame: &FrameView, arch: Arch) -> Option<FrameMap>;

    /// The size of the arguments of the function at `pc`; `None` if it is not known.
    fn argument_size(&self, pc: Pc) -> Option<u32>;
}

impl FrameTables for Modules<'_> {
    fn map(&self, frame: &FrameView, arch: Arch) -> Option<FrameMap> {
        FrameMap::of(self, frame, arch)
    }

    fn argument_size(&self, pc: Pc) -> Option<u32> {
        self.function(pc).and_then(|(_, function)| function.argument_size())
    }
}

/// The pointers of a frame that stands at one instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::go::reach) struct FrameMap {
    /// How far below the end of the local variables each lies.
    pub(super) locals: Vec<u64>,
    /// How far above the beginning of the arguments each lies.
    pub(super) arguments: Vec<u64>,
    /// Variables whose addresses were taken: offset and size. Below zero from the end of the locals, else from the
    /// beginning of the arguments.
    pub(super) objects: Vec<(i32, u32)>,
}

impl FrameMap {
    fn of(modules: &Modules<'_>, frame: &FrameView, arch: Arch) -> Option<Self> {
        let (module, function) = modules.function(frame.pc)?;
        let at = module.text_offset(frame.pc)?;
        let index = map_index(&function, at)?;
        let smallest = match arch {
            Arch::Amd64 => 8,
            // `sys.StackAlign` more than what the frame pointer takes.
            Arch::Arm64 => 24,
        };
        let mut map = Self::default();
        if frame.delta > smallest {
            let bits = Bitmap::read(module.funcdata(function.funcdata(LOCAL_MAPS)?)?, index)?;
            map.locals = bits.set().map(|bit| (bits.len - bit) * 8).collect();
        }
        if function.argument_size()? > 0 {
            let bits = Bitmap::read(module.funcdata(function.funcdata(ARGUMENT_MAPS)?)?, index)?;
            map.arguments = bits.set().map(|bit| bit * 8).collect();
        }
        if let Some(offset) = function.funcdata(STACK_OBJECTS) {
            map.objects = objects(module.funcdata(offset)?)?;
        }
        Some(map)
    }
}

/// Which of a function's maps counts at `at`, a return address or the entry.
fn map_index(function: &Function<'_>, at: TextOffset) -> Option<u64> {
    if at == function.entry() {
        return Some(0);
    }
    let call = TextOffset(at.0.checked_sub(1)?);
    // -1 is the prologue, where the map at entry holds.
    u64::try_from(function.pcdata(STACK_MAP_INDEX, call)?.max(0)).ok()
}

/// A map: one bit for each word.
struct Bitmap<'d> {
    bytes: &'d [u8],
    len: u64,
}

impl<'d> Bitmap<'d> {
    /// Map `index` of the `runtime.stackmap` that `data` begins with: how many maps there are, how many bits each has,
    /// and then the bits.
    fn read(data: &'d [u8], index: u64) -> Option<Self> {
        let (count, len) = (bytes::u32_at(data, 0)?, u64::from(bytes::u32_at(data, 4)?));
        if count == 0 || count > i32::MAX.cast_unsigned() {
            return None;
        }
        if len == 0 {
            return Some(Self { bytes: &[], len });
        }
        let size = len.div_ceil(8);
        let bytes = bytes::range(data, index.checked_mul(size)?.checked_add(8)?, size)?;
        (index < count.into()).then_some(Self { bytes, len })
    }

    fn set(&self) -> impl Iterator<Item = u64> {
        (0..self.len).filter(|bit| {
            let byte = usize::try_from(bit / 8).ok().and_then(|at| self.bytes.get(at));
            byte.is_some_and(|byte| byte >> (bit % 8) & 1 != 0)
        })
    }
}

/// The offsets and sizes of the `stackObjectRecord`s that `data` begins with, after their number.
fn objects(data: &[u8]) -> Option<Vec<(i32, u32)>> {
    let count = bytes::u64_at(data, 0).filter(|&count| count <= MAX_OBJECTS)?;
    let records = (0..usize::try_from(count).ok()?).map(|index| {
        let at = 8 + index * OBJECT_RECORD;
        Some((bytes::u32_at(data, at)?.cast_signed(), bytes::u32_at(data, at + 4)?))
    });
    records.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_map_is_one_of_several_of_the_same_length() {
        let mut data = words(&[3, 10]);
        data.extend([0xff, 0xff, 0b0000_0101, 0b10, 0, 0]);
        let set = |index| Bitmap::read(&data, index).map(|bits| bits.set().collect::<Vec<_>>());
        assert_eq!(set(0), Some((0..10).collect()));
        assert_eq!(set(1), Some(vec![0, 2, 9]));
        assert_eq!([set(2), set(3), set(u64::MAX)], [Some(Vec::new()), None, None]);
        assert!(Bitmap::read(&words(&[0, 10]), 0).is_none() && Bitmap::read(&words(&[1, 10]), 0).is_none());
        assert!(Bitmap::read(&words(&[1, 0]), 7).is_some_and(|bits| bits.set().next().is_none()));
    }

    #[test]
    fn variables_lie_below_the_locals_or_among_the_arguments() {
        let data = words(&[2, 0, 16_u32.wrapping_neg(), 16, 8, 0, 24, 8, 8, 0]);
        assert_eq!(objects(&data), Some(vec![(-16, 16), (24, 8)]));
        assert_eq!([objects(&data[..30]), objects(&[0xff; 64])], [None, None]);
    }
}
