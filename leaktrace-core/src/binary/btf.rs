//! The kernel's description of its own types (BTF, `Documentation/bpf/btf.rst` of the kernel), as far as it says where a struct
//! keeps a field.

use crate::base::bytes::{c_str_at, range, u32_at};

const MAGIC: u32 = 0xeb9f;
/// The longest name that is compared, in bytes.
const LONGEST_NAME: usize = 128;
/// How deep structs without a name are looked into, which the kernel uses to lay out its own at random.
const MOST_NESTED: u32 = 4;

const HEAD: usize = 12;
const MEMBER: usize = 12;
const STRUCT: u32 = 4;
const UNION: u32 = 5;

/// All types.
#[derive(Clone, Debug)]
pub struct Btf<'d> {
    types: &'d [u8],
    strings: &'d [u8],
    /// Where each type begins; the first one has the id 1.
    begins: Vec<usize>,
}

/// One struct.
#[derive(Clone, Copy, Debug)]
pub struct Struct<'b> {
    btf: &'b Btf<'b>,
    at: usize,
}

impl<'d> Btf<'d> {
    /// Finds where each type is; nothing if this is no BTF of this machine's byte order, or has types of a kind that is not
    /// known here.
    pub fn parse(data: &'d [u8]) -> Option<Self> {
        let word = |offset| u32_at(data, offset);
        if word(0)? & 0xffff != MAGIC {
            return None;
        }
        let header = u64::from(word(4)?);
        let part = |at: usize| range(data, header + u64::from(word(at)?), u64::from(word(at + 4)?));
        let (types, strings) = (part(8)?, part(16)?);
        let mut begins = Vec::new();
        let mut at = 0;
        while at < types.len() {
            begins.push(at);
            at = at.checked_add(HEAD)?.checked_add(rest(u32_at(types, at + 4)?)?)?;
        }
        Some(Self { types, strings, begins })
    }

    /// The struct of this name, the first one if there are several.
    pub fn structure(&'d self, name: &str) -> Option<Struct<'d>> {
        let is_it = |at: &&usize| {
            u32_at(self.types, **at + 4).is_some_and(|info| kind(info) == STRUCT)
                && self.name(**at) == Some(name)
        };
        self.begins.iter().find(is_it).map(|at| Struct { btf: self, at: *at })
    }

    /// The name that a type or member has, which begins at `at`.
    fn name(&self, at: usize) -> Option<&str> {
        c_str_at(self.strings, usize::try_from(u32_at(self.types, at)?).ok()?, LONGEST_NAME)
    }
}

impl Struct<'_> {
    /// Where it keeps this field, in bytes from its start; nothing if it has none of that name, or that does not begin with
    /// a byte.
    pub fn offset_of(&self, field: &str) -> Option<u32> {
        let bits = self.bits(field, MOST_NESTED)?;
        (bits % 8 == 0).then_some(bits / 8)
    }

    fn bits(&self, field: &str, nested: u32) -> Option<u32> {
        let Self { btf, at } = *self;
        let info = u32_at(btf.types, at + 4)?;
        // Where there are bit fields, how long each is stands above.
        let mask = if info >> 31 == 1 { 0x00ff_ffff } else { u32::MAX };
        let members = (0..count(info)).map(|index| at + HEAD + index * MEMBER);
        members.into_iter().find_map(|member| {
            let bits = u32_at(btf.types, member + 8)? & mask;
            match btf.name(member)? {
                name if name == field => Some(bits),
                "" => self.unnamed(member)?.bits(field, nested.checked_sub(1)?)?.checked_add(bits),
                _ => None,
            }
        })
    }

    /// The struct or union that a member without a name is.
    fn unnamed(&self, member: usize) -> Option<Self> {
        let id = usize::try_from(u32_at(self.btf.types, member + 4)?).ok()?;
        let at = *self.btf.begins.get(id.checked_sub(1)?)?;
        let kind = kind(u32_at(self.btf.types, at + 4)?);
        (kind == STRUCT || kind == UNION).then_some(Self { btf: self.btf, at })
    }
}

const fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

const fn count(info: u32) -> usize {
    (info & 0xffff) as usize
}

/// How many bytes follow the head of a type; nothing if its kind is not known.
fn rest(info: u32) -> Option<usize> {
    let each = match kind(info) {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats and tags of types.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables and tags of declarations.
        1 | 14 | 17 => return Some(4),
        // Arrays.
        3 => return Some(12),
        // Structs, unions, sections and wide enumerations.
        STRUCT | UNION | 15 | 19 => MEMBER,
        // Enumerations and prototypes.
        6 | 13 => 8,
        _ => return None,
    };
    Some(count(info) * each)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: &str = "\0task_struct\0tgid\0int\0exit_code\0";

    /// Types of these words, with the names above.
    fn btf(types: &[u32]) -> Vec<u8> {
        let types_len = u32::try_from(types.len() * 4).unwrap();
        let names_len = u32::try_from(NAMES.len()).unwrap();
        let header = [MAGIC | 1 << 16, 24, 0, types_len, types_len, names_len];
        let words = header.iter().chain(types).flat_map(|word| word.to_le_bytes());
        words.chain(NAMES.bytes()).collect()
    }

    fn name(of: &str) -> u32 {
        u32::try_from(NAMES.find(&format!("\0{of}\0")).unwrap() + 1).unwrap()
    }

    /// An integer (1), a struct without a name (2) that has `exit_code`, and `task_struct`, which has both.
    fn nested() -> Vec<u32> {
        let int = [name("int"), 1 << 24, 4, 32];
        let unnamed = [0, STRUCT << 24 | 1, 8, name("exit_code"), 1, 32];
        let task = [name("task_struct"), STRUCT << 24 | 2, 24, name("tgid"), 1, 64, 0, 2, 128];
        int.into_iter().chain(unnamed).chain(task).collect()
    }

    #[test]
    fn fields_are_found_within_what_has_no_name() {
        let data = btf(&nested());
        let types = Btf::parse(&data).unwrap();
        let task = types.structure("task_struct").unwrap();
        let offsets = ["tgid", "exit_code", "int"].map(|field| task.offset_of(field));
        assert_eq!(offsets, [Some(8), Some(20), None]);
        assert!(types.structure("int").is_none());
    }

    #[test]
    fn what_is_no_byte_has_no_offset() {
        let task = [name("task_struct"), 1 << 31 | STRUCT << 24 | 2, 24];
        let fields = [name("tgid"), 1, 0x0300_0021, name("exit_code"), 1, 0x0300_0040];
        let data = btf(&[task.as_slice(), &fields].concat());
        let types = Btf::parse(&data).unwrap();
        let task = types.structure("task_struct").unwrap();
        assert_eq!(["tgid", "exit_code"].map(|field| task.offset_of(field)), [None, Some(8)]);
    }

    #[test]
    fn what_has_itself_within_has_an_end() {
        let own = [name("task_struct"), STRUCT << 24 | 1, 8, 0, 1, 8];
        let data = btf(&own);
        assert_eq!(Btf::parse(&data).unwrap().structure("task_struct").unwrap().offset_of("tgid"), None);
    }

    #[test]
    fn what_is_no_btf_is_refused() {
        assert!(Btf::parse(b"\x7fELF").is_none());
        assert!(Btf::parse(&btf(&[0, 31 << 24, 0])).is_none(), "a kind that is not known");
        assert!(Btf::parse(&btf(&nested()[..5])).is_none(), "cut off");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            at in prop::collection::vec((0_usize..200, any::<u8>()), 0..8),
            len in 0_usize..200,
        ) {
            let mut data = btf(&nested());
            for (at, byte) in at {
                if let Some(there) = data.get_mut(at) {
                    *there = byte;
                }
            }
            data.truncate(len.max(20));
            if let Some(types) = Btf::parse(&data) {
                _ = types.structure("task_struct").and_then(|task| task.offset_of("exit_code"));
            }
        }
    }
}
