//! A report in the formats that people and programs read. Each is a pure function of the report: same report, same
//! bytes.

pub(crate) mod human;
mod json;
mod line;
mod paint;
mod text;

pub use json::json;
pub use paint::Style;
pub use text::{TextOptions, text};
