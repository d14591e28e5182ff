//! The tables of what a hit costs.

use leaktrace_core::trace::plan::AttachPlan;

use super::{Figures, ProbeSet, ROWS, USUAL, UsualFigures};
use crate::statistics::grouped;

pub(super) fn print(rounds: usize, figures: &[Figures], usual: &[UsualFigures], plans: [&AttachPlan; 2]) {
    println!("### What a hit adds (`cargo xtask bench hits`)\n");
    println!("Nanoseconds of the target's processor time, medians of {rounds} interleaved rounds.\n");
    ours(figures, plans);
    println!("\nThe same with a program that does nothing: what the kernel alone takes.\n");
    bounds(figures);
    println!("\nWhat tools probe that see functions only, also with a program that does nothing:\n");
    others(figures, usual);
    println!();
}

fn ours(figures: &[Figures], [cheap, entry]: [&AttachPlan; 2]) {
    println!(
        "| event | cheap place | adds | at the entry | adds | entry / cheap | lowest–highest | loop without probes |"
    );
    println!("|---|---|---:|---|---:|---:|---:|---:|");
    for (row, of) in ROWS.iter().zip(figures) {
        let (low, high) = of.ratio.range();
        println!(
            "| {} | {} | {} | {} | {} | **{:.1}** | {low:.0}–{high:.0} | {} {} |",
            row.name,
            place(cheap, row),
            grouped(of.cheap.median()),
            place(entry, row),
            grouped(of.entry.median()),
            of.ratio.median(),
            row.round,
            grouped(of.bare.median()),
        );
    }
}

fn bounds(figures: &[Figures]) {
    println!("| event | cheap place | ours on top | at the entry | our entry / nothing at the cheap place |");
    println!("|---|---:|---:|---:|---:|");
    for (row, of) in ROWS.iter().zip(figures) {
        println!(
            "| {} | {} | {} | {} | **{:.1}** |",
            row.name,
            grouped(of.cheap_bound.median()),
            grouped(of.cheap.median() - of.cheap_bound.median()),
            grouped(of.entry_bound.median()),
            of.ratio_bound.median(),
        );
    }
}

fn others(figures: &[Figures], usual: &[UsualFigures]) {
    println!("| event | place | adds | ours, with our program | theirs / ours |");
    println!("|---|---|---:|---:|---:|");
    for ((function, row, returns), of) in USUAL.iter().zip(usual) {
        println!(
            "| {} | `{function}`'s {} | {} | {} | **{:.1}** |",
            ROWS[*row].name,
            if *returns { "return" } else { "entry" },
            grouped(of.bound.median()),
            grouped(figures[*row].cheap.median()),
            of.ratio.median(),
        );
    }
}

fn place(plan: &AttachPlan, row: &ProbeSet) -> String {
    let [kind] = row.kinds else { return "those above".to_owned() };
    let sites = plan.sites.iter().filter(|site| site.kind == *kind);
    let places: Vec<String> = sites
        .map(|site| format!("`{}+{:#x} {}`", site.function, site.offset_in_function, site.instruction))
        .collect();
    places.join(", ")
}
