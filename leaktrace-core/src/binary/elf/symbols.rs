//! The symbol table, where a file still has one.

use object::LittleEndian as Le;
use object::elf::{self, Sym64};
use object::read::elf::{SectionHeader as _, Sym as _};

use super::Elf;
use crate::base::bytes;
use crate::base::num::Svma;

impl<'d> Elf<'d> {
    /// The address of the symbol called `name`, or `None` if there is none or the file is stripped.
    pub fn symbol(&self, name: &str) -> Option<Svma> {
        let [found] = self.symbols([name]);
        found
    }

    /// The addresses of the symbols called `names`, found in one pass: a large file has a million symbols.
    pub fn symbols<const N: usize>(&self, names: [&str; N]) -> [Option<Svma>; N] {
        let mut found = [None; N];
        let Some((symbols, strings)) = self.symbol_table() else { return found };
        let common = common_prefix(&names);
        for symbol in symbols.iter().filter(|symbol| !symbol.is_undefined(Le)) {
            // A comparison at the place, since scanning for the end of each name would cost far more.
            let name = bytes::tail(strings, symbol.st_name(Le).into()).unwrap_or_default();
            if !name.starts_with(common) {
                continue;
            }
            if let Some(slot) = names.iter().position(|wanted| bytes::is_c_str(name, wanted)) {
                found[slot].get_or_insert(Svma(symbol.st_value(Le)));
                if found.iter().all(Option::is_some) {
                    break;
                }
            }
        }
        found
    }

    /// The symbols of the file, and their names.
    fn symbol_table(&self) -> Option<(&'d [Sym64<Le>], &'d [u8])> {
        let symbols = self.sections.symbols(Le, self.data, elf::SHT_SYMTAB).ok()?;
        let strings = self.sections.section(symbols.string_section()).ok()?.data(Le, self.data).ok()?;
        Some((symbols.symbols(), strings))
    }
}

/// What all `names` begin with.
fn common_prefix<'n>(names: &[&'n str]) -> &'n [u8] {
    let Some((first, others)) = names.split_first() else { return &[] };
    let shared = |other: &&str| first.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let len = others.iter().map(shared).min().unwrap_or(first.len());
    first.as_bytes().get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::elf::tests::elf_with_sections;

    /// A file with symbols of these names, sections and addresses.
    fn with_symbols(symbols: &[(&str, u16, u64)]) -> Vec<u8> {
        let (mut table, mut names) = (vec![0; 24], vec![0]);
        for (name, section, at) in symbols {
            table.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
            table.extend([&[0, 0][..], &section.to_le_bytes(), &at.to_le_bytes(), &[0; 8]].concat());
            names.extend(name.bytes().chain([0]));
        }
        let mut data = elf_with_sections(&[(".symtab", table, false), (".strtab", names, false)]);
        // The first section is a symbol table, with its names in the second, and 24 bytes for each.
        let header = 64 + usize::try_from(bytes::u64_at(&data, 40).unwrap()).unwrap();
        for (offset, value) in [(4, 2), (40, 2), (56, 24), (64 + 4, 3)] {
            data[header + offset] = value;
        }
        data
    }

    #[test]
    fn symbols_are_found_by_their_whole_names_together_or_alone() {
        let data = with_symbols(&[
            ("runtime.allp", 0, 1),
            ("runtime.allp", 1, 2),
            ("runtime.allptr", 1, 3),
            ("runtime.all", 1, 4),
            ("main.allp", 1, 5),
            ("runtime.allp", 1, 6),
        ]);
        let elf = Elf::parse(&data).unwrap();
        let found = elf.symbols(["runtime.all", "runtime.allp", "runtime.none"]);
        assert_eq!(found, [Some(Svma(4)), Some(Svma(2)), None], "the first that is defined");
        assert_eq!(elf.symbols(["runtime.allp", "main.allp"]), [Some(Svma(2)), Some(Svma(5))]);
        assert_eq!([elf.symbol("runtime.allptr"), elf.symbol("allp")], [Some(Svma(3)), None]);
        assert_eq!(elf.symbols([]), []);
    }
}
