//! What the loop has begun and not heard of again.

/// How many jobs of each kind are under way.
#[derive(Default)]
pub(super) struct UnderWay {
    pub(super) inspections: usize,
    pub(super) peeks: usize,
    pub(super) counts: usize,
    pub(super) dumps: usize,
    pub(super) node_profiles: usize,
    pub(super) is_reloading: bool,
    pub(super) is_reloading_again: bool,
}
