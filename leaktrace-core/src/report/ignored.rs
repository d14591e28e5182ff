//! Which groups are left out because users ignore their goroutines.

use super::build::MAX_PLACES;
use super::gather::Tally;
use crate::go::goroutines::Snapshot;
use crate::go::symbols::Names;
use crate::judge::detect::Ignore;
use crate::schema::Location;

/// Whether all goroutines of a group are ignored: for who created them, or because each stands where one is ignored.
pub(super) fn is_ignored(
    created_by: &Location,
    tally: &Tally,
    snapshot: Option<&Snapshot>,
    names: &mut Names<'_>,
    ignore: &Ignore,
) -> bool {
    let creator = created_by.function.as_ref();
    if ignore.is_empty() {
        return false;
    }
    if ignore.matches_stack(creator, &[]) {
        return true;
    }
    let (Some(snapshot), places) = (snapshot, &tally.places) else { return false };
    let seen: u64 = places.values().sum();
    if seen == 0 || seen < tally.live() || places.len() > MAX_PLACES {
        return false;
    }
    let mut stacks = places.keys().map(|(stack, _)| snapshot.stacks.get(*stack));
    stacks.all(|stack| stack.is_some_and(|stack| ignore.matches_stack(creator, &names.stack(stack.pcs))))
}
