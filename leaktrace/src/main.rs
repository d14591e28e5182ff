//! `leaktrace`: finds goroutine leaks in running Go processes from outside.

use std::process::ExitCode;

use clap::Parser;
use leaktrace::cli::Args;
use leaktrace::diagnose::{Exit, diagnose, is_broken_pipe};
use leaktrace::privilege;
use leaktrace::process::Procfs;
use leaktrace::process::privileges::Privileges;
use leaktrace_core::base::escape;

fn main() -> ExitCode {
    let args = Args::parse();
    leaktrace::logs::start(args.common.verbose);
    match privilege::settle().map_err(Into::into).and_then(|()| leaktrace::run(&args)) {
        Ok(done) => {
            if let Some(remark) = done.remark {
                eprintln!("leaktrace: {}", escape::line(&remark));
            }
            ExitCode::from(if done.found { Exit::Found as u8 } else { done.code })
        }
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let diagnosis = diagnose(&error, &Privileges::of_this_process(&Procfs::system()));
            eprintln!("{diagnosis}");
            ExitCode::from(diagnosis.exit as u8)
        }
    }
}
