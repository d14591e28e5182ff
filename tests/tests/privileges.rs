//! Ring 2: rights that are lent to leaktrace are used for processes, and for nothing that a user names.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use leaktrace_tests::go::run::run;
use leaktrace_tests::go::{Toolchain, build, prerequisites};
use leaktrace_tests::leaktrace::{Outcome, Running, binary, command, leaktrace};
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

/// Says that it comes from another file, and leaks what verdicts are about.
const FROM_ANOTHER_FILE: &str = r#"package main

import (
	"fmt"
	"os"
)

func main() {
	leak()
	fmt.Printf("{\"pid\": %d, \"go_version\": \"\", \"num_goroutine\": 4}\n", os.Getpid())
	os.Stdin.Read(make([]byte, 1))
}

func leak() {
	for i := 0; i < 3; i++ {
//line FILE:1
		go func() {
			var none chan int
			<-none
		}()
	}
}
"#;

/// Runs a program of `nobody` whose code is said to be that of `file`.
fn from_another_file(nobody: &Nobody, file: &Path) -> Target {
    let directory = tempfile::tempdir().expect("a folder can be made");
    let (source, program) = (directory.path().join("leak.go"), directory.path().join("leak"));
    let text = FROM_ANOTHER_FILE.replace("FILE", &file.display().to_string());
    fs::write(&source, text).expect("it is ours");
    let toolchain = Toolchain::get(Version::NEWEST, &mut |_| ()).expect("it can be had");
    let mut go = toolchain.go();
    go.current_dir(directory.path()).env("GO111MODULE", "off").env("GOFLAGS", "").env("CGO_ENABLED", "0");
    run(go.args(["build", "-o"]).arg(&program).arg(&source)).expect("it can be built");
    Target::spawn(nobody.command(&program), &program)
}

