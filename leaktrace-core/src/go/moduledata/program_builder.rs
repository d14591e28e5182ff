//! Writes what a tiny Go program has in memory, for tests: module data, text, types, inline tree and functions.

use super::offsets;
use crate::base::num::{Avma, Bias};
use crate::binary::elf::tests::{BASE, tiny_elf};
use crate::go::facts::moduledata_layouts;
use crate::go::pclntab::table_builder::{FunctionSpec, TableBuilder};
use crate::go::version::GoVersion;

/// Where the parts are, counted from where the file is loaded. The module data comes first.
pub(crate) const TEXT: u64 = 0x400;
pub(crate) const TYPES: u64 = 0x480;
pub(crate) const GOFUNC: u64 = 0x500;
const PCLNTAB: u64 = 0x600;

/// One release of each way in which module data and function tables were laid out.
pub(crate) const GO_1_19: GoVersion = GoVersion::new(1, 19);
pub(crate) const GO_1_24: GoVersion = GoVersion::new(1, 24);
pub(crate) const GO_1_27: GoVersion = GoVersion::new(1, 27);

/// A program, or with a path a plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgramBuilder {
    pub(crate) release: GoVersion,
    pub(crate) base: Avma,
    pub(crate) next: Avma,
    pub(crate) plugin_path: Option<&'static str>,
}

impl ProgramBuilder {
    /// A program of Go 1.24 at `base`.
    pub(crate) fn at(base: u64) -> Self {
        Self { release: GO_1_24, base: Avma(base), next: Avma(0), plugin_path: None }
    }

    /// How far it is from where its file says.
    pub(crate) fn bias(&self) -> Bias {
        Bias::between(BASE, self.base)
    }

    /// Whether its function table and inline trees are as before Go 1.20.
    fn is_old(&self) -> bool {
        self.release < GoVersion::new(1, 20)
    }

    /// The file.
    pub(crate) fn file(&self) -> Vec<u8> {
        tiny_elf(&self.memory())
    }

    /// What is in memory from `base` on, and in the file as well.
    pub(crate) fn memory(&self) -> Vec<u8> {
        let table = table(self.is_old());
        let built = table.build();
        let mut out = vec![0; usize::try_from(PCLNTAB).unwrap()];
        out[usize::try_from(GOFUNC).unwrap()..][..40].copy_from_slice(&inline_tree(&table, self.is_old()));
        if let Some(path) = self.plugin_path {
            out[0x580..][..path.len()].copy_from_slice(path.as_bytes());
        }
        for (offset, word) in self.words(&built) {
            out[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
        }
        out.extend(built);
        out
    }

    /// The words of the module data that are not 0.
    fn words(&self, table: &[u8]) -> Vec<(usize, u64)> {
        let at = |offset: u64| self.base.0 + offset;
        let part =
            |field: usize| at(PCLNTAB) + u64::from_le_bytes(table[field..field + 8].try_into().unwrap());
        let mut words = vec![
            (offsets::PC_HEADER, at(PCLNTAB)),
            (offsets::TEXT, at(TEXT)),
            (offsets::ETEXT, at(TEXT) + 0x80),
        ];
        words.extend([(8, 32), (32, 40), (56, 48), (80, 56), (104, 64)].map(|(to, from)| (to, part(from))));
        let fields = moduledata_layouts(Some(self.release)).next().unwrap();
        words.extend([
            (fields.types, at(TYPES)),
            (fields.etypes, at(TYPES) + 0x40),
            (fields.rodata, at(GOFUNC)),
        ]);
        words.extend([(fields.gofunc, at(GOFUNC)), (fields.next, self.next.0)]);
        // One piece of text, in a slice of length and capacity 1.
        words.extend([
            (fields.textsectmap, at(0)),
            (fields.textsectmap + 8, 1),
            (fields.textsectmap + 16, 1),
        ]);
        let path_len = self.plugin_path.map_or(0, |path| path.len() as u64);
        words.extend([(fields.pluginpath, at(0x580)), (fields.pluginpath + 8, path_len)]);
        words
    }
}

/// `runtime.goexit`, and `main.work` with `main.inner` inlined into it and `main.innermost` into that.
fn table(old: bool) -> TableBuilder {
    let goexit = FunctionSpec { name: "runtime.goexit", raw_id: 8, ..FunctionSpec::default() };
    let work = FunctionSpec {
        name: "main.work",
        entry: 0x40,
        start_line: 10,
        files: vec![(0x10, 0), (8, 1), (0x28, 0)],
        lines: vec![(0x10, 11), (4, 21), (4, 31), (0x28, 12)],
        pcdata: vec![vec![], vec![], vec![(0x10, -1), (4, 0), (4, 1), (0x28, -1)]],
        funcdata: vec![u32::MAX, u32::MAX, u32::MAX, 0],
        ..FunctionSpec::default()
    };
    TableBuilder {
        old,
        quantum: 1,
        functions: vec![goexit, work],
        end: 0x80,
        file_names: vec!["/src/main.go", "/src/inner.go"],
        more_names: vec!["main.inner", "main.innermost"],
    }
}

/// Two records: `main.inner` at the call at 4, `main.innermost` at a call inside that, at 0x10.
fn inline_tree(table: &TableBuilder, old: bool) -> Vec<u8> {
    let record = |name, parent: u32| {
        let name = table.name_offset(name);
        if old { vec![0, 0, 0, name, parent] } else { vec![0, name, parent, 20] }
    };
    let words = [record("main.inner", 4), record("main.innermost", 0x10)].concat();
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(40, 0);
    bytes
}
