//! `cargo xtask bench`: what leaktrace costs and how fast it is, in tables for docs/performance.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::privilege;

use crate::step::{cargo, say, watch};
use crate::test::runner_variable;

/// What is measured without a kernel.
const PURE: &str = "registry";

/// Between these lines of the page are the figures of the last run that was saved.
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench --save` -->";
const END: &str = "<!-- end of figures -->";

/// Measure cost and speed, on real Go programs (through sudo unless root): hits, drain, start, parked, http, registry
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these
    names: Vec<String>,
    /// Put the figures into docs/performance.md: those of everything, from a machine that does nothing else
    #[arg(long, conflicts_with = "names")]
    save: bool,
}

/// Builds what is measured as users get it, and measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (pure, live): (Vec<&String>, Vec<&String>) = args.names.iter().partition(|name| *name == PURE);
    let mut figures = String::new();
    if args.names.is_empty() || !live.is_empty() {
        let mut bench = cargo();
        bench.args(["bench", "--package", "leaktrace", "--bench", "live", "--"]).args(live);
        if !privilege::is_root() {
            say("probing needs root: running through sudo");
            bench.env(runner_variable(), "sudo --preserve-env=PATH,HOME,XDG_CACHE_HOME,LEAKTRACE_GO_DIR");
        }
        measure("measuring with a real kernel and real Go programs", &mut bench, &mut figures)?;
    }
    if args.names.is_empty() || !pure.is_empty() {
        let mut bench = cargo();
        bench.args(["bench", "--package", "leaktrace-core", "--bench", "registry"]);
        figures.push_str("### The registry alone (`cargo xtask bench registry`)\n\n```text\n");
        measure("measuring the registry alone", &mut bench, &mut figures)?;
        figures.push_str("```\n");
    }
    if args.save { save(&figures) } else { Ok(()) }
}

fn measure(name: &str, bench: &mut Command, figures: &mut String) -> Result<()> {
    let succeeded = watch(name, bench, &mut |line| {
        figures.push_str(line);
        figures.push('\n');
    })?;
    if !succeeded {
        bail!("{name} failed");
    }
    Ok(())
}

fn save(figures: &str) -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    fs::write(&page, with_figures(&text, figures).context("docs/performance.md has no place for figures")?)?;
    say("docs/performance.md has the new figures");
    Ok(())
}

/// The page with other figures.
fn with_figures(page: &str, figures: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", figures.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let expected = format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n");
        assert_eq!(with_figures(&page, "new\n"), Some(expected));
        assert_eq!(with_figures("no marks", "new"), None);
    }
}
