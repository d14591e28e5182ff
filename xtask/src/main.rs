//! Developer commands: `cargo xtask help` lists them.

mod targets;
mod toolchains;

use clap::Parser;

/// What was typed: one subcommand a module.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Developer commands of leaktrace")]
enum Xtask {
    Toolchains(toolchains::Args),
    Targets(targets::Args),
}

fn main() -> anyhow::Result<()> {
    match Xtask::parse() {
        Xtask::Toolchains(args) => toolchains::run(&args),
        Xtask::Targets(args) => targets::run(&args),
    }
}
