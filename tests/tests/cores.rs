//! Ring 2: a core shows what the process showed while it lived.

use std::path::{Path, PathBuf};
use std::process::Command;

use leaktrace_tests::go::build;
use leaktrace_tests::go::prerequisites::ensure_gcore;
use leaktrace_tests::go::run::run;
use leaktrace_tests::leaktrace::{Outcome, leaktrace};
use leaktrace_tests::matrix::each;
use leaktrace_tests::{Mode, Program, Target, Version};
use serde_json::Value;
use tempfile::TempDir;

const SCENARIOS: &str = "leak_chan_send=5 select_cases=3 mutex=3 waitgroup=2 deep=2 locked_thread=1 sleep=2";

/// Has gdb write a core of a process that goes on.
fn core_of(target: &Target) -> (TempDir, PathBuf) {
    ensure_gcore(&mut |what| eprintln!("{what}")).expect("gcore can be had");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let prefix = folder.path().join("core");
    run(Command::new("gcore").arg("-o").arg(&prefix).arg(target.pid().to_string()))
        .expect("gcore writes a core");
    let core = folder.path().join(format!("core.{}", target.pid()));
    (folder, core)
}

fn dump_core(core: &Path, exe: &Path, format: &str) -> Outcome {
    leaktrace(&format!(
        "dump --core {} --exe {} --format {format} --include-runtime",
        core.display(),
        exe.display()
    ))
}

fn dumped(outcome: &Outcome) -> &str {
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    &outcome.stdout
}

/// The goroutines of a JSON dump, without the times that went on, and what only `/proc` knows of descriptors.
fn goroutines(json: &str) -> Value {
    let mut dump: Value = serde_json::from_str(json).expect("it is JSON");
    for goroutine in dump["goroutines"].as_array_mut().expect("it has goroutines") {
        let fields = goroutine.as_object_mut().expect("it is an object");
        fields.retain(|key, _| !matches!(key.as_str(), "waiting_ns" | "age_ns"));
        if let Some(blocked) = fields.get_mut("blocked_on").and_then(Value::as_object_mut) {
            blocked.retain(|key, _| !matches!(key.as_str(), "remaining_ns" | "description"));
        }
    }
    Value::Array(["goroutines", "stacks", "mappings"].map(|key| dump[key].take()).to_vec())
}

#[test]
fn a_core_shows_what_the_process_showed() {
    let modes = [Mode::Plain, Mode::Stripped, Mode::Pie];
    let cells =
        [Version::ALL[0], Version::NEWEST].into_iter().flat_map(|version| modes.map(|mode| (version, mode)));
    each(cells, |version, mode| {
        let target = Target::start(version, mode, SCENARIOS);
        let live = |format: &str| {
            leaktrace(&format!("dump --pid {} --format {format} --include-runtime", target.pid()))
        };
        let (text, json) = (live("debug2"), live("json"));
        let (_folder, core) = core_of(&target);
        let exe = target.binary().to_owned();
        drop(target);
        assert_eq!(dumped(&dump_core(&core, &exe, "debug2")), dumped(&text));
        let from_core = dump_core(&core, &exe, "json");
        let (dead, alive) = (goroutines(dumped(&from_core)), goroutines(dumped(&json)));
        assert!(dead == alive, "{}", first_difference(&dead, &alive));
        assert!(dumped(&from_core).contains("main.leakChanSend"), "{}", from_core.stdout);
        assert!(!from_core.stdout.contains("remaining_ns"), "{}", from_core.stdout);
        assert!(json.stdout.contains("remaining_ns"), "{}", json.stdout);
    });
}

#[test]
fn a_core_that_does_not_fit_is_refused_with_the_reason() {
    let target = Target::start(Version::NEWEST, Mode::Plain, "mutex=1");
    let (folder, core) = core_of(&target);
    let refused = |core: &Path, exe: &Path, words: &str| dump_core(core, exe, "debug2").refused(2, words);
    let other = Target::start(Version::ALL[0], Mode::Plain, "mutex=1");
    refused(&core, other.binary(), "this executable did not produce the core file");
    let (_folder, core_of_other) = core_of(&other);
    refused(&core_of_other, target.binary(), "this executable did not produce the core file");
    for program in [Program::Blocked, Program::Service] {
        let built = build(program, Version::NEWEST, Mode::Plain, &mut |_| ()).expect("it builds");
        refused(&core, &built, "this executable did not produce the core file");
    }
    refused(target.binary(), target.binary(), "not a core file (4)");
    refused(&core, &core, "an ELF file of type 4");
    let text = folder.path().join("text");
    std::fs::write(&text, "goroutine 1 [running]:\n").expect("it can be written");
    refused(&text, target.binary(), "not an ELF file");
    refused(&core, &text, "not an ELF file");
    let file = std::fs::File::options().write(true).open(&core).expect("it is there");
    let len = file.metadata().expect("it is there").len();
    file.set_len(len / 2).expect("it can be cut");
    refused(&core, target.binary(), "the core file is truncated: it has ");
    file.set_len(100).expect("it can be cut");
    refused(&core, target.binary(), "headers do not fit into its 100 bytes");
}

/// The first lines that differ: whole dumps are too long to read.
fn first_difference(dead: &Value, alive: &Value) -> String {
    let (dead, alive) = (format!("{dead:#}"), format!("{alive:#}"));
    let lines = dead.lines().zip(alive.lines()).enumerate();
    format!("{:#?}", lines.filter(|(_, (dead, alive))| dead != alive).take(3).collect::<Vec<_>>())
}
