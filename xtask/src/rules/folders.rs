//! Folders stand above each other: none uses another that uses it, directly or not. Neither do the parts of a crate,
//! be they folders or files.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use regex::Regex;

use super::source::Source;
use super::uses::{Module, Uses};

/// The crates whose folders are looked at, each with its sources.
const CRATES: [&str; 2] = ["leaktrace-core/src", "leaktrace/src"];
/// Where the order of the core's wings is written, for people and for this.
const ORDER: &str = "leaktrace-core/src/lib.rs";

/// Fails with every wing of the core that uses one that is not before it, and with every circle.
pub(super) fn check(sources: &[Source]) -> Result<()> {
    let mut found = Vec::new();
    for folder in CRATES {
        let uses = Uses::of_crate(sources, folder);
        if let Some(lib) = sources.iter().find(|source| ORDER == source.path.to_string_lossy())
            && ORDER.starts_with(folder)
        {
            found.extend(out_of_order(&wings(&lib.text)?, &uses));
        }
        for parent in parents(&uses) {
            let circles = circles(&level(&uses, &parent)).into_iter();
            let circles = circles.filter(|circle| parent.is_empty() || folders(&uses, &parent, circle) > 1);
            let place = [&[folder.to_owned()], parent.as_slice()].concat().join("/");
            found.extend(circles.map(|circle| describe_cycle(&place, &circle, &uses, &parent)));
        }
    }
    if !found.is_empty() {
        bail!("\n{}", found.join("\n"));
    }
    Ok(())
}

/// The wings in their order, as the documentation of the crate lists them.
fn wings(lib: &str) -> Result<Vec<String>> {
    let (row, name) = (Regex::new(r"(?m)^//! - (\[`.*)$")?, Regex::new(r"\[`(\w+)`\]")?);
    let rows = row.captures_iter(lib);
    // What stands after the colon says what a wing is, and may name others.
    let heads = rows.map(|row| row[1].split(':').next().unwrap_or_default().to_owned());
    Ok(heads
        .flat_map(|head| name.captures_iter(&head).map(|found| found[1].to_owned()).collect::<Vec<_>>())
        .collect())
}

fn out_of_order(wings: &[String], uses: &Uses) -> Vec<String> {
    let place = |wing: &String| wings.iter().position(|other| other == wing);
    let mut found = BTreeSet::new();
    for (module, used) in &uses.by_module {
        let Some(wing) = module.first() else { continue };
        let Some(own) = place(wing) else {
            found.insert(format!("{ORDER} does not list {wing}"));
            continue;
        };
        let later = used.iter().filter(|used| used.first().and_then(place).is_some_and(|other| other > own));
        found.extend(later.map(|used| {
            format!("{ORDER} lists {wing} before {}, which {} uses", used[0], module.join("::"))
        }));
    }
    found.into_iter().collect()
}

/// The folders that have others in them, from the crate down.
fn parents(uses: &Uses) -> BTreeSet<Module> {
    let modules = uses.by_module.keys().filter_map(|module| module.split_last());
    modules.map(|(_, parent)| parent.to_vec()).collect()
}

/// What uses what of the parts of one folder.
fn level(uses: &Uses, parent: &Module) -> BTreeMap<String, BTreeSet<String>> {
    let part = |module: &Module| module.strip_prefix(parent.as_slice())?.first().cloned();
    let mut level: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, used) in &uses.by_module {
        if let Some(own) = part(module) {
            let others = used.iter().filter_map(part).filter(|other| *other != own);
            level.entry(own.clone()).or_default().extend(others);
        }
    }
    level
}

/// How many of `parts` are folders: files of one folder may use each other, as they are one subject.
fn folders(uses: &Uses, parent: &Module, parts: &[String]) -> usize {
    let is_folder = |part: &&String| {
        let module = [parent.as_slice(), std::slice::from_ref(*part)].concat();
        uses.by_module.keys().any(|other| other.len() > module.len() && other.starts_with(&module))
    };
    parts.iter().filter(is_folder).count()
}

/// Groups of parts of which each uses all others, directly or not.
fn circles(level: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        level.keys().map(|part| (part, reachable(level, part))).collect();
    let mut found: Vec<Vec<String>> = Vec::new();
    for (part, others) in &reached {
        let is_back = |other: &&&String| reached.get(**other).is_some_and(|back| back.contains(part));
        let circle: Vec<String> = others.iter().filter(is_back).map(|part| (*part).clone()).collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

fn reachable<'l>(level: &'l BTreeMap<String, BTreeSet<String>>, from: &String) -> BTreeSet<&'l String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(part) = open.pop() {
        let next = level.get(part).into_iter().flatten().filter(|next| seen.insert(*next));
        open.extend(next.collect::<Vec<_>>());
    }
    seen
}

/// A circle, with the modules that close it.
fn describe_cycle(place: &str, circle: &[String], uses: &Uses, parent: &Module) -> String {
    let part = |module: &Module| module.strip_prefix(parent.as_slice())?.first().cloned();
    let mut ways = BTreeSet::new();
    for (module, used) in &uses.by_module {
        let Some(own) = part(module).filter(|own| circle.contains(own)) else { continue };
        let others = used
            .iter()
            .filter(|used| part(used).is_some_and(|other| other != own && circle.contains(&other)));
        ways.extend(others.map(|used| format!("\n    {} uses {}", module.join("::"), used.join("::"))));
    }
    format!("{place}: {} use each other:{}", circle.join(", "), ways.into_iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const LIB: &str =
        "//! - [`base`]: numbers\n//! - [`go`]: beside [`dump`]\n//! - [`report`] and [`dump`]: views\n";

    fn source(path: &str, text: &str) -> Source {
        Source { path: PathBuf::from(format!("leaktrace-core/src/{path}")), text: text.to_owned() }
    }

    fn checked(files: &[(&str, &str)]) -> Result<()> {
        let lib = [source("lib.rs", LIB)].into_iter();
        check(&lib.chain(files.iter().map(|(path, text)| source(path, text))).collect::<Vec<_>>())
    }

    #[test]
    fn the_order_of_the_wings_is_the_one_that_people_read() {
        assert_eq!(wings(LIB).unwrap(), ["base", "go", "report", "dump"]);
    }

    #[test]
    fn a_wing_uses_only_those_before_it() {
        assert!(checked(&[("go.rs", "use crate::base::num;"), ("base/num.rs", "")]).is_ok());
        let error =
            checked(&[("base/mod.rs", "use crate::go::Thing;"), ("go.rs", "")]).unwrap_err().to_string();
        assert!(error.contains("lists base before go, which base uses"), "{error}");
        let error = checked(&[("other.rs", "")]).unwrap_err().to_string();
        assert!(error.contains("does not list other"), "{error}");
    }

    #[test]
    fn a_circle_of_three_is_found_with_what_closes_it() {
        let error = checked(&[
            ("go/a/mod.rs", "mod x;\nuse super::b::B;"),
            ("go/a/x.rs", ""),
            ("go/b/mod.rs", "fn f() { crate::go::c::g(); }"),
            ("go/b/y.rs", ""),
            ("go/c.rs", "use super::{a::A, d::D};"),
            ("go/d.rs", ""),
        ]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("leaktrace-core/src/go: a, b, c use each other"), "{error}");
        assert!(error.contains("go::b uses go::c") && !error.contains("go::d"), "{error}");
        let files = [("go/mod.rs", ""), ("go/a.rs", "use super::b::B;"), ("go/b.rs", "use super::a::A;")];
        assert!(checked(&files).is_ok(), "two files of a folder are one subject");
    }
}
