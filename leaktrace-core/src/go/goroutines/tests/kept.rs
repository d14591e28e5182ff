//! Words of stacks that a walk keeps.

use super::*;

/// Wants what follows the frame of what parked.
struct FirstArgument;

impl WordPlans for FirstArgument {
    fn plan(&mut self, pcs: &[ReturnPc]) -> WordPlan {
        let mut plan = WordPlan::default();
        plan.frame(8, pcs.get(1).copied(), [Word { at: 16, mask: 0xffff }]);
        plan
    }
}

fn argument_of(slot: u64) -> u64 {
    STACKS + (slot + 1) * STACK_SIZE - 24
}

/// A goroutine's words, by its place in the snapshot.
fn words(kept: &KeptWords, index: usize) -> Vec<u64> {
    let mut words = Vec::new();
    kept.rows.read(index, &mut words);
    words
}

fn kept(world: &World, entries: Range<u64>, room: usize) -> (Snapshot, KeptWords) {
    with_walker(|walker| {
        let mut walker = walker.keeping(FirstArgument, room);
        let snapshot = walker.part(world, Want::Stacks, &|| Ktime(0), entries).unwrap();
        let kept = walker.kept().unwrap();
        assert_eq!(kept.rows.len(), snapshot.goroutines.len());
        (snapshot, kept)
    })
}

#[test]
fn words_are_the_goroutines_own_in_all_parts() {
    let world = World::parked(4);
    (0..4).for_each(|slot| world.set(argument_of(slot), 0xa_0000 + slot));
    world.set(g(2) + 144, 2);
    let (mut snapshot, mut all) = kept(&world, 0..1, 9);
    let (later, later_words) = kept(&world, 1..u64::MAX, 9);
    snapshot.append(later);
    all.append(later_words);
    let by_goid: BTreeMap<u64, Vec<u64>> =
        (0..4).map(|index| (snapshot.goroutines[index].goid.0, words(&all, index))).collect();
    let expected = [(100, vec![0]), (101, vec![1]), (102, vec![]), (103, vec![3])];
    assert_eq!(by_goid, BTreeMap::from(expected));
    assert_eq!(all.beyond, 0);
}

#[test]
fn those_beyond_the_room_are_counted() {
    let (_, kept) = kept(&World::parked(5), 0..u64::MAX, 3);
    let counts: Vec<_> = (0..5).map(|index| kept.rows.row_len(index)).collect();
    assert_eq!((counts, kept.beyond), (vec![1, 1, 1, 0, 0], 2));
}

#[test]
fn words_of_one_that_moved_are_those_of_where_it_is() {
    let world = World::parked(1).when(|reads, words| {
        if reads == 6 {
            words.insert(g(0) + 152, 777);
            words.insert(argument_of(0), 7);
        }
    });
    world.set(argument_of(0), 1);
    let (snapshot, kept) = kept(&world, 0..u64::MAX, 9);
    assert_eq!((snapshot.goroutines[0].goid, words(&kept, 0)), (Goid(777), vec![7]));
}