/// What made every line of every file on a machine readable: a program that says to come from it.
#[test]
fn lent_capabilities_show_no_line_of_a_file_that_a_program_names() {
    for mode in [0o755, 0o750] {
        let Some((nobody, _own)) = nobody(mode) else { return };
        let (_folder, secret) = secret("root:$6$salt$1\ndaemon:$6$salt$2\nbin:$6$salt$3\n");
        // Only the file is root's alone, not the folder that it is in.
        let file = nobody.copy(&secret);
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("it is ours");
        let target = from_another_file(&nobody, &file);
        let folder = file.parent().expect("it is in a folder").display();
        for format in ["text", "json"] {
            let typed = format!("--pid {} --duration 2s --source {folder} --format {format}", target.pid());
            let outcome = nobody.leaktrace(&typed);
            assert_eq!(outcome.code, Some(0), "{mode:o}: {}", outcome.stderr);
            assert!(outcome.stdout.contains("secret.go:1"), "{mode:o}: {}", outcome.stdout);
            let told = [outcome.stdout, outcome.stderr].concat();
            assert!(!told.contains("salt"), "{mode:o}: {told}");
            let by_root = leaktrace(&typed);
            assert!(by_root.stdout.contains("root:$6$salt$1"), "nothing would be shown: {by_root:?}");
        }
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
    if !can_probe() {
        return;
    }
    if !is_root() {
        skip("needs root, as sudo gives it");
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

/// Whose rights a leaktrace has, as the table of docs/security.md calls it.
struct Rights {
    run_as: &'static str,
    /// The mode of its file, if that lends capabilities.
    lent: Option<u32>,
    /// Starts what follows with these rights; a shell starts it after the process `$!`, if that is to be inside.
    starts: fn(&Nobody) -> Command,
    own: Whose,
    other: Whose,
    /// The owner of what it runs as, and of whoever ran sudo.
    user: u32,
}

/// Whose process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Root,
    Nobodys,
    /// Of a root without most capabilities.
    Contained,
    /// Started beside leaktrace.
    Inside,
}

const NOBODY: u32 = 65534;

/// What Docker leaves to a container's root.
const CONTAINED: &str = "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/// A process and leaktrace in one user namespace: `$0` is the program, and `OWN` among the arguments is its process.
const INSIDE: &str = r#""$0" pingpong=1 rest=1000 for=20000 >/dev/null & own=$!
while ! [ "$(readlink /proc/$own/exe)" = "$0" ]; do :; done
for word do shift; [ "$word" = OWN ] && word=$own; set -- "$@" "$word"; done
"$@"; code=$?; kill $own; exit $code"#;

fn soak() -> PathBuf {
    build(Program::Soak, Version::NEWEST, Mode::Plain, &mut |_| ()).expect("it can be built")
}

fn setpriv(options: &[&str]) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(options).arg("--inh-caps=-all");
    setpriv
}

fn contained() -> Command {
    setpriv(&[CONTAINED])
}

fn ambient(nobody: &Nobody) -> Command {
    const FOUR: &str = "+bpf,+perfmon,+sys_ptrace,+dac_read_search";
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    setpriv.args([format!("--inh-caps=-all,{FOUR}"), format!("--ambient-caps=-all,{FOUR}")]);
    setpriv.arg(nobody.copy(&binary()));
    setpriv
}

fn inside(nobody: &Nobody) -> Command {
    let mut unshare = nobody.command(Path::new("/usr/bin/unshare"));
    unshare.args(["--user", "--map-root-user", "sh", "-c", INSIDE]);
    unshare.arg(nobody.copy(&soak())).arg(nobody.copy(&binary()));
    unshare
}

/// A row each.
const ROWS: [Rights; 8] = [
    Rights {
        run_as: "a user",
        lent: None,
        starts: |nobody| nobody.command(&binary()),
        own: Whose::Nobodys,
        other: Whose::Root,
        user: NOBODY,
    },
    Rights {
        run_as: "a user, capabilities on the file, mode 755",
        lent: Some(0o755),
        starts: |nobody| nobody.command(&binary()),
        own: Whose::Nobodys,
        other: Whose::Root,
        user: NOBODY,
    },
    Rights {
        run_as: "a member of the group, capabilities on the file, mode 750",
        lent: Some(0o750),
        starts: |nobody| nobody.command(&binary()),
        own: Whose::Nobodys,
        other: Whose::Root,
        user: NOBODY,
    },
    Rights {
        run_as: "a user with the four capabilities as ambient ones",
        lent: None,
        starts: ambient,
        own: Whose::Nobodys,
        other: Whose::Root,
        user: NOBODY,
    },
    Rights {
        run_as: "sudo",
        lent: None,
        starts: |_| by_sudo(""),
        own: Whose::Nobodys,
        other: Whose::Root,
        user: NOBODY,
    },
    Rights {
        run_as: "root",
        lent: None,
        starts: |_| command(""),
        own: Whose::Root,
        other: Whose::Nobodys,
        user: 0,
    },
    Rights {
        run_as: "root of a user namespace",
        lent: None,
        starts: inside,
        own: Whose::Inside,
        other: Whose::Nobodys,
        user: NOBODY,
    },
    Rights {
        run_as: "root with only the default capabilities of a Docker container",
        lent: None,
        starts: |_| {
            let mut contained = contained();
            contained.arg(binary());
            contained
        },
        own: Whose::Contained,
        other: Whose::Nobodys,
        user: 0,
    },
];

/// One of the rows where it is tried out.
struct Trial<'r> {
    rights: &'r Rights,
    nobody: Nobody,
    /// A folder that all may write to, and one that only root may enter, with a file.
    open: tempfile::TempDir,
    closed: (tempfile::TempDir, PathBuf),
}

impl<'r> Trial<'r> {
    fn new(rights: &'r Rights) -> Self {
        let nobody = Nobody::new();
        if let Some(mode) = rights.lent {
            nobody.lend(mode).expect("the file system keeps capabilities");
        }
        let open = tempfile::tempdir().expect("a folder can be made");
        fs::set_permissions(open.path(), Permissions::from_mode(0o777)).expect("it is ours");
        Self { rights, nobody, open, closed: secret("x") }
    }

    fn start(&self, whose: Whose) -> Option<Target> {
        let program = soak();
        let mut command = match whose {
            Whose::Root => Command::new(&program),
            Whose::Nobodys => self.nobody.command(&program),
            Whose::Contained => {
                let mut contained = contained();
                contained.arg(&program);
                contained
            }
            Whose::Inside => return None,
        };
        command.args(["pingpong=1", "rest=1000"]);
        Some(Target::spawn(command, &program))
    }

