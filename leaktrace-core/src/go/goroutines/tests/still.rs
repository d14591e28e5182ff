//! Stacks that are not read again.

use super::*;

const OTHER: u64 = 0x40_0500;

fn return_address_of(slot: u64) -> u64 {
    STACKS + (slot + 1) * STACK_SIZE - 32
}

/// What each walk says of the frame outside the one that parked, of 20 goroutines by slot; `between` is told the walk before which
/// something may happen.
fn walks(count: u64, between: impl Fn(u64, &World)) -> Vec<Vec<u64>> {
    let world = World::parked(20);
    with_walker(|mut walker| {
        let mut walk = |number| {
            between(number, &world);
            let snapshot = walker.snapshot(&world, Want::Stacks, &|| Ktime(0)).unwrap();
            let mut order: Vec<usize> = (0..20).collect();
            order.sort_by_key(|index| snapshot.goroutines[*index].g);
            order.into_iter().map(|index| pcs(&snapshot, index).unwrap()[1]).collect()
        };
        (0..count).map(&mut walk).collect()
    })
}

fn change_stack_of(slot: u64, world: &World) {
    world.set(return_address_of(slot), OTHER);
}

#[test]
fn the_stack_of_one_that_has_not_run_is_read_again_only_after_some_walks() {
    // Nothing changes a stack without running; this one shows which walks read it.
    let seen = walks(18, |walk, world| {
        if walk == 1 {
            change_stack_of(3, world);
        }
    });
    let read = seen.iter().position(|walk| walk[3] == OTHER).unwrap();
    assert!((2..=17).contains(&read), "walk {read}");
    assert_eq!(seen[1][3], WORKER);
    assert!(seen.iter().all(|walk| walk[4] == WORKER));
}

#[test]
fn the_stack_of_one_that_has_run_is_read_at_once() {
    let seen = walks(3, |walk, world| {
        if walk == 2 {
            for (slot, (offset, word)) in [(184, 1 << 56), (152, 900), (320, 8)].into_iter().enumerate() {
                change_stack_of(slot as u64, world);
                world.set(g(slot as u64) + offset, word);
            }
        }
    });
    assert_eq!(seen[2][0], OTHER, "it left a CPU");
    assert_eq!(seen[2][1], OTHER, "another goroutine lives there");
    assert_eq!(seen[2][2], OTHER, "it waits anew");
}

#[test]
fn a_walk_that_broke_off_leaves_nothing_to_the_next() {
    let world = World::parked(3).when(|_, _| {});
    with_walker(|mut walker| {
        let mut walk = || walker.snapshot(&world, Want::Stacks, &|| Ktime(0));
        walk().unwrap();
        let base = world.words.borrow()[&ALLGPTR];
        world.set(ALLGPTR, 0xdead_0000);
        walk().unwrap_err();
        world.set(ALLGPTR, base);
        (0..3).for_each(|slot| change_stack_of(slot, &world));
        let snapshot = walk().unwrap();
        assert!((0..3).all(|index| pcs(&snapshot, index).unwrap()[1] == OTHER));
    });
}

#[test]
fn the_same_entry_of_a_part_is_another_goroutine() {
    let world = World::parked(40);
    with_walker(|mut walker| {
        walker.snapshot(&world, Want::Stacks, &|| Ktime(0)).unwrap();
        (0..40).for_each(|slot| change_stack_of(slot, &world));
        let part = walker.part(&world, Want::Stacks, &|| Ktime(0), 20..30).unwrap();
        assert!((0..10).all(|index| pcs(&part, index).unwrap()[1] == OTHER));
    });
}
