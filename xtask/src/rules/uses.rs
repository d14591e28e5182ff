//! Which module uses which, by the paths in its code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::source::{Source, code, test_modules};

static USE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)\buse\s+(.*?);").expect("it is a pattern"));
static PUB_USE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)\bpub(?:\([^)]*\))?\s+use\s+(.*?);").expect("it is a pattern"));
static INLINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").expect("it is a pattern"));

/// A module's path within its crate: `["judge", "detect"]`; empty for the crate itself.
pub(super) type Module = Vec<String>;

/// A crate's modules and what they use.
pub(super) struct Uses {
    /// Each module with those of the same crate that it uses, by what `pub use` finally names.
    pub(super) by_module: BTreeMap<Module, BTreeSet<Module>>,
}

impl Uses {
    /// Those of the crate whose sources are in `folder`.
    pub(super) fn of_crate(sources: &[Source], folder: &str) -> Self {
        let mut texts: BTreeMap<Module, String> = BTreeMap::new();
        let mut tests: Vec<Module> = Vec::new();
        for source in sources.iter().filter(|source| !source.is_test()) {
            let Ok(path) = source.path.strip_prefix(folder) else { continue };
            let module = module(path);
            let declared = test_modules(&source.text);
            tests.extend(declared.into_iter().map(|name| [module.clone(), vec![name]].concat()));
            texts.insert(module, code(&source.text));
        }
        texts.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        let names = texts.iter().map(|(module, text)| (module.clone(), renamed(module, text))).collect();
        let known = Known { modules: texts.keys().cloned().collect(), names };
        let uses = texts.iter().map(|(module, text)| {
            let paths = paths(text).into_iter().filter_map(|path| absolute(module, &path));
            (module.clone(), paths.map(|path| known.owner(&path)).filter(|used| used != module).collect())
        });
        Self { by_module: uses.collect() }
    }
}

/// The module that a file is.
fn module(path: &Path) -> Module {
    let mut parts: Module =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// What is known of a crate when a path is followed.
struct Known {
    modules: BTreeSet<Module>,
    /// What each module names again with `use`, and the path that it stands for.
    names: BTreeMap<Module, BTreeMap<String, Module>>,
}

impl Known {
    /// The module in which is what `path` names.
    fn owner(&self, path: &[String]) -> Module {
        let mut path = path.to_vec();
        // A path through names that stand for each other ends somewhere.
        for _ in 0..8 {
            let found = (0..=path.len()).rev().find(|len| self.modules.contains(&path[..*len]));
            let owner = path[..found.unwrap_or(0)].to_vec();
            let name = path.get(owner.len());
            let Some(other) = name.and_then(|name| self.names.get(&owner)?.get(name)) else { return owner };
            path = [other.as_slice(), &path[owner.len() + 1..]].concat();
        }
        path
    }
}

/// What `pub use` in `module` names again, with the path of what it stands for.
fn renamed(module: &[String], code: &str) -> BTreeMap<String, Module> {
    let mut names = BTreeMap::new();
    for found in PUB_USE.captures_iter(code) {
        for path in expanded(&found[1]) {
            let (path, name) = match path.split_once(" as ") {
                Some((path, name)) => (path.to_owned(), name.trim().to_owned()),
                None => (path.clone(), path.rsplit("::").next().unwrap_or_default().to_owned()),
            };
            let path = if path.starts_with("crate::") || path.starts_with("super::") {
                path
            } else {
                format!("self::{}", path.trim_start_matches("self::"))
            };
            names.extend(absolute(module, &path).map(|path| (name, path)));
        }
    }
    names
}

/// Every path of `code` that begins at the crate or at a module above: in `use`, or where it is used.
fn paths(code: &str) -> Vec<String> {
    let mut paths: Vec<String> = USE.captures_iter(code).flat_map(|found| expanded(&found[1])).collect();
    let rest = USE.replace_all(code, "");
    paths.extend(INLINE.find_iter(&rest).map(|found| found.as_str().to_owned()));
    paths
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expanded(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else { return vec![tree.trim_end_matches("::self").to_owned()] };
    // The first brace is the outermost: the last one closes it.
    let (prefix, inner) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]);
    parts(inner).iter().flat_map(|part| expanded(&format!("{prefix}{}", part.trim()))).collect()
}

/// What stands between the commas of a list, which do not count within braces.
fn parts(list: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_usize);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if c != ',' || depth > 0 => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// `path` from the root of the crate, where it is in the crate.
fn absolute(module: &[String], path: &str) -> Option<Module> {
    let mut at: Option<Module> = None;
    for part in path.split(" as ").next()?.trim().split("::") {
        match (part, &mut at) {
            ("crate", None) => at = Some(Vec::new()),
            ("self", None) => at = Some(module.to_vec()),
            ("super", None) => at = Some(module[..module.len().checked_sub(1)?].to_vec()),
            ("super", Some(at)) => drop(at.pop()?),
            (name, Some(at)) => at.push(name.to_owned()),
            (_, None) => return None,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn lists_of_a_use_are_expanded() {
        assert_eq!(expanded("a::{b, c::{d, e}, f::self}"), ["a::b", "a::c::d", "a::c::e", "a::f"]);
        assert_eq!(expanded("super::{x::{self, Y}}"), ["super::x", "super::x::Y"]);
        assert_eq!(expanded("a::b as c"), ["a::b as c"]);
    }

    #[test]
    fn paths_lead_to_the_module_that_has_what_they_name() {
        let source = |path: &str, text: &str| Source {
            path: PathBuf::from(format!("core/src/{path}")),
            text: text.to_owned(),
        };
        let sources = [
            source("lib.rs", "pub mod a;\npub mod b;"),
            source("a/mod.rs", "mod inner;\npub use inner::Thing;\n#[cfg(test)]\nmod made_up;"),
            source(
                "a/inner.rs",
                "use super::super::b::other;\n// use crate::c;\nfn f() { crate::b::call(); }",
            ),
            source("a/made_up.rs", "use crate::nothing;"),
            source("b.rs", "use crate::a::{self, Thing as T};\n#[cfg(test)]\nmod tests { use crate::c; }"),
        ];
        let uses = Uses::of_crate(&sources, "core/src");
        let of = |path: &[&str]| {
            let module: Module = path.iter().map(|part| (*part).to_owned()).collect();
            uses.by_module[&module].iter().map(|used| used.join("::")).collect::<Vec<_>>()
        };
        assert_eq!(of(&["a", "inner"]), ["b"]);
        assert_eq!(of(&["b"]), ["a", "a::inner"]);
        assert_eq!(uses.by_module.len(), 4);
    }
}
