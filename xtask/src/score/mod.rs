//! `cargo xtask score`: how many leaks leaktrace finds, how often it is wrong, and how others do on the same runs.
//!
//! A case is a program and the truth about its sites ([`case`]). It runs, leaktrace watches it, and then the runtime's
//! own leak profile is taken ([`watch`]); each of its `go` statements with goroutines left becomes an item ([`judge`]).

mod case;
mod expected;
mod judge;
mod libraries;
mod simulate;
mod suite;
mod table;
mod watch;

use anyhow::{Result, bail, ensure};
use leaktrace_tests::Version;

use self::case::Case;
use self::judge::{Finder, Item};
use self::table::Tally;
use self::watch::Watch;
use crate::page;
use crate::step::{again_as_root_with, build_leaktrace, say};

/// Score the verdicts on leaking and healthy programs, beside Go's own profile and goleak (through sudo unless root)
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only programs whose set and name contain one of these: `goker`, `healthy burst`; or `libraries`, a set of
    /// its own, with words for its programs behind it
    words: Vec<String>,
    /// Go release that builds the programs, 1.26 or later
    #[arg(long, default_value_t = Version::NEWEST.to_string())]
    go: String,
    /// Seconds to watch each program [default: 180, and 300 for `libraries`]
    #[arg(long)]
    seconds: Option<u32>,
    /// Number of programs to watch at the same time
    #[arg(long, default_value_t = 80)]
    side_by_side: usize,
    /// Additional option for leaktrace; may be repeated
    #[arg(long, allow_hyphen_values = true)]
    option: Vec<String>,
    /// Write the score of all programs, or of all of `libraries`, to docs/score.md
    #[arg(long)]
    save: bool,
    #[command(flatten)]
    simulated: simulate::Args,
}

/// Builds, runs and scores; fails where the score is below what we promise.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.simulated.simulate {
        return simulate::run(&args.simulated, args.save);
    }
    if std::env::var_os("LEAKTRACE_BIN").is_none() {
        return again_as_root_with(build_leaktrace()?.as_os_str());
    }
    if args.words.first().is_some_and(|word| word == libraries::WORD) {
        return libraries::run(args);
    }
    ensure!(!args.save || args.words.is_empty(), "only the score of all programs is saved");
    let mut cases = case::all(Version::parse(&args.go)?)?;
    cases.retain(|case| is_wanted(&args.words, case));
    let (seconds, side_by_side) = (args.seconds.unwrap_or(180), args.side_by_side);
    say(&format!("watching {} programs for {seconds} s, {side_by_side} side by side", cases.len()));
    let watch = Watch { seconds, side_by_side, options: args.option.clone() };
    let seen = watch.all(&cases);
    let items: Vec<Item> = seen.iter().flat_map(|(index, seen)| judge::items(&cases[*index], seen)).collect();
    let score = table::write(&items, seen.len());
    println!("{score}");
    if args.save {
        page::save("docs/score.md", "cargo xtask score --save", &score)?;
    }
    if seen.len() < cases.len() {
        bail!("{} programs could not be watched", cases.len() - seen.len());
    }
    judge_ourselves(&items)
}

fn is_wanted(words: &[String], case: &Case) -> bool {
    words.is_empty() || words.iter().any(|word| case.title().contains(word.as_str()))
}

/// What the verdicts are for: `certain` is never wrong, `likely` once in twenty times at most, and together they find
/// more than the runtime itself.
fn judge_ourselves(items: &[Item]) -> Result<()> {
    let [certain, likely, go] = [Finder::Leaktrace(0), Finder::Leaktrace(1), Finder::GoProfile]
        .map(|finder| Tally::of(items, finder));
    if certain.wrong > 0 {
        bail!("{} healthy sites are called certain leaks", certain.wrong);
    }
    if likely.wrong * 20 > likely.wrong + likely.found {
        bail!("{} of {} sites called likely leaks are healthy", likely.wrong, likely.wrong + likely.found);
    }
    if likely.found < go.found {
        bail!("Go's profile finds {} leaks, and leaktrace {}", go.found, likely.found);
    }
    Ok(())
}
