//! From the registry, the last snapshot and the program's symbols to a [`Report`].
//!
//! Who is alive, since when and in which state is the registry's word; where a goroutine stands and how large its
//! stack is, the snapshot's. Every site's two addresses are looked up, to group and to leave out the runtime's
//! own; stacks only of groups that are listed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use leaktrace_common::event::Kind;

use super::frames::creators;
use super::gather::{self, Doing, Tally};
use super::origin::{Accused, Origins};
use super::{Sort, View, completeness, ignored};
use crate::base::num::Ktime;
use crate::base::time::nanoseconds;
use crate::go::goroutines::{Snapshot, StackId};
use crate::go::own::Own;
use crate::go::pclntab::FuncId;
use crate::go::symbols::{Names, Symbols};
use crate::go::traceback;
use crate::judge::detect::{Finding, Ignore};
use crate::judge::incidents::{Kin, incidents};
use crate::schema::Verdict;
use crate::schema::{
    Blocked, Frame, Group, Listing, Location, NotListed, Overhead, Report, SCHEMA_VERSION, TargetInfo,
    Totals, Traced, Window,
};
use crate::trace::registry::{CreatorStack, Registry, Site};

/// How many different stacks of one group are looked up.
pub(super) const MAX_PLACES: usize = 256;

/// All that a report is made of.
#[derive(Clone)]
pub struct Sources<'a> {
    /// The process.
    pub target: TargetInfo,
    /// Its goroutines.
    pub registry: &'a Registry,
    /// The last snapshot that the registry has taken in.
    pub snapshot: Option<&'a Snapshot>,
    /// Its names.
    pub symbols: &'a dyn Symbols,
    /// When the report is made, in the time of events.
    pub now: Ktime,
    /// The same in nanoseconds since 1970.
    pub unix_ns: Option<u64>,
    /// The kinds of events that were asked for.
    pub probes: &'a [Kind],
    /// What the kernel side and the decoder counted.
    pub traced: Traced,
    /// What tracing cost.
    pub overhead: Overhead,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// Which goroutines are left out of the groups.
    pub ignore: &'a Ignore,
    /// Which code is the user's own.
    pub own: &'a Own,
    /// What users should know about this run.
    pub notices: Vec<String>,
}

/// The report on `sources`, as far as `view` wants it.
pub fn build(sources: Sources<'_>, view: &View) -> Report {
    let mut builder = Builder {
        names: Names::new(sources.symbols),
        origins: Origins::new(sources.registry, sources.snapshot, sources.own, &sources.findings),
        registry: sources.registry,
        snapshot: sources.snapshot,
        view,
        now: sources.now,
    };
    let tallies = gather::by_site(sources.registry, sources.snapshot, sources.now, nanoseconds(view.min_age));
    let (mut candidates, runtime_hidden) = builder.group(tallies);
    let totals = builder.totals(&candidates, runtime_hidden);
    let ignored_live = builder.take_ignored(&mut candidates, sources.ignore);
    let (listed, not_listed) = select(candidates, view);
    let not_listed = NotListed { ignored_live, ..not_listed };
    let groups = listed.into_iter().map(|candidate| builder.describe(candidate)).collect();
    let found = sources.findings.into_iter().map(|finding| builder.verdict(finding)).collect();
    let unreadable = sources.snapshot.map_or(0, |snapshot| snapshot.unreadable + snapshot.beyond_limit);
    Report {
        schema_version: SCHEMA_VERSION,
        target: sources.target,
        window: Window {
            duration_ns: builder.now.since(sources.registry.attached_at()),
            ended_unix_ns: sources.unix_ns,
            probes: sources.probes.iter().map(|kind| kind.as_str().to_owned()).collect(),
        },
        view: listing(view),
        totals,
        incidents: incidents(found),
        sources: Vec::new(),
        groups,
        not_listed,
        completeness: completeness(&sources.traced, sources.registry.counts(), unreadable),
        overhead: sources.overhead,
        notices: sources.notices,
    }
}

fn listing(view: &View) -> Listing {
    Listing {
        min_age_ns: nanoseconds(view.min_age),
        sort: view.sort.as_str().to_owned(),
        include_runtime: view.include_runtime,
    }
}

/// A group of which no more than its place and its numbers are known.
struct Candidate {
    created_by: Location,
    tally: Tally,
}

struct Builder<'a> {
    names: Names<'a>,
    origins: Origins<'a>,
    registry: &'a Registry,
    snapshot: Option<&'a Snapshot>,
    view: &'a View,
    now: Ktime,
}

