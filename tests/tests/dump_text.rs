//! A dump's text is what the program prints of itself, byte for byte but for what `docs/dump.md` names.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use leaktrace::process::find;
use leaktrace::process::memory::ProcessMemory;
use leaktrace::process::{Pid, Procfs};
use leaktrace_core::dump::group::{By, group};
use leaktrace_core::dump::render::{Format, Options, render};
use leaktrace_core::dump::{Dump, Facts, from_snapshot};
use leaktrace_core::elf::Elf;
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::go::program::Program;
use leaktrace_core::num::Ktime;
use leaktrace_tests::Version;
use leaktrace_tests::go::Toolchain;
use leaktrace_tests::matrix::each_version;
use serde::Deserialize;
use tempfile::TempDir;

/// The program, which the core's tests have too, in the form of what it printed.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../leaktrace-core/tests/fixtures/go-text/program");

/// What the program prints of itself.
#[derive(Deserialize)]
struct Own {
    debug2: String,
    debug1: String,
    debug2_leaked: Option<String>,
}

/// The program while it waits to be read; killed when this is dropped.
struct Held {
    child: Child,
    own: Own,
    _directory: TempDir,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Fails only when it has ended already, which is what we want.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Held {
    fn start(version: Version, godebug: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let binary = directory.path().join("text");
        build(version, &binary);
        let mut command = Command::new(&binary);
        command.env("HOLD", "1").env("GODEBUG", godebug).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut json = String::new();
        let stdout = child.stdout.take().expect("it was asked for");
        BufReader::new(stdout).read_line(&mut json).expect("the program prints");
        let own = serde_json::from_str(&json).expect("the program prints JSON");
        Self { child, own, _directory: directory }
    }

    fn dump(&self, godebug: &str) -> Dump {
        let pid = Pid(self.child.id());
        let procfs = Procfs::system();
        let process = find::Target::open(&procfs, pid).expect("the program runs");
        let elf = Elf::parse(process.exe.bytes()).expect("it is an ELF file");
        let segments = elf.segments().iter().map(|segment| (segment.svma, segment.file_offset));
        let bias = process.bias(&procfs, segments).expect("it is mapped");
        let memory = ProcessMemory::new(pid);
        let program = Program::inspect(&elf, bias, &memory).expect("it is a Go program");
        let mut walker = Walker::new(WalkerInput::of(&program));
        let snapshot = walker.snapshot(&memory, Want::Stacks, &|| Ktime(0)).expect("it can be read");
        let facts = Facts { godebug: Some(godebug.to_owned()), ..Facts::default() };
        from_snapshot(&snapshot, &program, &memory, facts)
    }
}

fn build(version: Version, binary: &Path) {
    let toolchain = Toolchain::get(version, &mut |what| eprintln!("{what}")).expect("the toolchain is there");
    let mut command = toolchain.go();
    command.current_dir(SOURCE).env("GOFLAGS", "-mod=mod");
    command.args(["build", "-trimpath"]);
    if version.minor >= 23 {
        command.arg("-ldflags=-checklinkname=0");
    }
    let status = command.arg("-o").arg(binary).arg(".").status();
    assert!(status.is_ok_and(|status| status.success()), "the program can be built");
}

fn godebug(version: Version) -> &'static str {
    match version.minor {
        ..24 => "",
        24 | 25 => "asynctimerchan=0",
        26 => "asynctimerchan=0,tracebacklabels=1",
        27.. => "tracebacklabels=1",
    }
}

fn text(format: Format, dump: &Dump) -> String {
    let mut out = Vec::new();
    render(format, dump, &Options::default(), &mut out).expect("memory can be written");
    String::from_utf8(out).expect("it is text")
}

/// The goroutines of a traceback but for the first one, which is the one that printed it; without the values of
/// arguments.
fn normalised(debug2: &str) -> Vec<String> {
    let blocks = debug2.trim_end().split("\n\n").filter(|block| !block.starts_with("goroutine 1 "));
    blocks.map(|block| block.lines().map(line).collect::<Vec<_>>().join("\n")).collect()
}

fn line(line: &str) -> String {
    let is_call = line.ends_with(')') && !line.starts_with('\t');
    match line.rfind('(').filter(|_| is_call) {
        Some(open) => format!("{}(...)", &line[..open]),
        None => line.to_owned(),
    }
}

