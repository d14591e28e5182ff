//! A struct as its source describes it: the offset of every field by its path.

use std::collections::BTreeMap;

use crate::go::layout::LayoutError;

/// The most fields of a flattened struct, counting those that have the same path as often as they come.
const MAX_FIELDS: usize = 4096;

/// A struct with the fields of the structs inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The name with its package, as `runtime.g`.
    pub(super) name: String,
    /// The size of a value.
    pub(super) size: u32,
    /// The offset of each field by its path, as `sched.sp`.
    pub(super) fields: BTreeMap<String, u32>,
    /// How many were added.
    added: usize,
}

impl Shape {
    /// A struct without fields yet.
    pub(super) fn new(name: impl Into<String>, size: u32) -> Self {
        Self { name: name.into(), size, fields: BTreeMap::new(), added: 0 }
    }

    /// Adds a field; `false` once there are more than any struct of the runtime has.
    pub(super) fn add(&mut self, path: String, offset: u64) -> bool {
        self.fields.insert(path, u32::try_from(offset).unwrap_or(u32::MAX));
        self.added += 1;
        self.added < MAX_FIELDS
    }

    /// The offset of the field with one of these paths, which are tried in their order.
    pub(super) fn any(&self, paths: &[&str]) -> Option<u32> {
        paths.iter().find_map(|path| self.fields.get(*path)).copied()
    }

    /// The offset of a field that some releases do not have.
    pub(super) fn optional(&self, path: &str) -> Option<u32> {
        self.any(&[path])
    }

    /// The offset of a field that every release has.
    pub(super) fn required(&self, path: &str) -> Result<u32, LayoutError> {
        self.required_any(&[path])
    }

    /// The offset of a field that every release has under one of these paths.
    pub(super) fn required_any(&self, paths: &[&str]) -> Result<u32, LayoutError> {
        let missing = || LayoutError::NoField { shape: self.name.clone(), field: paths.join(" or ") };
        self.any(paths).ok_or_else(missing)
    }
}
