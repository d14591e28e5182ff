//! Go type descriptors: the sizes, names and fields that every Go binary carries for its own use, stripped or
//! not.
//!
//! They are read from the running process, where the addresses in them are already what they mean.
//!
//! Source: `src/internal/abi/type.go` (`Type`, `StructType`, `StructField`, `Name`), up to Go 1.20
//! `src/runtime/type.go` and `src/reflect/type.go`; the layout is the same in Go 1.19 to 1.27.

use thiserror::Error;

use crate::base::bytes;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::Avma;

/// The size of the part that all descriptors have.
const HEADER: usize = 48;
/// A struct's descriptor: the header, the package's name, the slice of fields.
const STRUCT: usize = 80;
/// A field: name, type, offset.
const FIELD: usize = 24;
/// `reflect.Array`, `reflect.Slice`, `reflect.Pointer`, `reflect.Struct`
const KIND_ARRAY: u8 = 17;
const KIND_POINTER: u8 = 22;
const KIND_SLICE: u8 = 23;
const KIND_STRUCT: u8 = 25;
/// The bits of the kind byte that are the kind; the others are flags up to Go 1.23.
const KIND_MASK: u8 = 0x1f;
/// The bit of `tflag` that says that the name has a `*` in front which is not part of it.
const TFLAG_EXTRA_STAR: u8 = 2;
/// More fields than any struct of the runtime has.
const MAX_FIELDS: u64 = 1024;
/// The longest name that is read. Generic types of applications have longer ones; the runtime has not.
const MAX_NAME: usize = 512;
/// Flag byte and the two bytes of a length up to 16383.
const NAME_HEADER: usize = 3;

/// Why a type descriptor could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TypeError {
    /// The memory could not be read.
    #[error("the memory of the process could not be read")]
    Read(#[from] ReadError),
    /// The address is not one of a type descriptor.
    #[error("{at} is outside the type descriptors, {start} to {end}")]
    Outside {
        /// The address.
        at: Avma,
        /// Where the descriptors begin.
        start: Avma,
        /// Where they end.
        end: Avma,
    },
    /// Fields were wanted of something that is not a struct.
    #[error("the type at {at} is of kind {kind}, not a struct (25)")]
    NotStruct {
        /// The descriptor.
        at: Avma,
        /// Its kind.
        kind: u8,
    },
    /// More fields than any struct of the runtime has.
    #[error("the struct at {at} has {count} fields, and the limit is {MAX_FIELDS}")]
    TooManyFields {
        /// The descriptor.
        at: Avma,
        /// The number of fields.
        count: u64,
    },
    /// A name that is longer than any of the runtime, or not UTF-8.
    #[error("no name at {at}")]
    BadName {
        /// Where the name should be.
        at: Avma,
    },
}

/// Which kinds of types are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// A struct.
    Struct,
    /// An array, a slice or a pointer, which have an element.
    Container,
    /// Any other type, by its `reflect.Kind`.
    Other(u8),
}

impl TypeKind {
    const fn of(header: [u8; HEADER]) -> Self {
        match header[23] & KIND_MASK {
            KIND_STRUCT => Self::Struct,
            KIND_ARRAY | KIND_POINTER | KIND_SLICE => Self::Container,
            other => Self::Other(other),
        }
    }
}

/// What all descriptors say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// Where the descriptor is.
    pub at: Avma,
    /// The size of a value.
    pub size: u64,
    /// The kind.
    pub kind: TypeKind,
    /// The name with its package, as `runtime.g`.
    pub name: String,
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name; an embedded struct has its type's.
    pub name: String,
    /// The descriptor of its type.
    pub of: Avma,
    /// The offset in the struct.
    pub offset: u64,
}

/// Reads the type descriptors of one module.
#[derive(Clone, Copy)]
pub struct Types<'m> {
    memory: &'m dyn Memory,
    start: Avma,
    end: Avma,
}

impl<'m> Types<'m> {
    /// The descriptors between a module's `types` and `etypes`.
    pub const fn new(memory: &'m dyn Memory, start: Avma, end: Avma) -> Self {
        Self { memory, start, end }
    }

    /// Whether `at` can be a descriptor's address.
    pub fn contains(&self, at: Avma) -> bool {
        self.start <= at && at < self.end
    }

    /// The descriptor at `at`.
    pub fn get(&self, at: Avma) -> Result<Type, TypeError> {
        let header = self.header(at)?;
        let tflag = header[20];
        let name = i32::from_le_bytes([header[40], header[41], header[42], header[43]]);
        let mut name = self.name(Avma(self.start.0.wrapping_add_signed(name.into())))?;
        if tflag & TFLAG_EXTRA_STAR != 0 && name.starts_with('*') {
            name.remove(0);
        }
        let size = bytes::u64_at(&header, 0).unwrap_or_default();
        Ok(Type { at, size, kind: TypeKind::of(header), name })
    }

    /// The kind of the type whose descriptor is at `at`, without its name.
    pub fn kind(&self, at: Avma) -> Result<TypeKind, TypeError> {
        self.header(at).map(TypeKind::of)
    }

