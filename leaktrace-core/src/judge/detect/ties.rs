//! What ties the goroutines of one place to those of another: what they wait for, and who holds it.

use super::watched::{Cohort, Watched};
use crate::base::num::Goid;

/// Something that goroutines of several `go` statements may have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tie {
    /// The channel or lock that they wait for, by its address.
    Object(u64),
    /// A goroutine: one that holds what is waited for, or one of those that wait.
    Goroutine(Goid),
}

/// The ties of a cohort: the one object that it waits for, who holds that, what that one waits for in turn, and so on;
/// and its goroutines, as far as they are known by their ids.
pub(super) fn ties(cohort: &Cohort, watched: &Watched) -> Vec<Tie> {
    let mut ties: Vec<Tie> = cohort.goids.iter().copied().map(Tie::Goroutine).collect();
    let waits_for_one = cohort.objects.distinct == 1 || cohort.one_object();
    if !waits_for_one || !cohort.standing.wait.needs_goroutine() {
        return ties;
    }
    let mut object = cohort.objects.address;
    while object != 0 && !ties.contains(&Tie::Object(object)) {
        ties.push(Tie::Object(object));
        let Some(holder) = watched.holders.get(&object) else { break };
        ties.push(Tie::Goroutine(holder.goid));
        object = holder.object;
    }
    ties
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutines::model::LockKind;
    use crate::judge::detect::observation::{Wait, made_up};
    use crate::judge::detect::watched::Holder;

    fn waiting(object: u64, wait: Wait) -> Cohort {
        let mut cohort = Cohort::new(crate::judge::detect::Standing { wait, ..made_up() });
        cohort.live = 3;
        cohort.objects.add(3, 3, object, None, 0);
        cohort.goids = vec![Goid(7)];
        cohort
    }

    #[test]
    fn a_chain_of_holders_is_followed_to_its_end() {
        let holder = |goid, object| Holder { goid: Goid(goid), object, standing: made_up().into() };
        let holders = [(10, holder(1, 20)), (20, holder(2, 10))].into_iter().collect();
        let watched = Watched { holders, ..Watched::default() };
        let found = ties(&waiting(10, Wait::Lock(LockKind::Mutex)), &watched);
        let goroutine = |goid| Tie::Goroutine(Goid(goid));
        assert_eq!(found, [goroutine(7), Tie::Object(10), goroutine(1), Tie::Object(20), goroutine(2)]);
    }

    #[test]
    fn several_objects_and_a_timer_are_no_tie() {
        let mut many = waiting(10, Wait::Select);
        many.objects.add(3, 3, 20, None, 0);
        many.live = 6;
        let none = [Tie::Goroutine(Goid(7))];
        assert_eq!(ties(&many, &Watched::default()), none);
        assert_eq!(ties(&waiting(10, Wait::Time), &Watched::default()), none);
    }
}
