//! From what is known of a target to a report.

use leaktrace_common::event::Kind;

use super::target::Phase;
use super::{Counted, Reading, Spending, Target};
use crate::base::num::{Goid, Ktime};
use crate::go::own::Own;
use crate::go::symbols::Symbols;
use crate::judge::detect::{self, Policy, UNREACHABLE};
use crate::report::{Sources, View, build};
use crate::schema::{self, Overhead, Report, Shed, Traced};
use crate::trace::budget;

/// What a report is made of beside the target itself.
pub struct ReportInputs<'a> {
    /// What the process is.
    pub about: schema::TargetInfo,
    /// Its names.
    pub symbols: &'a dyn Symbols,
    /// The kinds of events that were asked for.
    pub probes: &'a [Kind],
    /// What is judged, and how.
    pub policy: &'a Policy,
    /// What of it is wanted.
    pub view: &'a View,
    /// What its probes cost, and what was left out.
    pub spending: &'a Spending,
    /// The time of day in nanoseconds since 1970, if that is known.
    pub unix_ns: Option<u64>,
}

impl Target {
    /// The report on what is known `now`, with what was counted until now.
    pub fn report(&mut self, now: Ktime, counted: &Counted, inputs: ReportInputs<'_>) -> Report {
        let is_last = matches!(self.phase, Phase::Ending(_));
        let since = if is_last { &self.began } else { &self.reported };
        let overhead = overhead(&counted.reading, since, inputs.spending);
        self.reported = counted.reading;
        let facts = |goids: &[Goid]| detect::facts(&self.registry, now, goids);
        let own = Own::new(inputs.about.main_module.as_deref(), &inputs.policy.own);
        let sources = Sources {
            target: inputs.about,
            registry: &self.registry,
            snapshot: self.snapshot.as_ref(),
            symbols: inputs.symbols,
            now,
            unix_ns: inputs.unix_ns,
            probes: inputs.probes,
            traced: self.traced(counted),
            overhead,
            findings: detect::findings(&self.watched, inputs.policy, &facts),
            ignore: &inputs.policy.ignore,
            own: &own,
            notices: [self.notices.clone(), detect::hidden(&self.watched, inputs.policy, &facts)].concat(),
        };
        let mut report = build(sources, inputs.view);
        let heap = self.heap.passes();
        report.notices.extend(heap.refused.as_ref().map(|why| unsought(why)));
        report.notices.extend(self.seldom());
        report.notices.extend(self.watched.unjudged.notices());
        let unreached = self.unreached(counted.reading.hits.iter().sum());
        report.completeness.unreached = unreached.is_some();
        report.notices.extend(unreached);
        report.completeness.heap = heap.clone();
        report.completeness.note_sites(&self.sites, &self.registry);
        report
    }

    /// What the kernel side and the decoder have counted.
    pub fn traced(&self, counted: &Counted) -> Traced {
        Traced {
            produced: counted.reading.hits.iter().sum(),
            decoded: self.tally.decoded,
            undecodable: self.tally.undecodable,
            dropped: counted.dropped,
        }
    }
}

/// What tracing cost between two readings.
pub fn overhead(reading: &Reading, last: &Reading, spending: &Spending) -> Overhead {
    Overhead {
        events_per_second: reading.events_per_second(last),
        target_cpu_percent_estimate: Some(spending.costs.of(&reading.since(last)) * 100.0),
        own_cpu_percent: Some(reading.own_percent(last)),
        shed: spending.shed.iter().map(shed).collect(),
    }
}

fn shed(shed: &budget::Shed) -> Shed {
    Shed { what: shed.what.as_str().to_owned(), duration_ns: shed.nanoseconds, now: shed.now }
}

/// What users should know where the heap was not looked through.
fn unsought(why: &str) -> String {
    format!("{UNREACHABLE} was not checked: {why}")
}
