//! The shell of leaktrace: the command line, `/proc`, the kernel and the terminal. Everything that can be a
//! function of bytes lives in `leaktrace_core`.

pub mod process;
