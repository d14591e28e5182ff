//! Where the fields of Go's structs are, by their declarations: on 64 bits, as the compiler lays them out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use super::constants::Evaluator;
use super::source::{Package, closing};

/// The types of one package.
pub(super) struct Layouts {
    pub(super) package: Package,
}

/// A type as it lies in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) size: u64,
    align: u64,
    /// The fields of a struct with their offsets, as `runq.head`, and those of embedded structs without its name.
    pub(super) fields: BTreeMap<String, u64>,
    /// Of fields that are arrays, how many elements they have.
    pub(super) lengths: BTreeMap<String, u64>,
}

impl Layout {
    const fn word(size: u64) -> Self {
        Self {
            size,
            align: if size < 8 { size } else { 8 },
            fields: BTreeMap::new(),
            lengths: BTreeMap::new(),
        }
    }

    /// The offset of a field.
    pub(super) fn field(&self, path: &str) -> Result<u64> {
        self.fields.get(path).copied().with_context(|| format!("no field {path}"))
    }
}

impl Layouts {
    pub(super) const fn new(package: Package) -> Self {
        Self { package }
    }

    /// The layout of the type that is written `of`.
    pub(super) fn of(&self, of: &str) -> Result<Layout> {
        let of = of.trim();
        if let Some(body) = of.strip_prefix("struct") {
            return self.fields(body.trim().strip_prefix('{').context("a struct without fields")?);
        }
        if let Some(rest) = of.strip_prefix('[').filter(|rest| !rest.starts_with(']')) {
            let end = closing(rest).context("an array that does not end")?;
            let element = self.of(&rest[end + 1..])?;
            let len = u64::try_from(Evaluator::new(self).value(&rest[..end])?)?;
            return Ok(Layout { size: element.size * len, align: element.align, ..Layout::default() });
        }
        if let Some(size) = known(of) {
            return Ok(Layout {
                align: if size == 0 { 1 } else { Layout::word(size).align },
                ..Layout::word(size)
            });
        }
        let declared = self.package.declared(of).with_context(|| format!("no type {of}"))?;
        self.of(declared).with_context(|| format!("in {of}"))
    }

    fn fields(&self, body: &str) -> Result<Layout> {
        let mut out = Layout { align: 1, ..Layout::default() };
        for statement in statements(&body[..closing(body).unwrap_or(body.len())]) {
            for (name, of) in fields_of(statement)? {
                self.add(&name, of, &mut out)?;
            }
        }
        out.size = out.size.next_multiple_of(out.align);
        Ok(out)
    }

    fn add(&self, name: &str, of: &str, out: &mut Layout) -> Result<()> {
        let layout = self.of(of).with_context(|| format!("field {name}"))?;
        let offset = out.size.next_multiple_of(layout.align.max(1));
        out.align = out.align.max(layout.align);
        out.size = offset + layout.size;
        if let Some(len) =
            of.strip_prefix('[').and_then(|rest| Some(&rest[..closing(rest)?])).filter(|len| !len.is_empty())
        {
            out.lengths.insert(name.to_owned(), u64::try_from(Evaluator::new(self).value(len)?)?);
        }
        let embedded = name == of;
        for (path, inner) in layout.fields {
            let path = if embedded { path } else { format!("{name}.{path}") };
            out.fields.entry(path).or_insert(offset + inner);
        }
        out.fields.insert(name.to_owned(), offset);
        Ok(())
    }
}

/// The sizes of types that are not declared in the package.
fn known(of: &str) -> Option<u64> {
    let pointers = ["*", "map[", "chan ", "func(", "atomic.Pointer["];
    if pointers.iter().any(|prefix| of.starts_with(prefix)) {
        return Some(8);
    }
    if of.starts_with("[]") {
        return Some(24);
    }
    Some(match of {
        "sys.NotInHeap" | "struct{}" | "noCopy" | "nih" | "sys.nih" => 0,
        "bool" | "int8" | "uint8" | "byte" | "atomic.Bool" | "atomic.Uint8" => 1,
        "int16" | "uint16" => 2,
        "int32" | "uint32" | "rune" | "float32" | "atomic.Int32" | "atomic.Uint32" => 4,
        "int"
        | "uint"
        | "int64"
        | "uint64"
        | "uintptr"
        | "float64"
        | "unsafe.Pointer"
        | "atomic.Int64"
        | "atomic.Uint64"
        | "atomic.Uintptr"
        | "atomic.UnsafePointer"
        | "atomic.Float64" => 8,
        "string" | "any" | "error" | "interface{}" => 16,
        _ => return None,
    })
}

/// The lines of a struct, those of structs inside it joined.
fn statements(body: &str) -> Vec<&str> {
    let (mut depth, mut start, mut out) = (0_usize, 0, Vec::new());
    for (at, c) in body.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            '\n' | ';' if depth == 0 => {
                out.push(body[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push(body[start..].trim());
    out.retain(|statement| !statement.is_empty());
    out
}

/// `a, b T`, or an embedded `T`, whose name is the type's.
fn fields_of(statement: &str) -> Result<Vec<(String, &str)>> {
    if !statement.contains(char::is_whitespace) {
        return Ok(vec![(statement.to_owned(), statement)]);
    }
    let mut end = 0;
    while let Some(comma) =
        statement[end..].find(',').filter(|comma| !statement[end..end + comma].trim().contains(' '))
    {
        end += comma + 1;
        end += statement[end..].len() - statement[end..].trim_start().len();
    }
    let Some(space) = statement[end..].find(char::is_whitespace) else { bail!("no type in {statement}") };
    let (names, of) = statement.split_at(end + space);
    Ok(names.split(',').map(|name| (name.trim().to_owned(), of.trim())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_compiler_puts_them() {
        let layouts = Layouts::new(Package::of(
            "type list struct {\n\thead word\n\tsize int32\n}\ntype word uintptr\ntype header struct {\n\t_ sys.NotInHeap\n\
             \tnext uint64\n\tn uint32\n}\ntype all struct {\n\theader\n\tflag, other bool\n\tqueue list\n\tinner struct {\n\
             \t\tlock uint32\n\t\tf func(a, b int) (c bool)\n\t}\n\tnames []string\n\tcounts [2 * 3]list\n\tlast *all\n}\n",
        ));
        let all = layouts.of("all").unwrap();
        let at = |path| all.field(path).unwrap();
        assert_eq!([at("next"), at("n"), at("flag"), at("other")], [0, 8, 16, 17]);
        assert_eq!([at("queue"), at("queue.size"), at("inner.f"), at("names")], [24, 32, 48, 56]);
        assert_eq!([at("counts"), at("last"), all.size], [80, 176, 184]);
        assert_eq!(all.lengths["counts"], 6);
        assert!(all.field("none").is_err());
        assert!(layouts.of("unknown").is_err());
    }
}
