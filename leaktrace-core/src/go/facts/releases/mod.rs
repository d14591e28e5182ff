//! One file for each release: what it changed.

mod go1_19;
mod go1_20;
mod go1_21;
mod go1_22;
mod go1_23;
mod go1_24;
mod go1_25;
mod go1_26;
mod go1_27;

use super::release::Release;

/// Every release that leaktrace was tested with, from the oldest to the newest.
///
/// Of Go 1.20 only the source was compared.
pub static RELEASES: &[Release] = &[
    go1_19::RELEASE,
    go1_20::RELEASE,
    go1_21::RELEASE,
    go1_22::RELEASE,
    go1_23::RELEASE,
    go1_24::RELEASE,
    go1_25::RELEASE,
    go1_26::RELEASE,
    go1_27::RELEASE,
];
