//! A target's life from outside: with a made-up clock, and with arrays for what the kernel and the memory say.

mod ends;
mod life;
#[path = "../helpers/records.rs"]
mod records;
mod world;
