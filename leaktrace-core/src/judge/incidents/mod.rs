//! Which verdicts are about one problem.
//!
//! Two belong together where they wait for the same object or for what one goroutine holds, where one line of the user's
//! led to both, or where the goroutines of one started those of the other, in step. That both grow at one rate, that one
//! rule speaks of both or that one server serves both is not enough.

mod group;
mod order;

pub use group::{Kin, incidents};
pub use order::{of, settle};
