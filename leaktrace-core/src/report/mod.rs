//! Makes reports, and writes them in the formats that people and programs read.
//!
//! What a report is made of is plain data ([`schema`](crate::schema)). How it comes about is in `build`, what it looks
//! like in [`render`], and which lines of source code it speaks of in [`source`].
//!
//! **Invariant:** a format is a pure function of the report, the same bytes for the same report; it finds nothing out
//! and judges nothing.

mod build;
mod completeness;
mod frames;
mod gather;
mod ignored;
mod origin;
mod program;
mod recorded;
pub mod render;
pub mod source;
mod view;

pub use build::{Sources, build};
pub use completeness::completeness;
pub use program::{LazyDebugInfo, ProgramSymbols};
pub use recorded::{Witness, recorded};
pub use view::{Sort, View};
