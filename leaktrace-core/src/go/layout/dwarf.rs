//! Shapes from debug information: the second source, and the only one for `schedt` in a release that the table
//! does not know.

use crate::base::hash::{KeyedMap, KeyedSet};
use crate::binary::dwarf::{DebugInfo, DwarfError, StructLayout};
use crate::go::layout::shape::Shape;

/// How deep structs inside structs are followed, as for type descriptors.
const MAX_DEPTH: usize = 4;

/// The structs of a binary with debug information, by name.
pub(super) struct DwarfShapes {
    layouts: KeyedMap<String, StructLayout>,
}

impl DwarfShapes {
    /// The structs called `names` and those inside them.
    pub(super) fn read(info: &DebugInfo<'_>, names: &[&str]) -> Result<Self, DwarfError> {
        let mut layouts: KeyedMap<String, StructLayout> = KeyedMap::default();
        let mut asked: KeyedSet<String> = KeyedSet::default();
        let mut wanted: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        for _ in 0..=MAX_DEPTH {
            wanted.retain(|name| asked.insert(name.clone()));
            if wanted.is_empty() {
                break;
            }
            let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let found = info.struct_layouts(&names)?;
            wanted = found.iter().flat_map(types_inside).collect();
            layouts.extend(found.into_iter().map(|layout| (layout.name.clone(), layout)));
        }
        Ok(Self { layouts })
    }

    /// The shape of the struct called `name`, if there is one.
    pub(super) fn shape(&self, name: &str) -> Option<Shape> {
        let layout = self.layouts.get(name)?;
        let mut shape = Shape::new(name, u32::try_from(layout.size).unwrap_or(u32::MAX));
        self.flatten(layout, "", 0, 0, &mut shape);
        Some(shape)
    }

    fn flatten(&self, of: &StructLayout, prefix: &str, base: u64, depth: usize, out: &mut Shape) {
        for field in &of.fields {
            let path = format!("{prefix}{}", field.name);
            let offset = base.saturating_add(field.offset);
            let inner_prefix = format!("{path}.");
            if !out.add(path, offset) {
                break;
            }
            let inner = field.type_name.as_ref().and_then(|name| self.layouts.get(name));
            if let Some(inner) = inner.filter(|_| depth < MAX_DEPTH) {
                self.flatten(inner, &inner_prefix, offset, depth + 1, out);
            }
        }
    }
}

/// The names of the types of its fields that may be structs.
fn types_inside(layout: &StructLayout) -> impl Iterator<Item = String> + '_ {
    let names = layout.fields.iter().filter_map(|field| field.type_name.as_ref());
    names
        .filter(|name| name.starts_with("struct ") || name.contains('.') && !name.starts_with(['*', '[']))
        .cloned()
}
