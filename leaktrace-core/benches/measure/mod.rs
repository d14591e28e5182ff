//! What the benchmarks of this folder measure with.

use std::hint::black_box;

/// Says for how long `work` was on a CPU, and returns what it made.
pub(crate) fn timed<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let started = cpu_milliseconds();
    let made = black_box(work());
    println!("{name:<58} {:>6.0} ms", cpu_milliseconds() - started);
    made
}

/// For how long this thread has been on a CPU.
pub(crate) fn cpu_milliseconds() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = schedstat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e6
}
