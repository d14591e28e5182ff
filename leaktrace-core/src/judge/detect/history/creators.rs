//! Who may have started goroutines, by whose stacks are there: before Go 1.21 the runtime does not say it.

use std::collections::{BTreeMap, BTreeSet};

use super::partners::connection_of;
use crate::base::num::nearly_all;
use crate::judge::detect::watched::Cohort;

/// Counts on how many living stacks the functions stand that started the goroutines of those cohorts that grow. Releases before
/// Go 1.21 do not say who started whom: there, one that stands as often as there are goroutines is taken for theirs, and those
/// that serve requests have their partner in a connection that is read from.
pub(super) fn find_creators(cohorts: &mut [(u32, Cohort)]) {
    let asks = |cohort: &Cohort| cohort.trend.is_some() || cohort.site_trend.is_some();
    let creator = |cohort: &Cohort| cohort.standing.created_by.function.clone();
    let asked = cohorts.iter().filter(|(_, cohort)| asks(cohort));
    let names = asked.flat_map(|(_, cohort)| {
        creator(cohort).into_iter().chain(connection_of(&cohort.standing).map(str::to_owned))
    });
    let mut standing: BTreeMap<String, u64> = names.map(|name| (name, 0)).collect();
    if standing.is_empty() {
        return;
    }
    count_stacks(cohorts, &mut standing);
    let count = |function: &str| standing.get(function).copied().unwrap_or(0);
    for (_, cohort) in cohorts.iter_mut().filter(|(_, cohort)| asks(cohort)) {
        cohort.creators = creator(cohort).map_or(0, |function| count(&function));
        let is_served = connection_of(&cohort.standing).is_some_and(|connection| count(connection) > 0);
        let has_partners = is_served || nearly_all(cohort.creators, cohort.live);
        cohort.is_accompanied |= cohort.parents_known == 0 && has_partners;
    }
}

/// Counts for each function on how many stacks it stands, but for those of the goroutines that it started.
fn count_stacks(cohorts: &[(u32, Cohort)], standing: &mut BTreeMap<String, u64>) {
    for (_, cohort) in cohorts {
        let own = cohort.standing.created_by.function.as_deref();
        let functions = cohort.standing.stack.iter().filter_map(|frame| frame.function.as_deref());
        let others = functions.filter(|function| Some(*function) != own && standing.contains_key(*function));
        // One that calls itself stands once.
        for function in others.collect::<BTreeSet<_>>() {
            if let Some(count) = standing.get_mut(function) {
                *count += cohort.live;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::history::Trend;
    use crate::judge::detect::observation::{Standing, made_up};
    use crate::schema::{Frame, Location};

    #[test]
    fn before_go_1_21_the_function_that_started_them_is_looked_for() {
        let trend = Trend::made_up();
        let frame =
            |function: &str| Frame { function: Some(function.to_owned()), file: None, line: None, pc: None };
        let cohort = |stack: &str, created_by: &str, live| {
            let created_by = Location { function: Some(created_by.to_owned()), ..made_up().created_by };
            let standing = Standing { stack: vec![frame(stack)], created_by, ..made_up() };
            Cohort { live, trend: Some(trend), ..Cohort::new(standing) }
        };
        let follows = |handlers| {
            let mut cohorts = vec![
                (0, cohort("main.send", "main.watch", 50)),
                (1, cohort("main.watch", "main.serve", handlers)),
            ];
            find_creators(&mut cohorts);
            [cohorts[0].1.is_accompanied, cohorts[1].1.is_accompanied]
        };
        assert_eq!(follows(50), [true, false]);
        assert_eq!(follows(40), [false, false], "some have returned");
        let mut known = vec![(0, Cohort { parents_known: 1, ..cohort("main.send", "main.send", 5) })];
        find_creators(&mut known);
        assert!(!known[0].1.is_accompanied);
    }

    #[test]
    fn before_go_1_21_streams_belong_to_the_connections_that_are_read_from() {
        let frame =
            |function: &str| Frame { function: Some(function.to_owned()), file: None, line: None, pc: None };
        let cohort = |start: &str, stack: &str, created_by: &str, live, trend| {
            let created_by = Location { function: Some(created_by.to_owned()), ..made_up().created_by };
            let start_function = Some(start.to_owned());
            let standing = Standing { stack: vec![frame(stack)], created_by, start_function, ..made_up() };
            Cohort { live, trend, ..Cohort::new(standing) }
        };
        let server = "google.golang.org/grpc.(*Server)";
        let follows = |parents_known, reader: &str| {
            let by = format!("{server}.serveStreams.func1");
            let streams = cohort(&format!("{by}.1"), "main.watch", &by, 50, Some(Trend::made_up()));
            let streams = Cohort { parents_known, ..streams };
            let readers = cohort(&format!("{server}.handleRawConn.func1"), reader, "main.accept", 2, None);
            let mut cohorts = vec![(0, streams), (1, readers)];
            find_creators(&mut cohorts);
            cohorts[0].1.is_accompanied
        };
        let reader = format!("{server}.serveStreams");
        assert!(follows(0, &reader));
        assert!(!follows(0, "main.other"), "their connections have gone");
        assert!(!follows(50, &reader), "who started them is known, and is not there");
    }
}
