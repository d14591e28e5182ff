//! Asks git who wrote a line, in a repository that may be anybody's.
//!
//! A repository's own configuration can name programs that git runs: monitors of its files, filters, converters, hooks,
//! transports. None of them is needed to read a commit. So the commit is asked and not the files, with all of that
//! switched off, and by the owner of the repository, whose programs they would be, where we could be anybody. Its owner may
//! trace what is asked then, so that it has nothing of ours: no terminal, no environment, no descriptor, no folder.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::process::detach::detach;

/// The most of git's answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// How long git may take for a line, and how often it is seen whether it has ended.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// What would run a program, or reach for the network. Settings of the command line go before those of the repository.
const SETTINGS: [&str; 9] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.sshCommand=false",
    "core.gitProxy=false",
    "core.alternateRefsCommand=false",
    "core.askPass=false",
    "blame.ignoreRevsFile=",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
];

/// The same for what has no setting: no protocol may be used, missing objects are not fetched, nothing is asked or written.
const VARIABLES: [(&str, &str); 5] = [
    ("LC_ALL", "C"),
    ("GIT_ALLOW_PROTOCOL", ""),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
];

/// What is left of our environment: where git is, and where the settings are of whoever asks.
const KEPT: [&str; 3] = ["PATH", "HOME", "XDG_CONFIG_HOME"];

/// A group that no file belongs to.
const NO_GROUP: u32 = 65534;

/// What `git blame` says of a line of the last commit, and how it ended; `repository` is the folder with `.git`.
pub(super) fn blame(
    repository: &Path,
    folder: &Path,
    path: &str,
    line: u32,
) -> io::Result<(String, ExitStatus)> {
    let mut git = Command::new("git");
    scrub(&mut git);
    become_owner(&mut git, repository)?;
    detach(&mut git);
    git.arg("--no-pager").arg("-C").arg(folder.canonicalize()?);
    git.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    git.args(["blame", "--porcelain", "--no-textconv", "-L", &format!("{line},{line}"), "HEAD", "--", path]);
    answer(&mut git, PATIENCE)
}

/// What a command writes, and how it ends, within that time: a repository can have it wait for ever.
fn answer(command: &mut Command, patience: Duration) -> io::Result<(String, ExitStatus)> {
    let deadline = Instant::now() + patience;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut answer = Vec::new();
    let read = child.stdout.take().map_or(Ok(()), |stdout| read_until(stdout, &mut answer, deadline));
    while read.is_ok() && Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok((String::from_utf8_lossy(&answer).into_owned(), status));
        }
        std::thread::sleep(PAUSE);
    }
    // It may have ended just now.
    _ = child.kill();
    child.wait()?;
    Err(read.err().unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
}

/// Reads to the end, or as much of the answer as is read.
fn read_until(mut from: impl Read + AsFd, answer: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
    let mut piece = [0; 4096];
    while answer.len() < MAX_ANSWER {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&timeout))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match from.read(&mut piece)? {
            0 => break,
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
    Ok(())
}

/// Takes away what would lead git elsewhere, or is nobody's business. Whom `sudo` was called by makes repositories trusted
/// that are not root's.
fn scrub(git: &mut Command) {
    git.env_clear()
        .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(VARIABLES);
}