    fn run(&self, arguments: &str, target: Option<&Target>) -> Outcome {
        let mut command = (self.rights.starts)(&self.nobody);
        let pid = target.map_or("OWN".to_owned(), |target| target.pid().to_string());
        command.args(arguments.split_whitespace()).args(["--pid", &pid]);
        Running::start(command).finish()
    }

    /// What can be done to a process.
    fn process(&self, target: Option<&Target>) -> &'static str {
        let succeeds = |outcome: &Outcome| {
            assert!(matches!(outcome.code, Some(0 | 4)), "{}: {outcome:?}", self.rights.run_as);
            outcome.code == Some(0)
        };
        let traced = self.run("--duration 1s --format json", target);
        let is_traced = succeeds(&traced) && traced.report().completeness.produced > 0;
        let is_dumped = succeeds(&self.run("dump", target));
        match (is_dumped, is_traced) {
            (true, true) => "dumped, traced",
            (true, false) => "dumped, not traced",
            (false, true) => "traced, not dumped",
            (false, false) => "refused",
        }
    }

    /// Whether a file can be read that an option names.
    fn reads(&self, file: &Path, target: Option<&Target>) -> bool {
        let outcome =
            self.run(&format!("--duration 1ms --probes none --baseline {}", file.display()), target);
        assert_eq!(outcome.code, Some(2), "it is no report: {outcome:?}");
        !outcome.stderr.contains("ermission denied")
    }

    /// Who owns a file that it makes in a folder, if it can.
    fn writes(&self, folder: &Path, target: Option<&Target>) -> Option<u32> {
        let file = folder.join("dump.txt");
        let outcome = self.run(&format!("dump --output {}", file.display()), target);
        let is_denied = outcome.code == Some(2) && outcome.stderr.contains("ermission denied");
        assert!(outcome.code == Some(0) || is_denied, "{}: {outcome:?}", self.rights.run_as);
        file.metadata().ok().map(|metadata| metadata.uid())
    }

    /// The row of the table.
    fn row(&self) -> String {
        let Rights { run_as, own, other, user, .. } = self.rights;
        let (own, other) = (self.start(*own), self.start(*other));
        let (own, other) = (own.as_ref(), other.as_ref());
        let (closed, secret) = &self.closed;
        let private = self.open.path().join("private");
        fs::write(&private, "x").expect("it is ours");
        std::os::unix::fs::chown(&private, Some(*user), None).expect("it is ours");
        fs::set_permissions(&private, Permissions::from_mode(0o600)).expect("it is ours");
        assert!(self.reads(&private, own), "{run_as} reads the user's own files");
        let written = self.writes(closed.path(), own);
        let read = match (self.reads(secret, own), written.is_some()) {
            (false, _) => "as the user",
            (true, false) => "as the user, with CAP_DAC_READ_SEARCH",
            (true, true) => "as root",
        };
        let new = self.writes(self.open.path(), own);
        assert_eq!(new, Some(*user), "{run_as} makes files that belong to the user");
        let written = match (written.is_some(), user) {
            (false, _) => "as the user",
            (true, 0) => "as root",
            (true, _) => "as root; new ones belong to the caller of sudo",
        };
        format!("| {run_as} | {} | {} | {read} | {written} |", self.process(own), self.process(other))
    }
}

#[test]
fn every_cell_of_the_table_of_rights_is_so() {
    if !can_probe() || nobody(0o755).is_none() {
        return;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let page = fs::read_to_string(page).expect("it is there");
    let rows: Vec<String> = ROWS.iter().map(|rights| Trial::new(rights).row()).collect();
    let wrong: Vec<&String> = rows.iter().filter(|row| !page.lines().any(|line| line == *row)).collect();
    assert!(wrong.is_empty(), "docs/security.md does not have: {wrong:#?}");
    let table = page.lines().skip_while(|line| !line.starts_with("| run as |")).skip(2);
    let said = table.take_while(|line| line.starts_with("| ")).count();
    assert_eq!(said, ROWS.len(), "the table has rows that nobody has tried");
}
