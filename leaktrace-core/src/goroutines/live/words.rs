//! Reads many small structs at once, as many as there still are: the process may end meanwhile.

use crate::base::memory::Memory;
use crate::base::num::Avma;
use crate::base::structs;
pub(super) use crate::base::structs::Words;

/// Reads the `size` bytes at each of `addresses` and hands on those that could be read, with their index. Stops
/// when the process is gone.
pub(super) fn read_structs(
    memory: &dyn Memory,
    addresses: &[Avma],
    size: usize,
    each: impl FnMut(usize, Words<'_>),
) {
    // What was read until then is shown.
    let _ = structs::read_structs(memory, addresses, size, each);
}
