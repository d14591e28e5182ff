//! The kernel: probes on one side, a ring of records on the other. The only module that knows aya.
//!
//! The eBPF programs are loaded once ([`Probes::load`]) and attached to any number of processes. Nothing is
//! pinned and no event is created in tracefs: whatever ends this process ends its probes.

mod attach;
pub mod cost;
mod diagnostics;
mod drops;
mod exec;
pub mod features;
mod load;
pub mod nothing;
mod object;
mod ring;
pub mod specimen;
mod sys;

pub use attach::{AttachError, Attached, ProbeSite, Tracee};
pub use drops::Counters;
pub use load::{Backend, LoadError, Options, Probes};
pub use ring::Ring;
