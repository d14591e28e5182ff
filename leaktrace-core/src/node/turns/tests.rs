use super::*;

const SECOND: u64 = 1_000_000_000;

fn candidate(pid: u32, is_suspect: bool) -> Candidate {
    Candidate { id: id(pid), is_suspect, goroutines: 10, at_first: 10 }
}

fn id(pid: u32) -> ProcessId {
    ProcessId { pid, start_ticks: 1 }
}

fn turns() -> Turns {
    Turns::new(0.01, Ktime(0))
}

/// Who is next, and why.
fn next(turns: &Turns, candidates: &[Candidate], now: Ktime) -> Option<(ProcessId, Why)> {
    turns.next(candidates, now).map(|(one, why)| (one.id, why))
}

#[test]
fn suspects_come_first_and_then_whoever_was_not_looked_at_for_longest() {
    let mut turns = turns();
    let all = [candidate(1, false), candidate(2, true), candidate(3, false)];
    assert_eq!(next(&turns, &all, Ktime(0)), Some((id(2), Why::Suspected)));
    turns.began(&all[1], Why::Suspected, Ktime(5));
    assert_eq!(next(&turns, &all, Ktime(9)), Some((id(1), Why::InTurn)));
    turns.began(&all[0], Why::InTurn, Ktime(9));
    turns.ended(id(2), Duration::ZERO, Ktime(20));
    assert_eq!(
        next(&turns, &all, Ktime(21)),
        None,
        "one at a time in turn, and the suspect was studied just now"
    );
    let later = Ktime(SECOND * 3_700);
    assert_eq!(next(&turns, &all, later), Some((id(2), Why::Suspected)));
}

#[test]
fn studies_in_turn_keep_to_their_share() {
    let mut turns = turns();
    let all = [candidate(1, false), candidate(2, false)];
    turns.began(&all[0], Why::InTurn, Ktime(0));
    // 0.3 % of a core: three seconds are earned in a thousand.
    turns.ended(id(1), Duration::from_secs(3), Ktime(SECOND));
    assert_eq!(next(&turns, &all, Ktime(SECOND * 1_000)), None);
    assert_eq!(next(&turns, &all, Ktime(SECOND * 1_002)), Some((id(2), Why::InTurn)));
}

#[test]
fn very_large_processes_are_not_studied() {
    let large = Candidate { goroutines: MOST_GOROUTINES + 1, ..candidate(1, true) };
    assert_eq!(next(&turns(), &[large], Ktime(0)), None);
}

#[test]
fn each_reason_has_places_of_its_own() {
    let mut turns = turns();
    let suspects = (1..=3).map(|pid| candidate(pid, true));
    let grown = (4..=6).map(|pid| Candidate { goroutines: 40, ..candidate(pid, false) });
    let all: Vec<_> = suspects.chain(grown).chain([candidate(7, false), candidate(8, false)]).collect();
    let mut begun = Vec::new();
    while let Some((one, why)) = turns.next(&all, Ktime(0)) {
        turns.began(&one, why, Ktime(0));
        begun.push((one.id.pid, why));
    }
    let expected =
        [(1, Why::Suspected), (2, Why::Suspected), (4, Why::Grown), (3, Why::InTurn), (5, Why::Grown)];
    assert_eq!(begun, expected);
}

#[test]
fn every_other_turn_is_that_of_one_that_has_grown() {
    let mut turns = turns();
    let grown = |pid, goroutines| Candidate { goroutines, ..candidate(pid, false) };
    let all = [candidate(1, false), candidate(2, false), grown(3, 40), grown(4, 15)];
    assert_eq!(next(&turns, &all, Ktime(0)), Some((id(3), Why::Grown)));
    turns.began(&all[2], Why::Grown, Ktime(0));
    turns.ended(id(3), Duration::ZERO, Ktime(1));
    let later = |hours: u64| Ktime(SECOND * 3_600 * hours);
    assert_eq!(next(&turns, &all, later(1)), Some((id(1), Why::InTurn)), "the others get their turns");
    turns.began(&all[0], Why::InTurn, later(1));
    turns.ended(id(1), Duration::ZERO, later(1));
    assert_eq!(next(&turns, &all, later(2)), Some((id(2), Why::InTurn)), "it has not grown since");
    let all = [all[0], all[1], grown(3, 80), all[3]];
    assert_eq!(next(&turns, &all, later(2)), Some((id(3), Why::Grown)));
}

#[test]
fn whoever_is_asked_for_is_studied_instead_and_later_for_the_other_reason() {
    let mut turns = turns();
    let all = [candidate(1, true), candidate(2, false), candidate(3, false)];
    turns.began(&all[0], Why::Suspected, Ktime(0));
    assert_eq!(turns.admit(&all[0]), Ok(()));
    turns.began(&all[0], Why::Asked, Ktime(1));
    assert_eq!(turns.admit(&all[0]), Err(NotNow::UnderWay));
    assert_eq!(next(&turns, &all[..1], Ktime(2)), None, "it is under way");
    turns.began(&all[1], Why::Asked, Ktime(2));
    assert_eq!(turns.admit(&all[2]), Err(NotNow::NoRoom));
    // However much it has used, the others' turn comes.
    turns.ended(id(1), Duration::from_secs(1_000), Ktime(3));
    assert_eq!(next(&turns, &all, Ktime(4)), Some((id(1), Why::Suspected)));
    assert_eq!(next(&turns, &all[2..], Ktime(4)), Some((id(3), Why::InTurn)));
    let large = Candidate { goroutines: MOST_GOROUTINES + 1, ..all[2] };
    assert_eq!(turns.admit(&large), Err(NotNow::TooLarge(MOST_GOROUTINES + 1)));
}