/// The groups of a profile without the goroutine that took it.
fn groups(debug1: &str) -> Vec<&str> {
    let (_, groups) = debug1.split_once('\n').expect("there is a first line");
    groups.trim_end().split("\n\n").filter(|group| !group.contains("main.main+")).collect()
}

#[test]
fn a_dump_reads_as_the_programs_own_text() {
    each_version(|version| {
        let godebug = godebug(version);
        let held = Held::start(version, godebug);
        let dump = held.dump(godebug);
        let own = held.own.debug2_leaked.as_ref().unwrap_or(&held.own.debug2);
        let (ours, own) = (normalised(&text(Format::Debug2, &dump)), normalised(own));
        assert_eq!(ours.len(), own.len());
        for (ours, own) in ours.iter().zip(&own) {
            assert_eq!(ours, own);
        }
        let profile = text(Format::Debug1, &dump);
        assert_eq!(groups(&profile), groups(&held.own.debug1));
        eprintln!("go {version}: {} goroutines agree", own.len());
    });
}

#[test]
fn goroutines_tell_what_they_are_blocked_on() {
    each_version(|version| {
        let godebug = godebug(version);
        let dump = Held::start(version, godebug).dump(godebug);
        let groups = group(&dump, By::BlockedOn, false);
        let counts: BTreeMap<&str, usize> =
            groups.iter().map(|group| (group.title.as_str(), group.len())).collect();
        eprintln!("go {version}: {counts:#?}");
        let count = |beginning: &str, part: &str| -> usize {
            let found =
                counts.iter().filter(|(title, _)| title.starts_with(beginning) && title.contains(part));
            found.map(|(_, count)| count).sum()
        };
        assert!(count("chan receive on chan int", "cap 0") >= 20, "the channel that nobody sends on");
        assert_eq!(count("chan send on chan string", "len 0, cap 0, 0 receiving, 1 sending"), 1);
        assert_eq!(count("chan receive on chan map[string][]int", "1 receiving"), 1);
        assert_eq!(count("chan receive on a nil channel", ""), 1 + usize::from(version.minor >= 24));
        assert_eq!(count("select without cases", ""), 1);
        assert_eq!(count("select: ", "chan time.Time"), 1, "one of its cases is a timer's");
        assert!(count("sleep", "") >= 1);
        let locks = ["sync.Mutex 0x", "sync.RWMutex (read) 0x", "sync.WaitGroup 0x", "semaphore 0x"];
        assert!(locks.iter().map(|lock| count(lock, "waiting")).sum::<usize>() >= 4);
    });
}

/// What `go tool pprof` prints of a profile.
fn pprof(arguments: &[&str], profile: &Path) -> String {
    let toolchain = Toolchain::get(Version::NEWEST, &mut |what| eprintln!("{what}")).expect("it is there");
    let output = toolchain.go().args(["tool", "pprof"]).args(arguments).arg(profile).output();
    let output = output.expect("go tool pprof runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn go_tool_pprof_opens_our_profile_and_counts_the_same() {
    let godebug = godebug(Version::NEWEST);
    let held = Held::start(Version::NEWEST, godebug);
    let dump = held.dump(godebug);
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("g.pb.gz");
    let mut out = Vec::new();
    render(Format::Pprof, &dump, &Options::default(), &mut out).expect("memory can be written");
    std::fs::write(&file, out).expect("a file can be written");

    let total = dump.user_goroutines().count();
    let top = pprof(&["-top", "-nodecount=1000"], &file);
    assert!(top.contains("Type: goroutine"), "{top}");
    assert!(top.contains(&format!("100% of {total} total")), "{top}");
    let flat = |function: &str| {
        let line = top.lines().find(|line| line.trim_end().ends_with(function)).unwrap_or_default();
        line.split_whitespace().nth(3).and_then(|cumulative| cumulative.parse::<usize>().ok())
    };
    let standing = |function: &str| {
        let has = |one: &&leaktrace_core::dump::DumpGoroutine| {
            dump.frames(one.stack).any(|frame| frame.function == function)
        };
        dump.user_goroutines().filter(has).count()
    };
    for function in ["main.receive", "main.recurse", "runtime.chanrecv", "time.Sleep"] {
        assert_eq!(flat(function), Some(standing(function)), "{function} in {top}");
    }
    let raw = pprof(&["-raw"], &file);
    assert!(raw.contains("main.receive") && raw.contains("k:[v]"), "{raw}");
    let base = format!("-diff_base={}", file.display());
    let same = pprof(&["-top", &base], &file);
    assert!(!same.contains("main.receive"), "nothing differs: {same}");
}
