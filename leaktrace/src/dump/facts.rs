//! What `/proc` says of a process that its memory does not, for the head of a dump. What cannot be found out is
//! left empty: a dump without its machine's name is still one.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use leaktrace_core::base::num::Tgid;
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::goroutines::Facts;
use leaktrace_core::goroutines::model::{Mapping, ProcessInfo, UnixTime};

use crate::privilege::toward;
use crate::process::find::HeldProcess;
use crate::process::maps::{self, Maps};
use crate::process::mounts::untouchable;
use crate::process::workers::{Reading, Under, Workers};
use crate::process::{Pid, ProcessError, Procfs, USUAL};

/// The longest environment that is looked through, in bytes.
const MAX_ENVIRON: u64 = 4 << 20;
/// How much of a library is read for its build id: headers and notes come first.
const MAX_HEAD: u64 = 64 << 10;
/// How many libraries are asked for their build ids.
const MAX_LIBRARIES: usize = 1_000;

/// The facts of a live process that runs the binary `elf`.
pub(crate) fn of_process(
    target: &HeldProcess,
    elf: &Elf<'_>,
    procfs: &Procfs,
) -> Result<Facts, ProcessError> {
    let build_id = elf.build_id();
    let reader = target.about.reader;
    let maps = Maps::read(procfs, reader)?;
    let environ = procfs.read(reader, "environ", MAX_ENVIRON).ok();
    Ok(Facts {
        is_clock_unknown: false,
        taken_at: UnixTime::default(),
        mappings: mappings(&maps, target, build_id.as_ref(), procfs),
        godebug: environ.as_deref().and_then(godebug),
        arguments: None,
        target: ProcessInfo {
            pid: Tgid(target.pid.0),
            started_at: started_at(target.identity.start_time, procfs),
            exe: target.exe.name().to_string_lossy().into_owned(),
            build_id,
            hostname: hostname(procfs),
            ..ProcessInfo::default()
        },
    })
}

/// The executable parts of files. Only those of the binary itself are known to be what they say.
fn mappings(maps: &Maps, target: &HeldProcess, build_id: Option<&String>, procfs: &Procfs) -> Vec<Mapping> {
    let of_binary = maps.of_file(target.exe.link(), target.identity.exe.inode);
    let executable = || maps.iter().filter(|mapping| mapping.executable && mapping.inode != 0);
    let untouchable = untouchable(maps, procfs, target.about.reader);
    let libraries = executable().filter(|mapping| !of_binary.contains(mapping));
    let libraries = libraries.filter(|mapping| !untouchable.contains(&mapping.device));
    let libraries: BTreeMap<_, _> = libraries.map(|mapping| (mapping.inode, mapping.clone())).collect();
    let of_libraries = library_build_ids(libraries, target.about.reader, procfs);
    let mapping = |mapping| {
        let build_id = if of_binary.contains(&mapping) {
            build_id.cloned()
        } else {
            of_libraries.get(&mapping.inode).cloned().flatten()
        };
        Mapping {
            start: mapping.start,
            end: mapping.end,
            offset: mapping.offset,
            file: mapping.path.to_string_lossy().into_owned(),
            build_id,
        }
    };
    executable().map(mapping).collect()
}

/// The build ids of libraries, by inode. Where the server of a library's file system is gone, that costs the build ids and
/// not the dump.
fn library_build_ids(
    libraries: BTreeMap<u64, maps::Mapping>,
    pid: Pid,
    procfs: &Procfs,
) -> HashMap<u64, Option<String>> {
    if libraries.is_empty() {
        return HashMap::new();
    }
    let procfs = procfs.clone();
    let id = move |(inode, library)| (inode, library_build_id(&procfs, pid, &library));
    let read = move || libraries.into_iter().take(MAX_LIBRARIES).map(id).collect();
    Workers::default().run(read).unwrap_or_else(|error| {
        tracing::warn!("libraries have no build ids in this dump: {error:#}");
        HashMap::new()
    })
}

/// The name may lead to another file by now, and to anything at all in a container.
fn library_build_id(procfs: &Procfs, pid: Pid, mapping: &maps::Mapping) -> Option<String> {
    let inside = mapping.path.strip_prefix("/").ok()?;
    let path = procfs.path(pid, "root").join(inside);
    let _reading = Reading::begin(&Under::File(&path));
    let file =
        toward(pid.0, || File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path)).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.ino() != mapping.inode {
        return None;
    }
    let mut head = Vec::new();
    file.take(MAX_HEAD).read_to_end(&mut head).ok()?;
    Elf::parse(&head).ok()?.build_id()
}

/// The setting that the Go runtime took from the environment: the first of that name.
pub(super) fn godebug(environ: &[u8]) -> Option<String> {
    let mut variables = environ.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(b"GODEBUG="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// When a process started that did so `ticks` after boot.
fn started_at(ticks: u64, procfs: &Procfs) -> Option<UnixTime> {
    let booted = booted_s(procfs)?;
    let per_second = rustix::param::clock_ticks_per_second();
    let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(per_second.max(1));
    let since_boot = u64::try_from(nanoseconds).ok()?;
    booted.checked_mul(1_000_000_000)?.checked_add(since_boot).map(UnixTime)
}

/// When the system started, in seconds since 1970.
pub(crate) fn booted_s(procfs: &Procfs) -> Option<u64> {
    let stat = read(&procfs.root().join("stat"))?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

pub(crate) fn hostname(procfs: &Procfs) -> Option<String> {
    let name = read(&procfs.root().join("sys/kernel/hostname"))?;
    Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::with_capacity(USUAL);
    File::open(path).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_godebug_of_the_environment_is_the_runtimes() {
        assert_eq!(godebug(b"A=1\0GODEBUG=a=1,b=2\0GODEBUG=c\0"), Some("a=1,b=2".to_owned()));
        assert_eq!(godebug(b"NOT_GODEBUG=x\0\xff=1\0"), None);
    }

    #[test]
    fn a_start_is_counted_from_boot() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("stat"), "cpu 1 2 3\nbtime 1000\n").unwrap();
        let procfs = Procfs::at(root.path());
        let ticks = rustix::param::clock_ticks_per_second() * 5;
        assert_eq!(started_at(ticks, &procfs), Some(UnixTime(1_005_000_000_000)));
        assert_eq!(hostname(&procfs), None);
    }

    #[test]
    fn our_own_libraries_have_build_ids() {
        let procfs = Procfs::system();
        let maps = Maps::read(&procfs, Pid::own()).unwrap();
        let libc = maps.iter().find(|mapping| mapping.path.to_string_lossy().contains("libc.so")).unwrap();
        assert!(library_build_id(&procfs, Pid::own(), libc).is_some_and(|id| id.len() >= 16));
        let other = maps::Mapping { inode: libc.inode ^ 1, ..libc.clone() };
        assert_eq!(library_build_id(&procfs, Pid::own(), &other), None);
    }
}