impl Builder<'_> {
    /// Takes the groups out that nobody wants to hear about, and says how many goroutines they have.
    fn take_ignored(&mut self, groups: &mut Vec<Candidate>, ignore: &Ignore) -> u64 {
        let (snapshot, names) = (self.snapshot, &mut self.names);
        let is_ignored = |group: &mut Candidate| {
            ignored::is_ignored(&group.created_by, &group.tally, snapshot, names, ignore)
        };
        groups.extract_if(.., is_ignored).map(|group| group.tally.live()).sum()
    }

    /// Merges the sites of each `go` statement; leaves out those of the runtime's own goroutines, whose number
    /// is returned.
    fn group(&mut self, tallies: Vec<Tally>) -> (Vec<Candidate>, u64) {
        let mut groups: BTreeMap<_, Candidate> = BTreeMap::new();
        let mut hidden = 0;
        for tally in tallies {
            let Some(id) = tally.sites.first() else { continue };
            let site = self.registry.site(*id);
            if tally.before_attach + tally.born == 0 {
                continue;
            }
            let started = self.names.function(site.start_pc);
            let of_runtime =
                started.is_some_and(|started| traceback::is_started_by_runtime(started.function, started.id));
            if of_runtime && !self.view.include_runtime {
                hidden += tally.live();
                continue;
            }
            let created_by = self.names.created_by(site.creation_pc);
            match groups.entry(key(&created_by)) {
                Entry::Vacant(slot) => {
                    slot.insert(Candidate { created_by, tally });
                }
                Entry::Occupied(known) => {
                    known.into_mut().merge(created_by, tally);
                }
            }
        }
        (groups.into_values().collect(), hidden)
    }

    fn totals(&self, groups: &[Candidate], runtime_hidden: u64) -> Totals {
        let sum = |of: fn(&Tally) -> u64| groups.iter().map(|group| of(&group.tally)).sum::<u64>();
        let (live, live_at_first) = (sum(Tally::live), sum(|tally| tally.live_at_first));
        Totals {
            live,
            born: sum(|tally| tally.born),
            ended: sum(|tally| tally.ended),
            before_attach: sum(|tally| tally.before_attach),
            net_per_minute: self.registry.net_per_minute(live, live_at_first, self.now),
            runtime_hidden,
            stack_bytes: sum(|tally| tally.stack_bytes),
        }
    }

    fn describe(&mut self, candidate: Candidate) -> Group {
        let Candidate { created_by, mut tally } = candidate;
        let (oldest, median) = (tally.oldest(), tally.median());
        let blocked_at = self.blocked_at(&tally);
        let standing: u64 = blocked_at.iter().map(|blocked| blocked.count).sum();
        let (creation_stack, other_creation_stacks) = self.creation_stack(&tally);
        Group {
            start_function: self.start_function(&tally, &blocked_at),
            live: tally.live(),
            long_lived: tally.long_lived,
            born: tally.born,
            ended: tally.ended,
            before_attach: tally.before_attach,
            net_per_minute: self.net_per_minute(&tally),
            oldest_age_ns: oldest.map(|age| age.ns),
            median_age_ns: median.map(|age| age.ns),
            age_is_lower_bound: oldest.is_some_and(|age| age.at_least),
            median_is_lower_bound: median.is_some_and(|age| age.at_least),
            longest_wait_ns: tally.longest_wait.map(|wait| wait.ns),
            longest_wait_is_lower_bound: tally.longest_wait.is_some_and(|wait| wait.at_least),
            wait_reasons: self.wait_reasons(&tally),
            blocked_elsewhere: tally.live().saturating_sub(standing),
            blocked_at,
            own_line: self.origins.of_lineages(&tally.lineages, &mut self.names),
            creation_stack,
            other_creation_stacks,
            stack_bytes: tally.stack_bytes,
            created_by,
        }
    }

    /// A verdict with the stack that created its goroutines, and what it may have in common with others.
    fn verdict(&mut self, finding: Finding) -> (Verdict, Kin) {
        let Self { names, origins, registry, .. } = self;
        let origin = origins.of(&Accused::of(&finding), names);
        let seen = registry.lineage(origin.lineage).filter(|lineage| !lineage.stack.is_empty());
        let creation_stack = if let Some(lineage) = seen {
            creators(&lineage.stack, lineage.complete, names)
        } else {
            let sites = finding.sites.iter().map(|id| registry.site(*id));
            self.most_frequent(sites.flat_map(Site::creators).collect()).0
        };
        let kin = Kin { ties: finding.ties.clone(), ..origin.kin };
        (finding.with_origin(creation_stack, origin.line), kin)
    }

    /// Births less ends in a minute, to a thousandth.
    fn net_per_minute(&self, tally: &Tally) -> Option<f64> {
        self.registry.net_per_minute(tally.live(), tally.live_at_first, self.now)
    }

    fn doing(&self, doing: Doing) -> String {
        match doing {
            Doing::Other(status) => status.to_owned(),
            Doing::Waiting(reason) => match self.names.wait_reason(reason) {
                Some("") => "waiting".to_owned(),
                Some(name) => name.to_owned(),
                None => format!("wait reason {reason}"),
            },
        }
    }

    fn wait_reasons(&self, tally: &Tally) -> BTreeMap<String, u64> {
        let mut names = BTreeMap::new();
        for (doing, count) in &tally.doing {
            *names.entry(self.doing(*doing)).or_default() += count;
        }
        names
    }

    /// The places where most goroutines stand. Stacks that differ in hidden frames only are one place.
    fn blocked_at(&mut self, tally: &Tally) -> Vec<Blocked> {
        let Some(snapshot) = self.snapshot else { return Vec::new() };
        let mut stacks: Vec<((StackId, Doing), u64)> = tally.places.iter().map(|(k, v)| (*k, *v)).collect();
        stacks.sort_unstable_by_key(|&(place, count)| (Reverse(count), place));
        let mut places: BTreeMap<(String, Vec<Frame>), u64> = BTreeMap::new();
        for ((stack, doing), count) in stacks.into_iter().take(MAX_PLACES) {
            let Some(stack) = snapshot.stacks.get(stack) else { continue };
            let mut frames = self.names.stack(stack.pcs);
            if let Some((at, missing)) = stack.end.cut().filter(|_| !frames.is_empty()) {
                frames.push(Frame::missing(at, missing));
            }
            if !frames.is_empty() {
                *places.entry((self.doing(doing), frames)).or_default() += count;
            }
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by_key(|(_, count)| Reverse(*count));
        places.truncate(self.view.places);
        places.into_iter().map(|((reason, stack), count)| Blocked::new(reason, stack, count)).collect()
    }

    /// The function that most goroutines were started with. Where that is a wrapper which the compiler made for
    /// the `go` statement's arguments, the function that it calls, as their stacks show it.
    fn start_function(&mut self, tally: &Tally, blocked_at: &[Blocked]) -> Option<String> {
        let sites = tally.sites.iter().map(|id| self.registry.site(*id));
        let site = sites.max_by_key(|site| (site.live(), site.born, Reverse(site.start_pc)))?;
        let symbol = self.names.function(site.start_pc)?;
        let outermost = || blocked_at.first()?.stack.last()?.function.clone();
        let wrapped = if symbol.id == FuncId::Wrapper { outermost() } else { None };
        wrapped.or_else(|| Some(symbol.display_name()))
    }

    /// The stack that most births came from, and how many others are kept.
    fn creation_stack(&mut self, tally: &Tally) -> (Vec<Frame>, u64) {
        let sites = tally.sites.iter().map(|id| self.registry.site(*id));
        self.most_frequent(sites.flat_map(Site::creators).collect())
    }

    fn most_frequent(&mut self, mut stacks: Vec<&CreatorStack>) -> (Vec<Frame>, u64) {
        stacks.sort_by_key(|stack| (Reverse(stack.births), Reverse(stack.complete), &stack.pcs));
        let most = stacks.first().map(|stack| creators(&stack.pcs, stack.complete, &mut self.names));
        (most.unwrap_or_default(), stacks.len().saturating_sub(1) as u64)
    }
}

