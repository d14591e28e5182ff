//! Why a pass has nothing to say.

use thiserror::Error;

use crate::base::memory::ReadError;
use crate::go::facts::Untested;
use crate::go::goroutines::WalkError;
use crate::go::version::GoVersion;

/// Why nothing is said about a process. Never a verdict: what could not be looked at is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The offsets of a struct of the runtime are not known.
    #[error("the layout of {of} of {version} is not known")]
    UnknownLayout {
        /// The struct.
        of: &'static str,
        /// The release.
        version: GoVersion,
    },
    /// What is attached to objects is not known in this release, so that leaks could be made up.
    #[error(transparent)]
    Untested(#[from] Untested),
    /// The target's table of wait reasons was not found, so that waits cannot be told apart.
    #[error("the runtime's names of wait reasons were not found")]
    NoWaitReasons,
    /// A module that was loaded later, such as a plugin, has variables that nobody knows.
    #[error("plugins loaded at run time are not supported, and there are {count}")]
    UnknownModules {
        /// How many.
        count: usize,
    },
    /// The list of all pieces of the heap was not found.
    #[error("the list of the heap's spans (mheap.allspans) was not found: {candidates} places look like it")]
    NoHeap {
        /// How many places have its shape.
        candidates: usize,
    },
    /// What was read of the heap contradicts itself.
    #[error("the heap is not laid out as expected: {what}")]
    Implausible {
        /// What is wrong.
        what: &'static str,
    },
    /// The heap is larger than the caller's bound.
    #[error("{bytes} bytes of heap with pointers exceed the limit of {bound}")]
    TooLarge {
        /// How many bytes there are.
        bytes: u64,
        /// The bound.
        bound: u64,
    },
    /// Part of what had to be looked at could not be read.
    #[error("{bytes} bytes that had to be scanned could not be read")]
    Unreadable {
        /// How many bytes.
        bytes: u64,
    },
    /// The caller wanted no more of it.
    #[error("interrupted")]
    Interrupted,
    /// The goroutines could not be listed.
    #[error("the goroutines could not be listed")]
    Goroutines(#[from] WalkError),
    /// The process's memory could not be read.
    #[error("the memory of the process could not be read")]
    Read(#[from] ReadError),
}
