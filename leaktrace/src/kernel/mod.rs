//! The kernel: probes on one side, a ring of records on the other. The only module that knows aya.
//!
//! Each target has programs of its own, attached to it alone, and [`Hub`] has all targets. [`ProcessWatch`] tells of all
//! processes that come and go. Nothing is pinned and no
//! event is created in tracefs: whatever ends this process ends its probes.

mod again;
mod attach;
pub mod cost;
mod detach;
mod drops;
pub mod features;
#[cfg(test)]
mod filter;
mod hub;
mod keeper;
mod last;
mod load;
#[cfg(feature = "bench")]
pub mod nothing;
mod object;
mod perf;
mod processes;
mod ring;
pub mod specimen;
mod sys;
mod thread;

pub use attach::{AttachError, Backend, ProbeSite, Tracee};
pub use drops::{Counters, Mishap};
pub use hub::{Hub, HubOptions, TargetId};
pub use keeper::KeeperEvent;
pub use load::{LoadError, Loaded, Loader, TargetOptions};
pub use processes::{ProcessWatch, ProcessWatchError};
pub use ring::Drained;

/// What the system said, where this is an error of aya's that shows it as its own words and not as its cause.
pub(crate) fn of_system<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e std::io::Error> {
    match error.downcast_ref() {
        Some(aya::maps::MapError::IoError(error)) => Some(error),
        _ => None,
    }
}

/// The number of the error of the system that an error comes from.
fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| of_system(error).or_else(|| error.downcast_ref())?.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::io;

    use aya::maps::MapError;
    use aya::sys::SyscallError;

    #[test]
    fn the_number_is_found_however_the_error_is_wrapped() {
        let full = || io::Error::from_raw_os_error(libc::EMFILE);
        let call = SyscallError { call: "bpf_obj_get", io_error: full() };
        for error in [MapError::IoError(full()), MapError::SyscallError(call)] {
            assert_eq!(super::errno(&error), Some(libc::EMFILE), "{error:?}");
        }
        assert_eq!(super::errno(&full()), Some(libc::EMFILE));
        assert_eq!(super::errno(&std::fmt::Error), None);
    }
}
