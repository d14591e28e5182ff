//! Go toolchains and the targets built with them, cached outside the tree.

pub mod libraries;
pub mod own_text;
pub mod prerequisites;
pub mod run;
pub mod target;
pub mod toolchain;

pub use target::{Mode, Program, build, build_as, every_build};
pub use toolchain::{Toolchain, Version};
