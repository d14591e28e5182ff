//! Ring 2: rights that are lent to leaktrace are used for processes, and for nothing that a user names.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use leaktrace_tests::go::{build, prerequisites};
use leaktrace_tests::leaktrace::{Running, command};
use leaktrace_tests::nobody::Nobody;
use leaktrace_tests::privilege::{can_probe, is_root, skip};
use leaktrace_tests::{Mode, Program, Target, Version};

const SCENARIO: &str = "leak_chan_send=3";

/// The user whose leaktrace has capabilities and this mode, and a process of that user.
fn nobody(mode: u32) -> Option<(Nobody, Target)> {
    if !can_probe() {
        return None;
    }
    if Command::new("setcap").arg("-h").output().is_err() {
        prerequisites::apt_install(&["libcap2-bin"], &mut |what| eprintln!("{what}"))
            .expect("it can be installed");
    }
    let nobody = Nobody::new();
    if !is_root() || nobody.lend(mode).is_none() {
        skip("needs root, `setcap` and a file system that keeps capabilities");
        return None;
    }
    let built =
        build(Program::Scenarios, Version::NEWEST, Mode::Plain, &mut |_| ()).expect("it can be built");
    let mut own = nobody.command(&built);
    own.arg(SCENARIO);
    let own = Target::spawn(own, &built);
    Some((nobody, own))
}

/// A folder and a file in it that only root may read.
fn secret(content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("secret.go");
    fs::write(&file, content).expect("it is ours");
    for (path, mode) in [(folder.path(), 0o700), (file.as_path(), 0o600)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    }
    (folder, file)
}

#[test]
fn lent_capabilities_open_no_file_that_a_user_names() {
    let Some((nobody, own)) = nobody(0o755) else { return };
    let (folder, file) = secret("root:$6$salt$hash\n");
    let (pid, file, folder) = (own.pid(), file.display(), folder.path().display());
    for arguments in [
        format!("report {file}"),
        format!("diff {file} {file}"),
        format!("dump --core {file} --exe {file}"),
        format!("--pid {pid} --duration 1s --source {folder}"),
        format!("--pid {pid} --duration 1s --signatures {file}"),
        format!("--pid {pid} --duration 1s --baseline {file}"),
        format!("--pid {pid} --duration 1s --output {file}"),
        format!("--pid {pid} --duration 1s --record {file}"),
        format!("dump --pid {pid} --output {file}"),
    ] {
        let outcome = nobody.leaktrace(&arguments);
        assert_eq!(outcome.code, Some(2), "{arguments}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("ermission denied"), "{arguments}: {}", outcome.stderr);
        assert!(outcome.stdout.is_empty() && !outcome.stderr.contains("salt"), "{arguments}");
    }
}

#[test]
fn lent_capabilities_reach_the_users_own_processes_only() {
    let Some((nobody, own)) = nobody(0o755) else { return };
    let foreign = Target::start(Version::NEWEST, Mode::Plain, SCENARIO);
    let dump = nobody.leaktrace(&format!("dump --pid {}", own.pid()));
    assert_eq!(dump.code, Some(0), "{}", dump.stderr);
    let traced = nobody.leaktrace(&format!("--pid {} --duration 1s --format json", own.pid()));
    assert_eq!(traced.code, Some(0), "{}", traced.stderr);
    assert!(!traced.stdout.contains("nothing is traced"), "{}", traced.stdout);
    for arguments in ["dump", "--duration 1s", "--duration 1s --probes none"] {
        let outcome = nobody.leaktrace(&format!("{arguments} --pid {}", foreign.pid()));
        outcome.refused(4, "permission denied");
        assert!(outcome.stderr.contains("limit it to a group"), "{}", outcome.stderr);
    }
}

#[test]
fn a_group_that_was_given_the_capabilities_reaches_all_processes() {
    let Some((nobody, _own)) = nobody(0o750) else { return };
    let foreign = Target::start(Version::NEWEST, Mode::Plain, SCENARIO);
    for arguments in ["dump", "--duration 1s"] {
        let outcome = nobody.leaktrace(&format!("{arguments} --pid {}", foreign.pid()));
        assert_eq!(outcome.code, Some(0), "{arguments}: {}", outcome.stderr);
    }
    let (_folder, file) = secret("x");
    let outcome = nobody.leaktrace(&format!("report {}", file.display()));
    assert!(outcome.stderr.contains("ermission denied"), "{}", outcome.stderr);
}

#[test]
fn a_setuid_file_is_refused() {
    let Some((nobody, own)) = nobody(0o4755) else { return };
    let outcome = nobody.leaktrace(&format!("dump --pid {}", own.pid()));
    outcome.refused(4, "installed setuid or setgid");
}

/// leaktrace as `sudo` starts it for user 65534.
fn by_sudo(arguments: &str) -> Command {
    let mut command = command(arguments);
    command.env("SUDO_UID", "65534").env("SUDO_GID", "65534");
    command
}

#[test]
fn files_that_sudo_makes_belong_to_its_caller() {
    if !can_probe() || !is_root() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, SCENARIO);
    let folder = tempfile::tempdir().unwrap();
    let check = |arguments: &str, name: &str, others: u32| {
        let file = folder.path().join(name);
        let pid = target.pid();
        let outcome =
            Running::start(by_sudo(&format!("{arguments} {} --pid {pid}", file.display()))).finish();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let metadata = Path::new(&file).metadata().unwrap();
        let owner = (metadata.uid(), metadata.gid(), metadata.mode() & 0o077 & !others);
        assert_eq!(owner, (65534, 65534, 0), "{name}: {:o}", metadata.mode());
    };
    check("dump --output", "dump.txt", 0);
    check("dump --output", "dump.ltr", 0);
    check("dump --output", "dump.json", 0o044);
    check("--duration 1s --record", "run.ltc", 0);
    check("--duration 1s --output", "report.json", 0o044);
}
