//! Go toolchains and the targets built with them, cached outside the tree.

pub mod prerequisites;
pub mod run;
pub mod toolchain;

pub use toolchain::{Toolchain, Version};
