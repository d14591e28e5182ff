//! Makes reports, and writes them in the formats that people and programs read.
//!
//! What a report is made of is plain data ([`schema`](crate::schema)). How it comes about is in `build`, what it looks
//! like in [`render`], and which lines of source code it speaks of in [`source`].

mod build;
mod completeness;
mod gather;
mod program;
mod recorded;
pub mod render;
pub mod source;
mod view;

pub use build::{Sources, build};
pub use completeness::completeness;
pub use program::{LazyDebugInfo, ProgramSymbols};
pub use recorded::recorded;
pub use view::{Sort, View};