/// Lets root run it as whoever has the repository. Git itself refuses one of which a part is somebody else's.
fn become_owner(git: &mut Command, repository: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = repository.join(".git").symlink_metadata()?.uid();
    if owner != 0 {
        // The group of a file need not be one of its owner's.
        git.uid(owner).gid(NO_GROUP).current_dir("/");
        git.env_remove("HOME").env_remove("XDG_CONFIG_HOME").env("GIT_CONFIG_GLOBAL", "/dev/null");
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
    use std::path::PathBuf;

    use leaktrace_tests::privilege::{is_root, skip};
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use rustix::io::{FdFlags, fcntl_setfd};
    use rustix::process::{Pid, getsid};

    use super::*;

    const NOBODY: u32 = 65534;

    /// A repository with one file of three lines that was committed once.
    pub(in crate::sources) fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("order")).unwrap();
        std::fs::write(folder.path().join("go.mod"), "module example.com/shop\n").unwrap();
        std::fs::write(folder.path().join("order/worker.go"), "package order\n\n\tgo work()\n").unwrap();
        run(folder.path(), &["init", "-q"]);
        commit(folder.path(), "Process orders");
        folder
    }

    fn run(folder: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=Jo", "-c", "user.email=jo@example.com"];
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(identity).args(arguments).stdout(Stdio::null());
        assert!(git.status().unwrap().success(), "{arguments:?}");
    }

    fn commit(folder: &Path, subject: &str) {
        run(folder, &["add", "."]);
        run(folder, &["commit", "-qm", subject]);
    }

    /// A program below `folder` that leaves a file where it ran, and that file.
    fn evil(folder: &Path) -> (PathBuf, PathBuf) {
        let (program, trace) = (folder.join("evil"), folder.join("it-ran"));
        std::fs::write(&program, format!("#!/bin/sh\ntouch '{}'\nexit 1\n", trace.display())).unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        (program, trace)
    }

    fn ask(folder: &Path) -> (String, ExitStatus) {
        blame(folder, folder, "order/worker.go", 3).unwrap()
    }

    #[test]
    fn one_that_waits_is_given_up() {
        for script in ["sleep 60", "exec >&-; sleep 60", "while :; do echo x; sleep 0.01; done"] {
            let began = Instant::now();
            let error =
                answer(Command::new("sh").args(["-c", script]), Duration::from_millis(300)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{script}");
            assert!(began.elapsed() < Duration::from_secs(10), "{script}");
        }
    }

    #[test]
    fn a_repository_runs_none_of_its_programs() {
        let folder = repository();
        let (elsewhere, git) = (tempfile::tempdir().unwrap(), folder.path().join(".git"));
        let (program, trace) = evil(elsewhere.path());
        let program = program.to_str().unwrap();
        let names = [
            "core.fsmonitor",
            "core.pager",
            "pager.blame",
            "core.sshCommand",
            "core.editor",
            "diff.external",
            "diff.evil.textconv",
            "diff.evil.command",
            "filter.evil.clean",
            "filter.evil.smudge",
            "filter.evil.process",
            "core.askPass",
            "core.gitProxy",
            "core.alternateRefsCommand",
            "gpg.program",
            "credential.helper",
        ];
        for name in names {
            run(folder.path(), &["config", name, program]);
        }
        run(folder.path(), &["config", "alias.blame", &format!("!{program}")]);
        run(folder.path(), &["config", "core.hooksPath", elsewhere.path().to_str().unwrap()]);
        for hook in ["post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout"] {
            std::os::unix::fs::symlink(program, elsewhere.path().join(hook)).unwrap();
        }
        std::fs::write(git.join("info/attributes"), "*.go diff=evil filter=evil\n").unwrap();
        // What differs from the index is filtered, and its index is written.
        std::fs::write(folder.path().join("order/worker.go"), "package order\n\n\tgo work()\n\n").unwrap();

        _ = std::fs::remove_file(&trace);
        let (answer, status) = ask(folder.path());
        assert!(!trace.exists(), "a program of the repository ran");
        assert!(status.success() && answer.contains("\nsummary Process orders\n"), "{answer}");
    }

    #[test]
    fn what_a_partial_clone_lacks_is_not_fetched() {
        let folder = repository();
        let (elsewhere, objects) = (tempfile::tempdir().unwrap(), folder.path().join(".git/objects"));
        let (program, trace) = evil(elsewhere.path());
        std::fs::write(folder.path().join("order/worker.go"), "package order\n\n\tgo work()\n// x\n")
            .unwrap();
        commit(folder.path(), "Add a comment");
        for (name, value) in [
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "origin"),
            ("remote.origin.promisor", "true"),
            ("remote.origin.url", "ssh://example.invalid/x"),
            ("remote.origin.uploadpack", program.to_str().unwrap()),
            ("core.sshCommand", program.to_str().unwrap()),
            ("protocol.ssh.allow", "always"),
        ] {
            run(folder.path(), &["config", name, value]);
        }
        // The file as it was in the first commit.
        let mut git = Command::new("git");
        git.arg("-C").arg(folder.path()).args(["rev-parse", "HEAD~1:order/worker.go"]);
        let id = String::from_utf8(git.output().unwrap().stdout).unwrap();
        std::fs::remove_file(objects.join(&id[..2]).join(id[2..].trim())).unwrap();

        let (_, status) = ask(folder.path());
        assert!(!trace.exists(), "a program of the repository ran");
        assert!(!status.success());
    }

    fn give_to_nobody(folder: &Path) {
        let mut todo = vec![folder.to_owned()];
        while let Some(path) = todo.pop() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            if path.is_dir() {
                todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }

    /// The git that has been started for a folder, once it is git.
    fn process_of(folder: &Path) -> PathBuf {
        let is_it = |process: &PathBuf| {
            let arguments = std::fs::read(process.join("cmdline")).unwrap_or_default();
            arguments.starts_with(b"git\0")
                && String::from_utf8_lossy(&arguments).contains(&*folder.to_string_lossy())
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
            if let Some(process) = all.into_iter().find(is_it) {
                return process;
            }
            assert!(Instant::now() < deadline, "git was not started");
            std::thread::sleep(PAUSE);
        }
    }

    /// Whoever owns the repository may trace the git that reads it. Without root, that is us.
    #[test]
    fn git_has_nothing_of_ours() {
        let folder = repository();
        // It waits for whoever writes to its branch.
        let branch = std::fs::read_to_string(folder.path().join(".git/HEAD")).unwrap();
        let branch = folder.path().join(".git").join(branch.trim().strip_prefix("ref: ").unwrap());
        std::fs::remove_file(&branch).unwrap();
        mknodat(CWD, &branch, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let secret = folder.path().join("secret");
        let open = std::fs::File::create(&secret).unwrap();
        fcntl_setfd(&open, FdFlags::empty()).unwrap();
        let is_of_others = is_root();
        if is_of_others {
            give_to_nobody(folder.path());
        }

        let root = folder.path().to_owned();
        let asked = std::thread::spawn(move || blame(&root, &root, "order/worker.go", 3));
        let process = process_of(folder.path());
        let environment = std::fs::read(process.join("environ")).unwrap();
        let pid: i32 = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let session = getsid(Pid::from_raw(pid)).unwrap();
        let files: Vec<PathBuf> = std::fs::read_dir(process.join("fd"))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .collect();
        // Its end comes with whoever writes, as far as it waits there.
        _ = std::fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&branch);
        _ = asked.join().unwrap();

        let allowed: Vec<&str> =
            KEPT.into_iter().chain(VARIABLES.map(|(name, _)| name)).chain(["GIT_CONFIG_GLOBAL"]).collect();
        for variable in String::from_utf8(environment).unwrap().split_terminator('\0') {
            let name = variable.split('=').next().unwrap();
            assert!(allowed.contains(&name), "{variable}");
            assert!(!is_of_others || !["HOME", "XDG_CONFIG_HOME"].contains(&name), "{variable}");
        }
        assert_eq!(session.as_raw_pid(), pid, "it is in a session of others");
        assert!(!files.contains(&secret), "{files:?}");
    }

    #[test]
    fn root_asks_as_the_owner() {
        if !is_root() {
            skip("needs root, to ask as somebody else");
            return;
        }
        let folder = repository();
        give_to_nobody(folder.path());
        let (answer, status) = ask(folder.path());
        assert!(status.success() && answer.contains("\nauthor Jo\n"), "git does not trust it: {answer}");
        // What is root's is not for the owner of the rest to use.
        chown(folder.path().join(".git"), Some(0), Some(0)).unwrap();
        assert!(!ask(folder.path()).1.success());
    }
}
