//! Shapes from the type descriptors that every Go binary carries.
//!
//! The runtime allocates its own structs like any other, so the functions that do so name their descriptors;
//! from there the types of the fields lead on. Only names are relied on, not which function names which type.

use std::collections::VecDeque;

use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::Avma;
use crate::go::layout::shape::Shape;
use crate::go::layout::{LayoutError, MAX_TYPES};
use crate::go::types::{Field, Type, TypeError, TypeKind, Types};

/// How deep structs inside structs are followed: `c.maybeTraceablePtr.vu` is the deepest that is needed.
const MAX_DEPTH: usize = 4;

/// The structs of the runtime by name.
pub(super) struct Descriptors<'m> {
    types: Types<'m>,
    named: KeyedMap<String, Type>,
}

impl<'m> Descriptors<'m> {
    /// Follows the types of fields from `roots` on until all of `wanted` are known or nothing is left.
    ///
    /// Addresses among the roots that are no descriptors are skipped: code names other data as well.
    pub(super) fn reachable(
        types: Types<'m>,
        roots: impl IntoIterator<Item = Avma>,
        wanted: &[&str],
    ) -> Self {
        let mut found = Self { types, named: KeyedMap::default() };
        let mut queue: VecDeque<Avma> = roots.into_iter().filter(|&at| types.contains(at)).collect();
        let mut seen: KeyedSet<Avma> = queue.iter().copied().collect();
        while let Some(at) = queue.pop_front() {
            if seen.len() > MAX_TYPES || wanted.iter().all(|name| found.named.contains_key(*name)) {
                break;
            }
            let Ok(next) = found.visit(at) else { continue };
            queue.extend(next.into_iter().filter(|&next| types.contains(next) && seen.insert(next)));
        }
        found
    }

    /// Remembers the type at `at` if it is a struct; returns the types that it is made of.
    fn visit(&mut self, at: Avma) -> Result<Vec<Avma>, TypeError> {
        match self.types.kind(at)? {
            TypeKind::Container => Ok(vec![self.types.element(at)?]),
            TypeKind::Other(_) => Ok(Vec::new()),
            TypeKind::Struct => {
                let found = self.types.get(at)?;
                let parts = self.types.fields(&found)?.into_iter().map(|field| field.of).collect();
                self.named.entry(found.name.clone()).or_insert(found);
                Ok(parts)
            }
        }
    }

    /// The shape of the struct called `name`, if it was reached.
    pub(super) fn shape(&self, name: &str) -> Result<Option<Shape>, LayoutError> {
        let Some(found) = self.named.get(name) else { return Ok(None) };
        let mut shape = Shape::new(name, u32::try_from(found.size).unwrap_or(u32::MAX));
        self.flatten(found, "", 0, 0, &mut shape)?;
        Ok(Some(shape))
    }

