//! Does what targets want.

use std::sync::Arc;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::session::{Class, Counted, Told, Want};
use leaktrace_core::trace::recording::Header;

use super::discovery::screen;
use super::engine::Engine;
use super::jobs::{self, Answer};
use super::member::{Key, Order};
use super::recorder::Recorder;
use super::reporting;
use crate::clock;
use crate::process::cpu;

/// How many records are taken at a time before anybody else's turn.
const BATCH: usize = 1 << 14;

/// What the ring adds to each record, in bytes.
const RING_HEADER: usize = 8;

impl Engine<'_> {
    /// Does all that a target wants now.
    pub(super) fn serve(&mut self, key: Key) -> anyhow::Result<()> {
        let now = clock::now();
        loop {
            let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
            let Some(want) = member.target.as_mut().and_then(|target| target.wants(now)) else {
                return Ok(());
            };
            match self.perform(key, want) {
                Ok(Some(told)) => self.tell(key, told)?,
                Ok(None) => {}
                Err(error) => self.fail(key, error)?,
            }
        }
    }

    /// Does one thing, or begins it; what is to be told of it at once.
    fn perform(&mut self, key: Key, want: Want) -> anyhow::Result<Option<Told>> {
        match want {
            Want::Prepare => {
                let screening = self.members.get(&key).and_then(|member| member.screening.clone());
                self.order(key, Class::Awaited, screening.map_or(Order::Inspect, Order::Screen));
            }
            Want::Confirm => self.order(key, Class::Awaited, Order::Confirm),
            Want::Walk { urgent, streaks } => {
                if let Some(recorder) = self.recorder(key) {
                    recorder.asked();
                }
                self.order(key, if urgent { Class::Awaited } else { Class::Look }, Order::Walk(streaks));
            }
            Want::HeapPass(streaks) => self.order(key, Class::Heap, Order::HeapPass(streaks)),
            Want::Hurry => self.hurry(key),
            Want::Attach(leases) => self.attach(key, *leases)?,
            Want::Drain => return Ok(self.drain(key)),
            Want::Check => return self.check(key),
            Want::Keep { last } => {
                let Some(member) = self.members.get_mut(&key) else { return Ok(None) };
                if let Some((recorder, recorded)) = member.recorder.as_mut().zip(member.recorded.take()) {
                    recorder.walked(recorded, last);
                }
            }
            Want::Report { last } => self.begin_report(key, last)?,
            Want::Detach => return self.detach(key),
            Want::Close(reason) => self.end(key, reason)?,
        }
        Ok(None)
    }

    fn order(&mut self, key: Key, class: Class, order: Order) {
        if let Some(member) = self.members.get_mut(&key) {
            member.orders.insert(class, order);
            self.queue.push(key, class);
        }
    }

    /// Somebody waits for the look of this target by now.
    fn hurry(&mut self, key: Key) {
        let Some(member) = self.members.get_mut(&key) else { return };
        if self.queue.promote(key)
            && let Some(order) = member.orders.remove(&Class::Look)
        {
            member.orders.insert(Class::Awaited, order);
        }
    }

    /// Begins a job whose turn it is.
    pub(super) fn begin_job(&mut self, key: Key, class: Class) -> anyhow::Result<()> {
        let Some(job) = self.job(key, class) else {
            self.queue.done(key, class, clock::now());
            return Ok(());
        };
        match self.workers.submit(move || jobs::counted(job)) {
            Ok(job) => self.events.await_job(key, Some(class), job),
            Err(refused) => {
                self.queue.done(key, class, clock::now());
                self.fail(key, refused.into())?;
            }
        }
        Ok(())
    }

    fn job(&mut self, key: Key, class: Class) -> Option<Box<dyn FnOnce() -> Answer + Send>> {
        let probing = self.probing.clone();
        let (procfs, is_launched) = (self.procfs.clone(), self.launched.is_some());
        let is_leaving = self.launched.as_ref().map(|launched| launched.program.is_leaving());
        let is_recorded = self.recording.is_some();
        let member = self.members.get_mut(&key)?;
        let order = member.orders.remove(&class)?;
        let (pid, inspected) = (member.process.pid, member.inspected.clone());
        if let Order::Screen(matcher) = order {
            return Some(Box::new(move || {
                Answer::Screened(screen(&procfs, pid, |exe, comm| matcher.matches(exe, comm)))
            }));
        }
        if let Order::Inspect = order {
            return Some(Box::new(move || jobs::inspect(&procfs, pid, is_launched, is_recorded)));
        }
        let inspected = inspected?;
        Some(match order {
            Order::Screen(_) | Order::Inspect => return None,
            Order::Plan => Box::new(move || jobs::plan(&inspected, probing.as_ref(), is_launched)),
            Order::Confirm => {
                let is_leaving = is_leaving.unwrap_or_default();
                Box::new(move || jobs::confirm_layout(&inspected, &is_leaving))
            }
            Order::Walk(streaks) => {
                let observer = member.observer.take()?;
                Box::new(move || jobs::walk(observer, &streaks, &inspected))
            }
            Order::HeapPass(streaks) => {
                let stop = Arc::clone(&member.stop);
                Box::new(move || jobs::scan_heap(&inspected, &streaks, &stop))
            }
        })
    }

    pub(super) fn begin_recording(&mut self, key: Key, at: Ktime, counted: &Counted) -> anyhow::Result<()> {
        let (Some(recording), Some(member)) = (self.recording.take(), self.members.get_mut(&key)) else {
            return Ok(());
        };
        let (Some(inspected), Some(target)) = (&member.inspected, &member.target) else { return Ok(()) };
        let header = Header {
            format: Header::FORMAT.to_owned(),
            leaktrace: env!("CARGO_PKG_VERSION").to_owned(),
            target: reporting::about(inspected),
            attached_at: at,
            attached_unix_ns: clock::unix_ns(),
            probes: self.config.tracing.probes.iter().map(|kind| kind.as_str().to_owned()).collect(),
            wait_reasons: inspected.program().wait_reasons.iter().map(str::to_owned).collect(),
            notices: target.notices().to_vec(),
            sites: target.sites().to_vec(),
        };
        member.recorder = Some(Recorder::start(recording, &header, inspected.clone())?);
        member.metered = counted.reading;
        Ok(())
    }

    pub(super) fn recorder(&mut self, key: Key) -> Option<&mut Recorder> {
        self.members.get_mut(&key)?.recorder.as_mut()
    }

    /// Hands over the records of one batch.
    fn drain(&mut self, key: Key) -> Option<Told> {
        let (hub, member) = (self.hub.as_mut()?, self.members.get_mut(&key)?);
        let (target, recorder) = (member.target.as_mut()?, &mut member.recorder);
        let mut bytes = 0;
        if let Some((recorder, at)) = recorder.as_mut().zip(target.ends_at()) {
            recorder.ends(at);
        }
        let before = cpu::used_by_this_thread();
        let drained = hub.drain(member.probes.as_ref()?.id(), BATCH, |record| {
            bytes += record.len() + RING_HEADER;
            if let Some(recorder) = recorder {
                recorder.record(record);
            }
            if let Err(error) = target.record(record) {
                tracing::debug!(%error, "a record cannot be decoded");
            }
        });
        target.count_foreign(drained.foreign);
        let handling = cpu::used_by_this_thread().saturating_sub(before);
        member.handling_cpu += handling;
        member.records += drained.records as u64;
        self.handled += handling;
        Some(Told::Drained { bytes, more: drained.more })
    }
}
