//! Tries system calls again that the kernel gave up for a reason that passes: a signal, be it one that stops us for a
//! debugger, interrupts the verifier (`EAGAIN`) and waits (`EINTR`).

use std::error::Error;
use std::io;

/// How often, beyond the first time: as often as libbpf does.
const TRIES: usize = 5;

/// Calls until it succeeds, or fails for a reason that stays.
pub(super) fn again<T, E: Error + 'static>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 0..TRIES {
        match call() {
            Err(error) if passes(&error) => {}
            done => return done,
        }
    }
    call()
}

fn passes(error: &(dyn Error + 'static)) -> bool {
    anyhow::Chain::new(error).any(|error| {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted))
    })
}

#[cfg(test)]
mod tests {
    use aya::maps::MapError;
    use rustix::io::Errno;

    use super::*;

    /// How often a call is made that fails like this the first `failures` times, and whether it succeeds.
    fn calls(failures: usize, errno: Errno) -> (usize, bool) {
        let mut made = 0;
        let result = again(|| {
            made += 1;
            let error = MapError::CreateError { name: "EVENTS".to_owned(), io_error: errno.into() };
            if made > failures { Ok(()) } else { Err(error) }
        });
        (made, result.is_ok())
    }

    #[test]
    fn what_passes_is_tried_again_but_not_for_ever() {
        assert_eq!(calls(0, Errno::AGAIN), (1, true));
        assert_eq!(calls(3, Errno::AGAIN), (4, true));
        assert_eq!(calls(3, Errno::INTR), (4, true));
        assert_eq!(calls(100, Errno::INTR), (TRIES + 1, false));
        assert_eq!(calls(3, Errno::PERM), (1, false));
    }
}
