//! The binary as users meet it before anything is traced: exit codes, and nothing but data on standard output.

#![expect(clippy::unwrap_used, reason = "a test that cannot start a process has failed")]

use std::process::{Child, Command, Output, Stdio};

fn leaktrace(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leaktrace"));
    command.args(arguments.split_ascii_whitespace()).output().unwrap()
}

/// Checks that it fails with this code, says this, and leaves standard output to data.
#[track_caller]
fn refuses(arguments: &str, code: i32, words: &str) {
    let output = leaktrace(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(words), "does not say {words:?}: {stderr}");
    assert!(output.stdout.is_empty());
}

/// A process that ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn help_and_version_are_data() {
    let help = leaktrace("--help");
    assert!(help.status.success() && help.stderr.is_empty());
    assert!(String::from_utf8(help.stdout).unwrap().contains("--max-overhead"));
    assert!(leaktrace("--version").status.success());
}

#[test]
fn wrong_use_is_2() {
    refuses("", 2, "Usage: leaktrace --pid <PID>");
    refuses("--top 3", 2, "--pid <PID>");
    refuses("--pid x", 2, "invalid value 'x'");
    refuses("--pid 1 --interval 5", 2, "`5` is not a duration");
    refuses("--pid 1 --probes spawn", 2, "`spawn` is not one of birth, end, park and ready");
    refuses("--pid 1 --interval 1ms", 2, "hint: for example, use --interval 1s");
}

#[test]
fn a_recording_stays_until_there_is_something_to_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.ltc");
    std::fs::write(&file, "an earlier recording").unwrap();
    let sleeper = Sleeper::start();
    for pid in [4_194_304, sleeper.0.id()] {
        let output = leaktrace(&format!("--pid {pid} --probes none --record {}", file.display()));
        assert!(!output.status.success());
        assert_eq!(std::fs::read(&file).unwrap(), b"an earlier recording", "{pid}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_target_is_looked_at() {
    refuses("--pid 4194304 --output /nonexistent/x.json", 2, "cannot write to /nonexistent/x.json");
}

#[test]
fn no_such_process_is_3() {
    refuses("--pid 4194304", 3, "cannot watch pid 4194304: no process has pid 4194304\nhint: ");
    refuses("--pid 0", 2, "`0` is not a process id such as 1234");
}

#[test]
fn what_is_not_go_is_6() {
    let sleeper = Sleeper::start();
    let arguments = format!("--pid {}", sleeper.0.id());
    refuses(&arguments, 6, "not a Go program: it has no Go function table\nhint: give the Go program itself");
}

#[test]
fn a_dump_is_refused_as_watching_is() {
    refuses("dump", 2, "--pid <PID>");
    refuses("dump --pid 1 --format xml", 2, "possible values: debug2, debug1");
    refuses("dump --pid 1 --match main.(", 2, "is not a valid regular expression");
    refuses("dump --pid 4194304 -o /nonexistent/x.ltr", 2, "cannot write to /nonexistent/x.ltr");
    refuses("dump --pid 4194304", 3, "cannot dump pid 4194304: no process has pid 4194304\nhint: ");
    let sleeper = Sleeper::start();
    refuses(&format!("dump --pid {}", sleeper.0.id()), 6, "not a Go program");
}

#[test]
fn files_that_are_not_ours_are_2_as_no_files_are() {
    refuses("report /nonexistent.ltr", 2, "cannot read /nonexistent.ltr: No such file");
    let foreign = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    refuses(&format!("report {foreign}"), 2, "is neither a leaktrace snapshot nor a recording\nhint: ");
    refuses(
        &format!("diff {foreign} {foreign}"),
        2,
        "is neither a leaktrace snapshot nor a recording\nhint: ",
    );
}