type Key = (Option<String>, Option<String>, Option<u32>, Option<String>);

/// What makes a group: the place of the `go` statement, or its address where the place is not known.
fn key(location: &Location) -> Key {
    let pc = location.function.is_none().then(|| location.pc.clone());
    (location.function.clone(), location.file.clone(), location.line, pc)
}

impl Candidate {
    /// Takes in another site of the same `go` statement; the address shown is that of the one with more alive.
    fn merge(&mut self, created_by: Location, tally: Tally) {
        if tally.live() > self.tally.live() {
            self.created_by = created_by;
        }
        self.tally.merge(tally);
    }

    fn sort_key(&self, sort: Sort) -> impl Ord + use<> {
        let tally = &self.tally;
        let oldest = tally.oldest().map(|age| age.ns);
        let first = match sort {
            Sort::Live => i128::from(tally.long_lived),
            Sort::Age => oldest.map_or(-1, i128::from),
            Sort::Net => i128::from(tally.live()) - i128::from(tally.live_at_first),
            Sort::Born => i128::from(tally.born),
            Sort::Stack => i128::from(tally.stack_bytes),
        };
        (first, tally.live(), oldest)
    }
}

/// The groups to list, in order; they come in the order of their names, which equal ones keep.
fn select(mut groups: Vec<Candidate>, view: &View) -> (Vec<Candidate>, NotListed) {
    let live = |groups: &[Candidate]| groups.iter().map(|group| group.tally.live()).sum();
    let is_old = |group: &Candidate| group.tally.long_lived > 0 || view.min_age.is_zero();
    let young: Vec<Candidate> = groups.extract_if(.., |group| !is_old(group)).collect();
    let (young, ended): (Vec<_>, Vec<_>) = young.into_iter().partition(|group| group.tally.live() > 0);
    groups.sort_by_cached_key(|group| Reverse(group.sort_key(view.sort)));
    let further = groups.split_off(view.top.unwrap_or(usize::MAX).min(groups.len()));
    let not_listed = NotListed {
        young_groups: young.len() as u64,
        young_live: live(&young),
        ended_groups: ended.len() as u64,
        further_groups: further.len() as u64,
        further_live: live(&further),
        ..NotListed::default()
    };
    (groups, not_listed)
}
