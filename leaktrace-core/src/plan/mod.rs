//! Which instructions to probe, and why: decided from the binary alone, without root, printable.
//!
//! Nothing is attached here. The kernel emulates `push`, near `call`, jumps and `nop`; any other probed
//! instruction is single-stepped, which costs about thirty times as much in a virtual machine. So each event
//! has a ladder of places where the wanted `g` is provably in a register, cheapest first.

mod render;
mod site;

pub use site::{AttachPlan, Cost, Missed, MissedReason, PlanStyle, Site, VerifyError};
