//! Developer commands: `cargo xtask help` lists them.

mod agent_soak;
mod bench;
mod check;
mod demo;
mod dist;
mod ebpf;
mod facts;
mod foreign;
mod fuzz;
mod licences;
mod named;
mod page;
mod releases;
mod rules;
mod score;
mod soak;
mod step;
mod targets;
mod test;
mod toolchains;

use clap::Parser;

/// What was typed: one subcommand a module.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Developer commands for leaktrace")]
enum Xtask {
    Demo(demo::Args),
    Test(test::Args),
    Bench(bench::Args),
    Check(check::Args),
    Ebpf(ebpf::Args),
    Toolchains(toolchains::Args),
    Facts(facts::Args),
    Targets(targets::Args),
    Foreign(foreign::Args),
    Fuzz(fuzz::Args),
    Score(score::Args),
    Soak(soak::Args),
    AgentSoak(agent_soak::Args),
    Dist(dist::Args),
}

fn main() -> anyhow::Result<()> {
    match Xtask::parse() {
        Xtask::Demo(args) => demo::run(&args),
        Xtask::Test(args) => test::run(&args),
        Xtask::Bench(args) => bench::run(&args),
        Xtask::Check(args) => check::run_all(&args),
        Xtask::Ebpf(args) => ebpf::run_typed(&args),
        Xtask::Toolchains(args) => toolchains::run(&args),
        Xtask::Facts(args) => facts::run(&args),
        Xtask::Targets(args) => targets::run(&args),
        Xtask::Foreign(args) => foreign::run(&args),
        Xtask::Fuzz(args) => fuzz::run(&args),
        Xtask::Score(args) => score::run(&args),
        Xtask::Soak(args) => soak::run(&args),
        Xtask::AgentSoak(args) => agent_soak::run(&args),
        Xtask::Dist(args) => dist::run_typed(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_can_be_typed() {
        Xtask::command().debug_assert();
    }
}
