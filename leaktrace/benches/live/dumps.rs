//! Dumps beside what Go itself and a debugger offer: how long they take, how long the program is held up meanwhile,
//! and how much memory leaktrace needs.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leaktrace_tests::go::run::run as output_of;
use leaktrace_tests::packages::Package;
use leaktrace_tests::process::status;

use crate::effort::Effort;
use crate::go::{self, Running};
use crate::statistics::{Samples, grouped, in_seconds, real, seconds};

/// How often each is taken of so many goroutines.
const COUNTS: [(u64, usize); 3] = [(1_000, 9), (100_000, 3), (1_000_000, 1)];
/// How often leaktrace's own are taken for each of the others.
const OWN_ROUNDS: usize = 3;
/// The newest debugger that Debian has, and of how many goroutines it is asked at most: it takes minutes of more.
const DEBUGGER: Package = Package::DebianOf("delve", "sid");
const DEBUGGED_LIMIT: u64 = 100_000;
/// How long it may take, in seconds.
const DEBUGGER_PATIENCE: &str = "300";
/// Beyond so many, it is minutes until each has had its turn.
const QUICK_LIMIT: u64 = 100_000;
const FORMATS: [&str; 5] = ["pprof", "folded", "debug2", "ltr", "json"];

pub(crate) fn run(effort: Effort) -> Result<()> {
    println!("### Dumps beside Go's own and a debugger (`cargo xtask bench dump`)\n");
    println!(
        "Medians, and in brackets how much shorter than `debug=2`. The stall is how late a thread of the \
         program that runs Go code every 100 µs was at worst during one dump; where nobody looks, during 30 ms. Memory is the most that leaktrace \
         had.\n"
    );
    println!("| goroutines | what | wall time | stall | memory |");
    println!("|---:|---|---:|---:|---:|");
    for (count, rounds) in COUNTS {
        if count > QUICK_LIMIT && effort == Effort::Quick {
            println!("| {} | not measured with `--quick` | | | |", grouped(real(count)));
            continue;
        }
        Subject::start(count, effort.rounds(rounds))?.rows()?;
    }
    println!();
    Ok(())
}

/// A program to look at.
struct Subject {
    program: Running,
    port: u16,
    count: u64,
    rounds: usize,
    /// What `debug=2` took, and how long it held the program up, in seconds.
    own: Option<(f64, f64)>,
}

impl Subject {
    fn start(count: u64, rounds: usize) -> Result<Self> {
        let binary = go::build("dumped")?;
        let mut program = Running::start(Command::new(binary).arg(count.to_string()))?;
        let port = program.line()?.parse()?;
        Ok(Self { program, port, count, rounds, own: None })
    }

    fn rows(&mut self) -> Result<()> {
        self.row("nobody looks", &|_| {
            std::thread::sleep(Duration::from_millis(30));
            Ok(None)
        })?;
        self.own = Some(self.row("its own `debug=2`", &|subject| subject.fetch("debug=2"))?);
        self.row("its own profile", &|subject| subject.fetch("debug=0"))?;
        self.debugger_row()?;
        self.rounds *= OWN_ROUNDS;
        for format in FORMATS {
            self.row(&format!("**leaktrace dump --format {format}**"), &|subject| subject.dump(format))?;
        }
        Ok(())
    }

    fn debugger_row(&mut self) -> Result<()> {
        if self.count > DEBUGGED_LIMIT {
            return Ok(());
        }
        let debugger = DEBUGGER.fetch(&mut |what| eprintln!("bench: {what}"))?.join("usr/bin/dlv");
        let name = format!("delve {}, `goroutines -t`", delve_version(&debugger)?);
        let (pid, rounds) = (self.program.pid(), std::mem::replace(&mut self.rounds, 1));
        self.row(&name, &|_| delve(&debugger, pid).map(|()| None))?;
        self.rounds = rounds;
        Ok(())
    }

    /// Measures what `take` does, which returns how much memory it needed, if that is known. How long it took, and how
    /// long it held the program up.
    fn row(&mut self, name: &str, take: &dyn Fn(&Self) -> Result<Option<u64>>) -> Result<(f64, f64)> {
        let (mut wall, mut stall, mut memory) = (Samples::default(), Samples::default(), None);
        for _ in 0..self.rounds {
            self.program.ask("worst")?;
            let began = Instant::now();
            memory = take(self)?;
            wall.add(in_seconds(began.elapsed()));
            stall.add(self.program.ask("worst")?.first().context("a number")? / 1e9);
        }
        let memory = memory.map_or_else(String::new, |bytes| format!("{:.0} MB", real(bytes) / 1e6));
        let (wall, stall) = (wall.median(), stall.median());
        let own = self.own.filter(|_| !memory.is_empty());
        let times = |own: f64, ours: f64| match own / ours {
            few if few < 10.0 => format!(" ({few:.1}×)"),
            many => format!(" ({many:.0}×)"),
        };
        let [faster, shorter] =
            own.map_or_else(Default::default, |own| [times(own.0, wall), times(own.1, stall)]);
        let count = grouped(real(self.count));
        let wall_text = seconds(wall);
        println!("| {count} | {name} | {wall_text}{faster} | {:.2} ms{shorter} | {memory} |", stall * 1e3);
        Ok((wall, stall))
    }

    /// Fetches the program's own dump and throws it away.
    fn fetch(&self, query: &str) -> Result<Option<u64>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        let request = format!("GET /debug/pprof/goroutine?{query} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        ensure!(io::copy(&mut stream, &mut io::sink())? > 100, "the program answers nothing");
        Ok(None)
    }

    /// Takes a dump with leaktrace and says how much memory that needed.
    fn dump(&self, format: &str) -> Result<Option<u64>> {
        let pid = self.program.pid().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_leaktrace"));
        command.args(["dump", "--pid", &pid, "--format", format]).stdout(Stdio::null());
        let mut child = command.spawn()?;
        let mut peak = 0;
        let status = loop {
            peak = peak_memory(child.id()).unwrap_or(0).max(peak);
            match child.try_wait()? {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        ensure!(status.success(), "leaktrace failed: {status}");
        Ok(Some(peak))
    }
}

/// The most memory that a process ever had, in bytes; it no longer says once it has ended.
fn peak_memory(pid: u32) -> Option<u64> {
    status(pid, "VmHWM").map(|kib| kib << 10)
}

/// Lets a debugger print every goroutine's stack.
fn delve(debugger: &Path, pid: u32) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script");
    std::fs::write(&script, "goroutines -t\nexit -c\n")?;
    let mut command = Command::new("timeout");
    command.args(["-k", "1", DEBUGGER_PATIENCE]).arg(debugger);
    command.args(["attach", &pid.to_string(), "--allow-non-terminal-interactive=true"]);
    command.arg("--init").arg(&script).stdin(Stdio::null());
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains("main.receive"), "shows no stacks ({})", output.status);
    Ok(())
}

fn delve_version(debugger: &Path) -> Result<String> {
    let said = output_of(Command::new(debugger).arg("version"))?;
    let version = said.lines().find_map(|line| line.strip_prefix("Version: "));
    version.map(str::to_owned).context("delve says no version")
}
