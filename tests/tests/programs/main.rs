//! Ring 2: what leaktrace says of small programs after 50 seconds: of those that leak, and of healthy ones
//! that look like it. `cargo xtask score` asks the same of many more.

mod articles;
mod judged;
mod watched;
