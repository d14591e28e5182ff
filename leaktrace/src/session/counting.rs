//! What was counted, and what else is looked at a few times a second.

use std::time::Duration;

use leaktrace_common::drops::DropReason;
use leaktrace_core::session::{Counted, Reading, Spending, StopReason, Told, overhead};
use leaktrace_core::trace::recording::{Meter, Totals};

use super::engine::Engine;
use super::jobs::{self, Answer};
use super::member::Key;
use super::probes::Probes;
use super::recorder::Recorder;
use crate::clock;
use crate::kernel::{Counters, Hub};
use crate::process::cpu;

/// How often it is asked whether a process that is not traced runs something else by now, and one that is traced, whose
/// execs the kernel tells of: each time takes a thread, and a look finds it out as well.
const ASK: Duration = Duration::from_secs(1);
const ASK_TRACED: Duration = Duration::from_secs(2);

/// How often it is looked for mishaps, in nanoseconds: that asks for the counters of all targets.
const MISHAPS: u64 = 1_000_000_000;

impl Engine<'_> {
    /// What has been counted and used until now.
    pub(super) fn count(&mut self, key: Key) -> anyhow::Result<Counted> {
        let Some(member) = self.members.get_mut(&key) else { return Ok(Counted::default()) };
        let counters = match (&member.probes, &self.hub) {
            (Some(probes), Some(hub)) => probes.counters(hub)?,
            _ => Counters::default(),
        };
        let taken = member.target.as_ref().map(|target| target.tally().stacks);
        let stacks = taken.or(member.probes.as_ref().map(|probes| probes.stacks_taken)).unwrap_or(0);
        let target_cpu = member.used_cpu(self.procfs).unwrap_or_default();
        let keeper = self.hub.as_ref();
        let leaktrace_cpu = cpu::used_by_us() + keeper.map_or(Duration::ZERO, Hub::keeper_cpu);
        let kept = keeper.zip(member.probes.as_ref());
        let keeping = kept.map_or(Duration::ZERO, |(hub, probes)| hub.keeper_cpu_for(probes.id()));
        let at = clock::now();
        let traced = member.probes.as_ref().map_or(0, |probes| probes.traced(at));
        let dropped = DropReason::ALL.map(|reason| counters.dropped_for(reason));
        if let Some(probes) = &mut member.probes {
            probes.stacks_taken = stacks;
        }
        let (handling_cpu, own_cpu) = (member.handling_cpu, member.looks_cpu + member.loop_cpu + keeping);
        let hits = counters.hits;
        let records = member.records;
        let reading =
            Reading { at, traced, target_cpu, leaktrace_cpu, records, handling_cpu, own_cpu, hits, stacks };
        Ok(Counted { reading, dropped })
    }

    /// What is done a few times a second.
    pub(super) fn check(&mut self, key: Key) -> anyhow::Result<Option<Told>> {
        if self.has_execed(key) {
            return Ok(Some(Told::Stop(StopReason::Execed)));
        }
        self.tell_mishaps()?;
        self.ask(key);
        if let Some(why) = self.recorder(key).and_then(Recorder::take_break) {
            self.warn_of(&why);
            return Ok(Some(Told::Unrecorded(why)));
        }
        let wants_meter = self.recorder(key).is_some_and(|recorder| {
            recorder.flush();
            recorder.wants_meter()
        });
        if wants_meter {
            let counted = self.count(key)?;
            self.write_meter(key, &counted);
        }
        Ok(None)
    }

    pub(super) fn has_execed(&self, key: Key) -> bool {
        let probes = self.members.get(&key).and_then(|member| member.probes.as_ref());
        probes.zip(self.hub.as_ref()).is_some_and(|(probes, hub)| hub.has_execed(probes.id()))
    }

    /// Says once of each kind of event that something happened which never should.
    fn tell_mishaps(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        if now < self.mishaps_due {
            return Ok(());
        }
        self.mishaps_due = now.plus(MISHAPS);
        let mishaps = self.hub.as_mut().map(Hub::mishaps).transpose()?;
        for mishap in mishaps.into_iter().flatten() {
            tracing::warn!("{mishap}");
        }
        Ok(())
    }

    /// Asks, where it is time, whether a process runs something else by now.
    fn ask(&mut self, key: Key) {
        let Some(member) = self.members.get_mut(&key).filter(|member| !member.is_asked) else { return };
        let (pause, now) = (if member.probes.is_some() { ASK_TRACED } else { ASK }, clock::now());
        let Some(inspected) = member.inspected.clone() else { return };
        if u128::from(now.since(member.asked)) < pause.as_nanos() {
            return;
        }
        let asked = self.workers.submit(move || jobs::counted(|| Answer::Gone(jobs::gone(&inspected))));
        // Where no thread can be had, a look will find it out.
        if let Ok(job) = asked {
            (member.is_asked, member.asked) = (true, now);
            self.events.await_job(key, None, job);
        }
    }

    /// Tells the recording what was counted.
    pub(super) fn write_meter(&mut self, key: Key, counted: &Counted) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let (Some(recorder), Some(target)) = (&mut member.recorder, &member.target) else { return };
        let spending = member.probes.as_ref().map_or(Spending::NOTHING, Probes::spending);
        let traced = target.traced(counted);
        let names = DropReason::ALL.map(|reason| reason.as_str().to_owned());
        recorder.counted(Meter {
            unix_ns: clock::unix_ns(),
            produced: traced.produced,
            dropped: names.into_iter().zip(traced.dropped).collect(),
            overhead: overhead(&counted.reading, &member.metered, &spending),
            totals: Totals::default(),
        });
        member.metered = counted.reading;
    }
}