    fn header(&self, at: Avma) -> Result<[u8; HEADER], TypeError> {
        let mut header = [0; HEADER];
        self.read(at, &mut header)?;
        Ok(header)
    }

    /// The fields of the struct `of`, in their order.
    pub fn fields(&self, of: &Type) -> Result<Vec<Field>, TypeError> {
        match of.kind {
            TypeKind::Struct => {}
            TypeKind::Container => return Err(TypeError::NotStruct { at: of.at, kind: KIND_POINTER }),
            TypeKind::Other(kind) => return Err(TypeError::NotStruct { at: of.at, kind }),
        }
        let mut header = [0; STRUCT];
        self.read(of.at, &mut header)?;
        let first = Avma(bytes::u64_at(&header, 56).unwrap_or_default());
        let count = bytes::u64_at(&header, 64).unwrap_or_default();
        if count > MAX_FIELDS {
            return Err(TypeError::TooManyFields { at: of.at, count });
        }
        let table = self.memory.bytes(first, count * FIELD as u64, usize::MAX)?;
        table.chunks_exact(FIELD).map(|field| self.field(field)).collect()
    }

    /// The element type of the array, slice or pointer whose descriptor is at `of`.
    pub fn element(&self, of: Avma) -> Result<Avma, TypeError> {
        // `ArrayType`, `SliceType` and `PtrType` all have it right after the header.
        Ok(self.memory.pointer(of.plus(HEADER as u64))?)
    }

    fn field(&self, field: &[u8]) -> Result<Field, TypeError> {
        let word = |index| bytes::u64_at(field, index).unwrap_or_default();
        Ok(Field { name: self.name(Avma(word(0)))?, of: Avma(word(8)), offset: word(16) })
    }

    fn name(&self, at: Avma) -> Result<String, TypeError> {
        let bad = TypeError::BadName { at };
        let mut header = [0; NAME_HEADER];
        self.memory.read(at, &mut header)?;
        let (len, width) = bytes::uvarint(&header[1..]).ok_or(bad.clone())?;
        let name = self.memory.bytes(at.plus(1 + width as u64), len, MAX_NAME)?;
        String::from_utf8(name).map_err(|_| bad)
    }

    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), TypeError> {
        if !self.contains(at) {
            return Err(TypeError::Outside { at, start: self.start, end: self.end });
        }
        Ok(self.memory.read(at, buf)?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::memory::Pieces;
    use proptest::prelude::*;

    const START: u64 = 0x1000;

    /// `struct { lo, hi uintptr }` called `runtime.stack`.
    fn stack() -> Vec<u8> {
        let mut image = vec![0; 0x200];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &16_u64.to_le_bytes());
        put(20, &[TFLAG_EXTRA_STAR]);
        put(23, &[KIND_STRUCT]);
        put(40, &0x100_i32.to_le_bytes());
        put(56, &(START + 0x80).to_le_bytes());
        put(64, &2_u64.to_le_bytes());
        put(0x80, &(START + 0x120).to_le_bytes());
        put(0x98, &(START + 0x130).to_le_bytes());
        put(0xa8, &8_u64.to_le_bytes());
        put(0x100, b"\0\x0e*runtime.stack");
        put(0x120, b"\0\x02lo");
        put(0x130, b"\0\x02hi");
        image
    }

    #[test]
    fn a_struct_has_a_name_a_size_and_fields() {
        let memory = Pieces::new().with(Avma(START), stack());
        let types = Types::new(&memory, Avma(START), Avma(START + 0x200));
        let found = types.get(Avma(START)).unwrap();
        assert_eq!((found.name.as_str(), found.size, found.kind), ("runtime.stack", 16, TypeKind::Struct));
        let fields = types.fields(&found).unwrap();
        let named: Vec<_> = fields.iter().map(|field| (field.name.as_str(), field.offset)).collect();
        assert_eq!(named, [("lo", 0), ("hi", 8)]);
    }

    #[test]
    fn what_is_not_a_descriptor_is_refused_with_its_address() {
        let memory = Pieces::new().with(Avma(START), stack());
        let types = Types::new(&memory, Avma(START), Avma(START + 0x200));
        let outside = types.get(Avma(START + 0x200)).unwrap_err();
        assert_eq!(outside.to_string(), "0x1200 is outside the type descriptors, 0x1000 to 0x1200");
        let number = Type { kind: TypeKind::Other(2), ..types.get(Avma(START)).unwrap() };
        assert_eq!(types.fields(&number), Err(TypeError::NotStruct { at: Avma(START), kind: 2 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(image in proptest::collection::vec(any::<u8>(), 0..512), at in 0..512_u64) {
            let memory = Pieces::new().with(Avma(START), image);
            let types = Types::new(&memory, Avma(START), Avma(START + 0x200));
            if let Ok(found) = types.get(Avma(START + at)) {
                let _ = (types.fields(&found), types.element(found.at));
            }
        }
    }
}
