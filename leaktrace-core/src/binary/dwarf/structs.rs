//! Struct layouts by name.

use gimli::AttributeValue;

use super::{DebugInfo, DwarfError, Entry, Slice, Unit, Units};

/// The most fields of a struct that are kept.
const MAX_FIELDS: usize = 4096;

/// A struct as the compiler laid it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructLayout {
    /// Its name with its package, such as `runtime.g`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its fields in their order.
    pub fields: Vec<StructField>,
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructField {
    /// Its name; for an embedded struct that of the struct.
    pub name: String,
    /// How many bytes after the struct's start it is.
    pub offset: u64,
    /// The name of its type, where that has one.
    pub type_name: Option<String>,
}

impl StructLayout {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&StructField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl DebugInfo<'_> {
    /// The layouts of the structs with these names, as far as they are known, in one pass.
    pub fn struct_layouts(&self, names: &[&str]) -> Result<Vec<StructLayout>, DwarfError> {
        let units = Units::new(self)?;
        let mut found: Vec<StructLayout> = Vec::new();
        for header in &units.headers {
            let unit = units.dwarf.unit(*header)?;
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                if found.len() == names.len() {
                    return Ok(found);
                }
                if entry.tag() != gimli::DW_TAG_structure_type {
                    continue;
                }
                let name = units.own_name(&unit, entry).filter(|name| names.contains(name));
                let is_new = |name: &&str| found.iter().all(|layout| layout.name != *name);
                if let Some(name) = name.filter(is_new) {
                    found.extend(layout(&units, &unit, entry, name)?);
                }
            }
        }
        Ok(found)
    }

    /// The layout of the struct called `name`, such as `runtime.g`.
    pub fn struct_layout(&self, name: &str) -> Result<Option<StructLayout>, DwarfError> {
        Ok(self.struct_layouts(&[name])?.pop())
    }
}

/// The layout of a struct; `None` for a declaration without a size.
fn layout<'a>(
    units: &Units<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    name: &str,
) -> Result<Option<StructLayout>, DwarfError> {
    let size = entry.attr_value(gimli::DW_AT_byte_size).and_then(|value| value.udata_value());
    let Some(size) = size else { return Ok(None) };
    let mut fields = Vec::new();
    let mut tree = unit.entries_tree(Some(entry.offset()))?;
    let mut children = tree.root()?.children();
    while let Some(child) = children.next()? {
        if child.entry().tag() == gimli::DW_TAG_member && fields.len() < MAX_FIELDS {
            fields.extend(field(units, unit, child.entry()));
        }
    }
    Ok(Some(StructLayout { name: name.to_owned(), size, fields }))
}

fn field<'a>(units: &Units<'a>, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<StructField> {
    let offset = entry.attr_value(gimli::DW_AT_data_member_location)?.udata_value()?;
    let type_name = entry.attr_value(gimli::DW_AT_type).and_then(|of| type_name(units, unit, of));
    let name = units.own_name(unit, entry)?.to_owned();
    Some(StructField { name, offset, type_name: type_name.map(str::to_owned) })
}

fn type_name<'a>(
    units: &Units<'a>,
    unit: &Unit<'a>,
    reference: AttributeValue<Slice<'a>>,
) -> Option<&'a str> {
    let (other, offset) = units.resolve(unit, reference)?;
    let unit = other.as_ref().unwrap_or(unit);
    units.own_name(unit, &unit.entry(offset).ok()?)
}
