//! What the kernel holds of leaktrace: its eBPF programs and maps. A link holds the program that it is of, and a program its
//! maps, so that none of them can be left without a program. Links are not looked at themselves: whoever opens one keeps it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aya::maps::{MapError, loaded_maps};
use aya::programs::{ProgramError, ProgramInfo, loaded_programs};

/// How the names of all its programs begin.
const PROGRAMS: &str = "leaktrace_";

/// What its maps are called, as far as the kernel keeps names.
const MAPS: [&str; 7] =
    ["EVENTS", "COUNTERS", "SITES", "SCRATCH", ".data.control", ".data.execed", ".rodata.target"];

/// Something that the kernel holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    Program { id: u32, name: String },
    Map { id: u32, name: String },
}

/// All that is there of any leaktrace.
pub(super) fn objects() -> Result<BTreeSet<Object>> {
    let mut objects = BTreeSet::new();
    for program in loaded_programs() {
        let Some(program) = still(program, error_of_program)? else { continue };
        objects.extend(object_of(&program));
    }
    for map in loaded_maps() {
        let Some(map) = still(map, error_of_map)? else { continue };
        let name = map.name_as_str().unwrap_or_default().to_owned();
        if MAPS.contains(&name.as_str()) {
            objects.insert(Object::Map { id: map.id(), name });
        }
    }
    Ok(objects)
}

/// Fails when something stays that was not there before and that no process has, once whoever may not stay has ended. What
/// is of other leaktraces, which we cannot see in another pid namespace, comes and goes.
pub(super) fn nothing_left(before: &BTreeSet<Object>, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    let mut left = objects()?;
    loop {
        let now = objects()?;
        left = without(&left, before, &held()?);
        left.retain(|object| now.contains(object));
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("the kernel still has, although no process does: {left:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn without(left: &BTreeSet<Object>, before: &BTreeSet<Object>, held: &Held) -> BTreeSet<Object> {
    left.iter().filter(|object| !before.contains(object) && !held.has(object)).cloned().collect()
}

/// What processes have descriptors of, by number.
#[derive(Debug, Default)]
struct Held {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
}

impl Held {
    fn has(&self, object: &Object) -> bool {
        match object {
            Object::Program { id, .. } => self.programs.contains(id),
            Object::Map { id, .. } => self.maps.contains(id),
        }
    }

    /// What a descriptor says of itself; one of a link says which program that is of.
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let Some((name, number)) = line.split_once(':') else { continue };
            let number = number.trim().parse::<u32>();
            match name {
                "prog_id" => self.programs.extend(number),
                "map_id" => self.maps.extend(number),
                _ => {}
            }
        }
    }
}

/// By all processes but ourselves: those of the soak that are left are found anyway.
fn held() -> Result<Held> {
    let mut held = Held::default();
    let own = std::process::id().to_string();
    for process in fs::read_dir("/proc")?.flatten() {
        let name = process.file_name();
        if name.to_str().is_none_or(|name| name == own || name.parse::<u32>().is_err()) {
            continue;
        }
        // A process or a descriptor that is gone has nothing.
        for descriptor in fs::read_dir(process.path().join("fdinfo")).into_iter().flatten().flatten() {
            held.add(&fs::read_to_string(descriptor.path()).unwrap_or_default());
        }
    }
    for program in loaded_programs() {
        let Some(program) = still(program, error_of_program)? else { continue };
        if held.programs.contains(&program.id()) {
            held.maps.extend(program.map_ids().ok().flatten().into_iter().flatten());
        }
    }
    Ok(held)
}

fn object_of(program: &ProgramInfo) -> Option<Object> {
    let name = program.name_as_str().filter(|name| name.starts_with(PROGRAMS))?.to_owned();
    Some(Object::Program { id: program.id(), name })
}

/// Nothing where it has gone since the kernel named it.
fn still<T, E: std::error::Error + Send + Sync + 'static>(
    found: Result<T, E>,
    why: fn(&E) -> Option<&io::Error>,
) -> Result<Option<T>> {
    match found {
        Err(error) if why(&error).is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => Ok(None),
        found => found.map(Some).context("the kernel does not say which programs and maps it has"),
    }
}

fn error_of_program(error: &ProgramError) -> Option<&io::Error> {
    if let ProgramError::SyscallError(error) = error { Some(&error.io_error) } else { None }
}

fn error_of_map(error: &MapError) -> Option<&io::Error> {
    if let MapError::SyscallError(error) = error { Some(&error.io_error) } else { None }
}

#[cfg(test)]
mod tests {
    use leaktrace_tests::leaktrace::Running;
    use leaktrace_tests::poll::{PATIENCE, poll_until};
    use leaktrace_tests::privilege::can_probe;
    use leaktrace_tests::{Mode, Target, Version};

    use super::*;

    #[test]
    fn what_a_leaktrace_leaves_in_the_kernel_is_found() {
        if !can_probe() {
            return;
        }
        let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=1");
        let before = objects().unwrap();
        let watching = Running::attach(target.pid(), "--duration 60s");
        let meanwhile = objects().unwrap();
        let new: BTreeSet<&Object> = meanwhile.difference(&before).collect();
        let names =
            |name: &str| new.iter().any(|object| format!("{object:?}").contains(&format!("{name:?}")));
        assert!(names("leaktrace_birth") && names("leaktrace_exec"), "{new:?}");
        assert!(MAPS.iter().all(|name| names(name)), "{new:?}");
        assert!(nothing_left(&before, Duration::ZERO).is_ok(), "it has what it made");
        // As a pinned one would be, it is kept by nobody who could be seen.
        let birth = loaded_programs().flatten().find(|program| {
            object_of(program)
                .is_some_and(|object| new.contains(&object) && format!("{object:?}").contains("birth"))
        });
        let kept = birth.unwrap().fd().unwrap();
        watching.stop();
        poll_until(PATIENCE, "its keeper ends", || {
            let held = held().unwrap();
            (!new.iter().any(|object| held.has(object))).then_some(())
        });
        let error = nothing_left(&before, Duration::from_secs(5)).unwrap_err().to_string();
        assert!(error.contains("leaktrace_birth") && error.contains("EVENTS"), "{error}");
        assert!(!error.contains("leaktrace_end"), "{error}");
        drop(kept);
        nothing_left(&before, Duration::from_secs(15)).unwrap();
    }

    #[test]
    fn descriptors_say_what_they_are_of() {
        let mut held = Held::default();
        held.add("pos:\t0\nmap_type:\t27\nmap_id:\t186881\n");
        held.add("link_type:\tuprobe_multi\nlink_id:\t7\nprog_id:\t138389\n");
        let program = |id| Object::Program { id, name: "leaktrace_end".to_owned() };
        assert!(held.has(&program(138_389)) && !held.has(&program(7)));
        assert!(held.has(&Object::Map { id: 186_881, name: "EVENTS".to_owned() }));
        let left = BTreeSet::from([program(1), program(2), program(138_389)]);
        assert_eq!(without(&left, &BTreeSet::from([program(1)]), &held), BTreeSet::from([program(2)]));
    }
}
