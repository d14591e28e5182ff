//! A report in the formats that people and programs read. Each is a pure function of the report: same report, same
//! bytes.

mod finding;
mod github;
mod json;
mod junit;
mod line;
mod losses;
mod paint;
mod path;
mod round;
mod sarif;
mod text;
mod verdicts;
mod xml;

pub use github::github;
pub use json::json;
pub use junit::junit;
pub use paint::Style;
pub use round::{round_json, round_text};
pub use sarif::sarif;
pub use text::{TextOptions, text};
