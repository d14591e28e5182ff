//! `leaktrace`: finds goroutine leaks in running Go processes from outside.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use leaktrace::allocator::Allocator;
use leaktrace::cli;
use leaktrace::diagnose::{diagnose, is_broken_pipe};
use leaktrace::exit::Exit;
use leaktrace::privilege;
use leaktrace::process::Procfs;
use leaktrace::process::limits::Limits;
use leaktrace::process::privileges::Privileges;
use leaktrace::signals::{self, Mask};
use leaktrace_core::base::escape;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let args = cli::parse();
    let blocked = signals::hold(leaktrace::takes_signals(&args));
    leaktrace::logs::start(args.common.verbose);
    match settle(blocked).and_then(|blocked| leaktrace::run(&args, blocked)) {
        Ok(done) => {
            if let Some(remark) = done.remark {
                tell(format_args!("leaktrace: {}", escape::line(&remark)));
            }
            ExitCode::from(if done.found { Exit::Found as u8 } else { done.code })
        }
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let diagnosis =
                diagnose(&error, &Privileges::of_this_process(&Procfs::system()), &Limits::of_this_process());
            tell(format_args!("{diagnosis}"));
            ExitCode::from(diagnosis.exit as u8)
        }
    }
}

/// Says something to whoever still reads standard error.
fn tell(what: fmt::Arguments<'_>) {
    _ = writeln!(io::stderr(), "{what}");
}

fn settle(blocked: io::Result<Mask>) -> anyhow::Result<Mask> {
    privilege::settle()?;
    blocked.context("cannot block signals")
}
