//! `cargo xtask score --simulate`: the verdicts on made-up services.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Result, bail};
use leaktrace_simulator::{Group, KINDS, Limits, Outcome, Service, Tally, float, run_all};

use crate::page;
use crate::step::{self, cargo, say};

/// What to simulate.
#[derive(clap::Args)]
#[group(id = "simulation")]
pub(super) struct Args {
    /// Score the verdicts on made-up services instead, without any process
    #[arg(long, conflicts_with_all = ["words", "option"])]
    pub(super) simulate: bool,
    /// Seed of the made-up services
    #[arg(long, default_value_t = 1, requires = "simulate")]
    seed: u64,
    /// Number of made-up services
    #[arg(long, default_value_t = 2160, requires = "simulate")]
    services: u64,
    /// Run this made-up service alone, and print what is said of it over time
    #[arg(long, requires = "simulate")]
    service: Option<u64>,
}

const GROUPS: [(Group, &str); 6] = [
    (Group::Healthy, "Healthy, and not to be called a leak"),
    (Group::LooksLikeLeak, "Healthy, with the counts of a leak for as long as it goes on"),
    (Group::Leak, "Leaks of more than one goroutine a minute"),
    (Group::Crowded, "The same, where others come and go at the same place: no rule tells these apart yet"),
    (Group::SlowLeak, "Leaks of less than one a minute"),
    (Group::LooksHealthy, "Leaks with the counts of something healthy"),
];

/// How many services that failed are named for each kind.
const NAMED: usize = 4;

/// Runs and scores them; fails where the score is below what we promise.
pub(super) fn run(args: &Args, save: bool) -> Result<()> {
    if cfg!(debug_assertions) {
        // Unoptimised, it would take half an hour.
        let typed = std::env::args_os().skip(1);
        return step::run(
            "simulating",
            cargo().args(["run", "--release", "--package", "xtask", "--"]).args(typed),
        );
    }
    if let Some(number) = args.service {
        tell(args.seed, number);
        return Ok(());
    }
    let began = Instant::now();
    let outcomes = Mutex::new(BTreeMap::new());
    run_all(args.seed, args.services, &|number, outcome| {
        if let Ok(mut outcomes) = outcomes.lock() {
            outcomes.insert(number, outcome);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    say(&format!("{} services in {:.0?}", outcomes.len(), began.elapsed()));
    let by_kind = Tally::by_kind(&outcomes);
    let score = write(args, &by_kind, &outcomes);
    println!("{score}");
    if save {
        page::save("docs/score.md", "cargo xtask score --simulate --save", &score)?;
    }
    let limits = Limits::of(&by_kind);
    if !limits.are_kept() {
        bail!("below what we promise: {limits:?}");
    }
    Ok(())
}

fn tell(seed: u64, number: u64) {
    let service = Service::draw(seed, number);
    println!("{}", service.describe());
    for told in service.run().1 {
        let seconds = float(told.at) / 1e9;
        println!(
            "{seconds:>8.1} s  {}: {}",
            told.site,
            told.verdict.as_deref().unwrap_or("nothing any more")
        );
    }
}

fn write(args: &Args, by_kind: &[Tally], outcomes: &BTreeMap<u64, Vec<Outcome>>) -> String {
    let (told, all) = (Limits::of(by_kind), Limits::of_all(by_kind));
    let sites = outcomes.values().map(Vec::len).sum::<usize>();
    let mut text = format!("{} services with seed {}, {sites} sites.\n\n", args.services, args.seed);
    text.push_str("| promised | reached | with the kinds that counts cannot tell |\n|---|---|---|\n");
    line(
        &mut text,
        format_args!(
            "| under 1 false `likely` in 1,000 hours of a healthy site | {:.2} | {:.2} |",
            told.per_thousand_hours, all.per_thousand_hours
        ),
    );
    line(
        &mut text,
        format_args!(
            "| 90 % of the leaks of more than one a minute found in time | {:.1} % | {:.1} % |",
            told.in_time * 100.0,
            all.in_time * 100.0
        ),
    );
    line(&mut text, format_args!("| nothing healthy is `certain` | {} | {} |", told.certain, all.certain));
    for (group, title) in GROUPS {
        write_group(&mut text, group, title, by_kind);
    }
    write_rules(&mut text, outcomes);
    write_failed(&mut text, by_kind);
    text
}

fn write_group(text: &mut String, group: Group, title: &str, by_kind: &[Tally]) {
    line(
        text,
        format_args!(
            "\n{title}:\n\n| kind | sites | healthy hours | false `likely` | in 1,000 h | leaks | found | in time | \
         median |\n|---|---|---|---|---|---|---|---|---|"
        ),
    );
    for (kind, tally) in KINDS.iter().zip(by_kind).filter(|(kind, _)| kind.group == group) {
        row(text, kind.name, tally);
    }
    row(text, "**all**", &Tally::of_group(by_kind, group));
}

fn row(text: &mut String, name: &str, tally: &Tally) {
    let per_thousand =
        if tally.healthy_ns == 0 { "–".to_owned() } else { format!("{:.1}", tally.per_thousand_hours()) };
    line(
        text,
        format_args!(
            "| {name} | {} | {:.0} | {} | {per_thousand} | {} | {} | {} | {} |",
            tally.sites,
            tally.hours(),
            tally.false_alarms,
            tally.leaks,
            share(tally.found, tally.leaks),
            share(tally.in_time, tally.due),
            median(tally)
        ),
    );
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        "–".to_owned()
    } else {
        format!("{:.0} %", (float(part) * 100.0 / float(whole)).floor())
    }
}

fn median(tally: &Tally) -> String {
    tally.median_delay_ns().map_or_else(|| "–".to_owned(), |delay| format!("{:.0} s", float(delay) / 1e9))
}

/// By rule: whom it calls a leak, and when.
fn write_rules(text: &mut String, outcomes: &BTreeMap<u64, Vec<Outcome>>) {
    let mut rules: BTreeMap<&str, [Tally; 3]> = BTreeMap::new();
    let mut hours = Tally::default();
    for outcome in outcomes.values().flatten() {
        hours.healthy_ns += outcome.healthy_ns;
        let index = usize::from(outcome.kind.group == Group::LooksLikeLeak);
        for alarm in &outcome.false_alarms {
            rules.entry(alarm.code).or_default()[index].add_alarms(&[*alarm]);
        }
        if let Some(found) = outcome.found {
            rules.entry(found.code).or_default()[2].add_found(outcome);
        }
    }
    text.push_str(
        "\nBy rule, over all groups:\n\n| rule | false `likely` | of those, with a leak's counts | in 1,000 h | leaks \
         found first | median |\n|---|---|---|---|---|---|\n",
    );
    for (code, [wrong, alike, found]) in rules {
        hours.false_alarms = wrong.false_alarms + alike.false_alarms;
        line(
            text,
            format_args!(
                "| {code} | {} | {} | {:.2} | {} | {} |",
                hours.false_alarms,
                alike.false_alarms,
                hours.per_thousand_hours(),
                found.found,
                median(&found)
            ),
        );
    }
}

fn write_failed(text: &mut String, by_kind: &[Tally]) {
    text.push_str(
        "\nServices to look at (`--service K`): false alarms, and leaks that were not found in time:\n\n",
    );
    for (kind, tally) in KINDS.iter().zip(by_kind).filter(|(_, tally)| !tally.failed.is_empty()) {
        let some: Vec<String> = tally.failed.iter().take(NAMED).map(u64::to_string).collect();
        let more = tally.failed.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        line(text, format_args!("- {}: {}{more}", kind.name, some.join(", ")));
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{words}");
}
