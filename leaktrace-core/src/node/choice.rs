//! Whom a profile of the whole node has in it, and what it says of those that it has not.

/// How much a profile of the whole node has in it at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Processes.
    pub processes: usize,
    /// Goroutines of all of them together.
    pub goroutines: u64,
}

/// A process that may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<T> {
    /// Which one.
    pub process: T,
    /// How many goroutines it has, as far as is known.
    pub goroutines: u64,
    /// Whether something is suspected of it, or found: those come first.
    pub is_suspect: bool,
}

/// How many processes are not in it, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// There was no room for more processes.
    pub beyond_processes: u64,
    /// There was no room for their goroutines.
    pub beyond_goroutines: u64,
    /// They are not looked at: they cannot be, or have not been yet.
    pub unwatched: u64,
    /// They could not be read, or have gone meanwhile.
    pub unreadable: u64,
    /// The time was over.
    pub late: u64,
    /// The profile had become as large as it may.
    pub beyond_size: u64,
}

/// Those that there is room for, the suspects first and then those with the fewest goroutines, so that as many as can be are in it.
pub fn choose<T>(mut candidates: Vec<Wanted<T>>, most: Most) -> (Vec<T>, LeftOut) {
    candidates.sort_by_key(|one| (!one.is_suspect, one.goroutines));
    let (mut chosen, mut left_out, mut goroutines) = (Vec::new(), LeftOut::default(), 0_u64);
    for one in candidates {
        if chosen.len() >= most.processes {
            left_out.beyond_processes += 1;
        } else if goroutines.saturating_add(one.goroutines) > most.goroutines {
            left_out.beyond_goroutines += 1;
        } else {
            goroutines += one.goroutines;
            chosen.push(one.process);
        }
    }
    (chosen, left_out)
}

impl LeftOut {
    /// What a profile of `taken` processes says of itself: a remark on all, and one for each reason that there is.
    pub fn remarks(&self, taken: u64, most: Most) -> Vec<String> {
        let Self { beyond_processes, beyond_goroutines, unwatched, unreadable, late, beyond_size } = *self;
        let all = taken + beyond_processes + beyond_goroutines + unwatched + unreadable + late + beyond_size;
        let Most { processes, goroutines } = most;
        let reasons = [
            (beyond_processes, format!("{processes} are in it already, which is the limit")),
            (
                beyond_goroutines,
                format!("their goroutines exceed the limit of {goroutines} for all together"),
            ),
            (unwatched, "they are not watched, or an earlier dump of them did not return".to_owned()),
            (unreadable, "they could not be read".to_owned()),
            (late, "the time was over".to_owned()),
            (beyond_size, "the profile would have become too large".to_owned()),
        ];
        let reasons = reasons.into_iter().filter(|(count, _)| *count > 0);
        let reasons = reasons.map(|(count, why)| format!("left out: {}: {why}", processes_of(count)));
        std::iter::once(format!("leaktrace: {taken} of {}", processes_of(all))).chain(reasons).collect()
    }
}

fn processes_of(count: u64) -> String {
    format!("{count} Go process{}", if count == 1 { "" } else { "es" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { processes: 3, goroutines: 100 };

    fn candidate(process: u32, goroutines: u64, is_suspect: bool) -> Wanted<u32> {
        Wanted { process, goroutines, is_suspect }
    }

    #[test]
    fn suspects_come_first_and_then_as_many_as_can_be() {
        let all = vec![
            candidate(1, 60, false),
            candidate(2, 10, false),
            candidate(3, 50, true),
            candidate(4, 20, false),
            candidate(5, 21, false),
        ];
        let (chosen, left_out) = choose(all, MOST);
        assert_eq!(chosen, [3, 2, 4]);
        assert_eq!(left_out, LeftOut { beyond_processes: 2, ..LeftOut::default() });
    }

    #[test]
    fn one_that_is_too_large_costs_the_others_no_place() {
        let all = vec![candidate(1, u64::MAX, true), candidate(2, 100, false), candidate(3, 1, false)];
        let (chosen, left_out) = choose(all, MOST);
        assert_eq!(chosen, [3]);
        assert_eq!(left_out, LeftOut { beyond_goroutines: 2, ..LeftOut::default() });
    }

    #[test]
    fn whoever_is_left_out_is_told_of() {
        assert_eq!(LeftOut::default().remarks(2, MOST), ["leaktrace: 2 of 2 Go processes"]);
        let left_out = LeftOut {
            beyond_processes: 1,
            beyond_goroutines: 2,
            unwatched: 3,
            unreadable: 4,
            late: 5,
            beyond_size: 6,
        };
        let remarks = left_out.remarks(1, MOST);
        assert_eq!(remarks[0], "leaktrace: 1 of 22 Go processes");
        assert_eq!(remarks[1], "left out: 1 Go process: 3 are in it already, which is the limit");
        assert_eq!(remarks.len(), 7);
    }
}