    fn flatten(
        &self,
        of: &Type,
        prefix: &str,
        base: u64,
        depth: usize,
        out: &mut Shape,
    ) -> Result<(), TypeError> {
        for Field { name, of, offset } in self.types.fields(of)? {
            let path = format!("{prefix}{name}");
            let offset = base.saturating_add(offset);
            let inner_prefix = format!("{path}.");
            if !out.add(path, offset) {
                break;
            }
            if self.types.kind(of)? == TypeKind::Struct && depth < MAX_DEPTH {
                self.flatten(&self.types.get(of)?, &inner_prefix, offset, depth + 1, out)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;
    use proptest::prelude::*;

    const START: u64 = 0x1000;
    const STRUCT: u8 = 25;
    const POINTER: u8 = 22;

    /// Writes type descriptors.
    struct Image(Vec<u8>);

    impl Image {
        fn put(&mut self, at: usize, bytes: &[u8]) {
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
        }

        /// The name of a type or field, at the end of the image.
        fn name(&mut self, name: &str) -> u64 {
            let at = self.0.len() as u64;
            self.0.extend([0, u8::try_from(name.len()).unwrap()]);
            self.0.extend(name.as_bytes());
            self.0.resize(self.0.len() + 8, 0);
            START + at
        }

        fn header(&mut self, at: usize, kind: u8, name: &str) {
            let name = i32::try_from(self.name(name) - START).unwrap();
            self.put(at, &64_u64.to_le_bytes());
            self.put(at + 23, &[kind]);
            self.put(at + 40, &name.to_le_bytes());
        }

        /// A struct with fields of a name, the offset of their type in the image, and an offset.
        fn with_struct(mut self, at: usize, name: &str, fields: &[(&str, u64, u64)]) -> Self {
            self.header(at, STRUCT, name);
            let table = at + 0x80;
            self.put(at + 56, &(START + table as u64).to_le_bytes());
            self.put(at + 64, &(fields.len() as u64).to_le_bytes());
            for (index, (name, of, offset)) in fields.iter().enumerate() {
                let name = self.name(name);
                let words = [name, START + of, *offset].map(u64::to_le_bytes).concat();
                self.put(table + index * 24, &words);
            }
            self
        }

        fn with_pointer(mut self, at: usize, to: u64) -> Self {
            self.header(at, POINTER, "*runtime.m");
            self.put(at + 48, &(START + to).to_le_bytes());
            self
        }
    }

    /// `g` with a `gobuf` inside and a pointer to `m`, which points back.
    fn image() -> Vec<u8> {
        let image = Image(vec![0; 0x900])
            .with_struct(0x100, "runtime.g", &[("sched", 0x300, 56), ("m", 0x500, 48)])
            .with_struct(0x300, "runtime.gobuf", &[("sp", 0x800, 0), ("bp", 0x800, 40)])
            .with_pointer(0x500, 0x600)
            .with_struct(0x600, "runtime.m", &[("g0", 0x100, 0)]);
        image.0
    }

    #[test]
    fn structs_are_reached_through_the_types_of_fields() {
        let memory = Pieces::new().with(Avma(START), image());
        let types = Types::new(&memory, Avma(START), Avma(START + 0x1000));
        // The first root is no descriptor, as much of what code refers to.
        let roots = [Avma(0x10), Avma(START + 0x100)];
        let found = Descriptors::reachable(types, roots, &["runtime.g", "runtime.m"]);
        let g = found.shape("runtime.g").unwrap().unwrap();
        assert_eq!(
            [g.optional("sched"), g.optional("sched.sp"), g.optional("sched.bp")],
            [Some(56), Some(56), Some(96)]
        );
        assert_eq!(found.shape("runtime.m").unwrap().unwrap().optional("g0"), Some(0));
        assert_eq!(found.shape("runtime.p").unwrap(), None);
    }

    #[test]
    fn a_struct_that_contains_itself_many_times_ends_soon() {
        let fields = [("", 0, 0); 40];
        let image = Image(vec![0; 0x800]).with_struct(0, "runtime.g", &fields);
        let memory = Pieces::new().with(Avma(START), image.0);
        let types = Types::new(&memory, Avma(START), Avma(START + 0x1000));
        let found = Descriptors::reachable(types, [Avma(START)], &["runtime.m"]);
        assert!(found.shape("runtime.g").unwrap().is_some());
    }

    #[test]
    fn a_struct_that_contains_itself_ends() {
        let image = Image(vec![0; 0x200]).with_struct(0, "runtime.g", &[("g", 0, 8), ("again", 0, 16)]);
        let memory = Pieces::new().with(Avma(START), image.0);
        let types = Types::new(&memory, Avma(START), Avma(START + 0x1000));
        let found = Descriptors::reachable(types, [Avma(START)], &["runtime.m"]);
        let shape = found.shape("runtime.g").unwrap().unwrap();
        assert_eq!(shape.optional("g.again"), Some(24));
        assert!(shape.fields.len() < 200, "{}", shape.fields.len());
    }

    proptest! {
        #[test]
        fn damaged_descriptors_are_read_or_refused(at in 0..0x900_usize, byte: u8, more in 0..0x900_usize) {
            let mut damaged = image();
            (damaged[at], damaged[more]) = (byte, byte);
            let memory = Pieces::new().with(Avma(START), damaged);
            let types = Types::new(&memory, Avma(START), Avma(START + 0x1000));
            let found = Descriptors::reachable(types, [Avma(START + 0x100)], &["runtime.p"]);
            let _ = (found.shape("runtime.g"), found.shape("runtime.m"));
        }
    }
}
