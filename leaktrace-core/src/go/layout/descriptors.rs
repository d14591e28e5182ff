//! Shapes from the type descriptors that every Go binary carries.
//!
//! The runtime allocates its own structs like any other, so the functions that do so name their descriptors;
//! from there the types of the fields lead on. Only names are relied on, not which function names which type.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::go::layout::shape::{MAX_FIELDS, Shape};
use crate::go::layout::{LayoutError, MAX_TYPES};
use crate::go::types::{Field, Type, TypeError, TypeKind, Types};
use crate::num::Avma;

/// How deep structs inside structs are followed: `c.maybeTraceablePtr.vu` is the deepest that is needed.
const MAX_DEPTH: usize = 4;

/// The structs of the runtime by name.
pub(super) struct Descriptors<'m> {
    types: Types<'m>,
    named: FxHashMap<String, Type>,
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
        let mut found = Self { types, named: FxHashMap::default() };
        let mut queue: VecDeque<Avma> = roots.into_iter().filter(|&at| types.contains(at)).collect();
        let mut seen: FxHashSet<Avma> = queue.iter().copied().collect();
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
        let found = self.types.get(at)?;
        match found.kind {
            TypeKind::Container => Ok(vec![self.types.element(&found)?]),
            TypeKind::Other(_) => Ok(Vec::new()),
            TypeKind::Struct => {
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
            let inner = self.types.get(of)?;
            if inner.kind == TypeKind::Struct && depth < MAX_DEPTH && out.fields.len() < MAX_FIELDS {
                self.flatten(&inner, &format!("{path}."), offset, depth + 1, out)?;
            }
            out.fields.insert(path, u32::try_from(offset).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}
