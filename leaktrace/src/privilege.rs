//! Whose rights are used for what.
//!
//! Capabilities of the executable file (`setcap`) are lent to whoever may run it, to look at processes and not to open files
//! that a user names. So they are in effect only around what needs them, on the thread that needs them, and only
//! toward processes that the user could trace without, unless the file is limited to a group.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;

use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use thiserror::Error;

/// What was lent to us, if anything was.
static LENT: OnceLock<Lent> = OnceLock::new();

/// The entry of the auxiliary vector that says whether we have more rights than whoever started us (`getauxval(3)`).
const AT_SECURE: u64 = 23;

/// What may be in effect all the time: it opens no file and no process, and old kernels ask for it at every map.
const HARMLESS: CapabilitySet = CapabilitySet::BPF;

#[derive(Clone, Copy, Debug)]
struct Lent {
    capabilities: CapabilitySet,
    /// Whether they may be used toward any process.
    toward_all: bool,
}

/// Why we do not begin.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// Root's identity cannot be laid down for a while on one thread, as capabilities can.
    #[error("leaktrace is installed setuid or setgid, which it does not support")]
    SetId,
    /// The system does not say or do what it should.
    #[error("cannot give up the capabilities of the executable file")]
    System(#[from] io::Error),
}

/// Gives up what we have beyond the user's own rights until it is needed. To be called before there is another thread.
pub fn settle() -> Result<(), PrivilegeError> {
    if !is_secure(&std::fs::read("/proc/self/auxv")?) {
        return Ok(());
    }
    if getuid() != geteuid() || getgid() != getegid() {
        return Err(PrivilegeError::SetId);
    }
    let lent = capabilities(None).map_err(io::Error::from)?.permitted;
    put_into_effect(lent & HARMLESS)?;
    // Whoever made it executable for a group only has decided who may do this.
    let is_open_to_all = std::fs::metadata("/proc/self/exe")?.mode() & 0o001 != 0;
    _ = LENT.set(Lent { capabilities: lent, toward_all: !is_open_to_all });
    Ok(())
}

/// Whether only processes of the user's own can be looked at, whatever capabilities we have.
pub fn is_for_own_processes() -> bool {
    LENT.get().is_some_and(|lent| !lent.toward_all)
}

/// Does `work` with all capabilities that were lent to us. Not for anything that opens what a user names.
pub(crate) fn raised<T>(work: impl FnOnce() -> T) -> T {
    let _raised = LENT.get().map(|lent| Raised::begin(lent.capabilities));
    work()
}

/// An error that says that something is not permitted.
pub(crate) trait Denied {
    fn denied() -> Self;
}

impl Denied for io::Error {
    fn denied() -> Self {
        io::ErrorKind::PermissionDenied.into()
    }
}

/// The same for what looks at process `pid`, if the user could trace that, or the file is limited to a group. What comes of it is
/// given to nobody if the process has meanwhile become a program that the user could not trace.
pub(crate) fn toward<T, E: Denied>(pid: u32, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    match LENT.get() {
        Some(lent) if lent.toward_all => raised(work),
        Some(_) if could_trace(pid) => {
            let looked = raised(work);
            if looked.is_err() || could_trace(pid) { looked } else { Err(E::denied()) }
        }
        Some(_) | None => work(),
    }
}

/// Gives up all capabilities of the calling thread, for good. It keeps its user id, and so what that may open.
pub fn lay_down() -> io::Result<()> {
    let none = CapabilitySet::empty();
    // What the ambient set has goes with the inheritable one.
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// Asks the kernel, which knows more than user ids: whether the process is dumpable, and has no more rights than we.
fn could_trace(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// The calling thread has capabilities in effect until this is dropped.
struct Raised {
    before: Option<CapabilitySet>,
}

impl Raised {
    fn begin(all: CapabilitySet) -> Self {
        // If that fails, what is to be done is refused, and says so.
        let before = capabilities(None).ok().map(|sets| sets.effective);
        Self { before: before.filter(|_| put_into_effect(all).is_ok()) }
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(before) = self.before
            && put_into_effect(before).is_err()
        {
            // Nobody may go on with rights that are not theirs.
            std::process::abort();
        }
    }
}

fn put_into_effect(effective: CapabilitySet) -> io::Result<()> {
    let sets = capabilities(None)?;
    set_capabilities(None, CapabilitySets { effective, ..sets })?;
    Ok(())
}

fn is_secure(auxv: &[u8]) -> bool {
    let words: Vec<u64> = auxv.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    words.as_chunks().0.iter().any(|[key, value]| *key == AT_SECURE && *value != 0)
}

/// The user and the group that `sudo` was called by.
pub(crate) fn sudo_caller() -> Option<(u32, u32)> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    geteuid().is_root().then(|| number("SUDO_UID").zip(number("SUDO_GID"))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auxv(entries: &[[u64; 2]]) -> Vec<u8> {
        entries.iter().flatten().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn the_auxiliary_vector_tells_of_lent_rights() {
        assert!(is_secure(&auxv(&[[6, 4096], [AT_SECURE, 1], [0, 0]])));
        assert!(!is_secure(&auxv(&[[6, AT_SECURE], [AT_SECURE, 0], [0, 0]])));
        assert!(!is_secure(&[]));
    }

    #[test]
    fn one_thread_lays_down_what_the_others_keep() {
        let before = capabilities(None).unwrap();
        let there = std::thread::spawn(|| {
            lay_down().unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            (capabilities(None).unwrap(), raised(|| capabilities(None).unwrap()), status)
        });
        let (sets, raised, status) = there.join().unwrap();
        let none = CapabilitySet::empty();
        assert_eq!(sets, CapabilitySets { effective: none, permitted: none, inheritable: none });
        assert_eq!(raised, sets);
        assert!(status.contains("CapAmb:\t0000000000000000"), "{status}");
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn without_lent_rights_nothing_changes() {
        let before = capabilities(None).unwrap();
        let within = raised(|| toward(std::process::id(), || capabilities(None).map_err(io::Error::from)));
        assert_eq!((within.unwrap(), capabilities(None).unwrap()), (before, before));
    }
}
