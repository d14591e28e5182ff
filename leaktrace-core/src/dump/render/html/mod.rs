//! One page with a flame graph and a table of groups. It needs no network, and runs no script but its own.
//!
//! The names in it are the target's, which may be hostile: they are in the page as JSON in which no `<` is left,
//! and the script sets them as text. Should markup get through all the same, the page's content security policy
//! refuses every script but the one whose hash it names.

mod flame;
mod groups;

use std::io::{self, Write};

use serde::Serialize;

use super::Options;
use crate::base::escape;
use crate::dump::group::By;
use crate::goroutines::Dump;
use flame::Flame;
use groups::Grouping;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// The hashes of [`STYLE`] and [`SCRIPT`]; a test says what they have to be.
const STYLE_HASH: &str = "sha256-I6CcYFW8ar/XvvSGzlKMCM4v5Ol7oB7Tcwa2KIm1X+U=";
const SCRIPT_HASH: &str = "sha256-XS7ySqJ0tARoXoCPbNvFPhapr0H7Etppf7JH5IAl4r8=";

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let title = escape::html(&options.heading(dump));
    let data = escape::script_json(&serde_json::to_string(&Data::of(dump, options))?);
    let parts: [(&str, &str); 6] = [
        ("STYLE_HASH", STYLE_HASH),
        ("SCRIPT_HASH", SCRIPT_HASH),
        ("TITLE", &title),
        ("STYLE", STYLE),
        ("DATA", &data),
        ("SCRIPT", SCRIPT),
    ];
    write_template(PAGE, &parts, out)
}

/// Writes `template`, each placeholder replaced by its text. What is inserted is not looked at again.
fn write_template(template: &str, parts: &[(&str, &str)], out: &mut dyn Write) -> io::Result<()> {
    let mut rest = template;
    while !rest.is_empty() {
        let next = parts.iter().filter_map(|part| Some((rest.find(part.0)?, part)));
        // Of two at the same place the longer one is meant.
        let next = next.min_by_key(|(at, (name, _))| (*at, std::cmp::Reverse(name.len())));
        let Some((at, (name, text))) = next else { break };
        out.write_all(&rest.as_bytes()[..at])?;
        out.write_all(text.as_bytes())?;
        rest = &rest[at + name.len()..];
    }
    out.write_all(rest.as_bytes())
}

/// What the script draws.
#[derive(Serialize)]
struct Data {
    facts: Vec<(&'static str, String)>,
    notes: Vec<String>,
    total: u64,
    by: &'static str,
    names: Vec<String>,
    flame: Vec<u64>,
    groupings: Vec<Grouping>,
}

impl Data {
    fn of(dump: &Dump, options: &Options) -> Self {
        let flame = Flame::of(dump, options);
        Self {
            facts: facts(dump, options),
            notes: notes(dump),
            total: options.goroutines(dump).count() as u64,
            by: options.by.as_str(),
            flame: flame.preorder(),
            names: flame.into_names(),
            groupings: By::ALL.into_iter().map(|by| Grouping::of(dump, by, options)).collect(),
        }
    }
}

fn facts(dump: &Dump, options: &Options) -> Vec<(&'static str, String)> {
    let target = &dump.target;
    let facts = [
        ("taken", dump.taken_at.to_string()),
        ("goroutines", options.goroutines(dump).count().to_string()),
        ("program", target.exe.clone()),
        ("pid", target.pid.to_string()),
        ("Go", target.go_version.clone()),
        ("architecture", target.arch.clone()),
        ("build id", target.build_id.clone().unwrap_or_default()),
        ("host", target.hostname.clone().unwrap_or_default()),
        ("running since", target.started_at.map(|time| time.to_string()).unwrap_or_default()),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// What the dump could not see.
fn notes(dump: &Dump) -> Vec<String> {
    let lacks = &dump.completeness;
    let counts = [
        (lacks.unreadable, "goroutines could not be read"),
        (lacks.moved, "goroutines ran while being read (stack unknown)"),
        (lacks.beyond_limit, "goroutines were beyond the limit"),
        (lacks.cut_stacks, "stacks are cut off at their outer end"),
        (lacks.unknown_places, "code locations have no name"),
        (lacks.filtered_out, "goroutines were filtered out"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, what)| format!("{count} {what}")).chain(lacks.notes.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_text_is_not_searched_for_placeholders() {
        let mut out = Vec::new();
        write_template("A-AB-B", &[("A", "B"), ("AB", "A"), ("B", "x")], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "B-A-x");
    }

    #[test]
    fn the_policy_allows_this_script_and_this_style() {
        use base64::Engine;
        use sha2::{Digest, Sha256};
        let hash = |text: &str| {
            format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text)))
        };
        assert_eq!((hash(STYLE), hash(SCRIPT)), (STYLE_HASH.to_owned(), SCRIPT_HASH.to_owned()));
    }
}
