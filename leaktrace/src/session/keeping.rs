//! What the keeper of the probes tells, and when their leases are renewed.

use std::sync::Arc;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::session::{Leases, Told};

use super::engine::Engine;
use super::jobs;
use super::member::{Key, Member};
use super::observer::Observer;
use super::probes::{ATTACH_WITHIN, Probes};
use super::reporting::Reporter;
use crate::clock;
use crate::kernel::{AttachError, Hub, KeeperEvent, TargetId};
use crate::signals::{self, Suspension};

impl Engine<'_> {
    /// Has what was loaded attached.
    pub(super) fn attach(&mut self, key: Key, leases: Leases) -> anyhow::Result<()> {
        let counted = self.count(key)?;
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        let loaded = member.loaded.take().unwrap_or(Ok(None));
        let attached = loaded.and_then(|loaded| match (loaded, &mut self.hub, &self.probing) {
            (Some(loaded), Some(hub), Some(probing)) => {
                Probes::attach(hub, loaded, &probing.options, leases, &counted.reading).map(Some)
            }
            (Some(_), None, _) => Err(AttachError::Keeper(std::io::Error::other("it has ended")).into()),
            _ => Ok(None),
        });
        match attached {
            Ok(probes) => {
                let is_awaited = probes.as_ref().is_some_and(|probes| probes.attaching_since.is_some());
                member.probes = probes;
                if is_awaited { Ok(()) } else { self.attached(key, counted.reading.at, None) }
            }
            Err(error) if self.launched.is_some() => self.untraced(key, counted.reading.at, &error),
            Err(error) => Err(error),
        }
    }

    fn untraced(&mut self, key: Key, at: Ktime, error: &anyhow::Error) -> anyhow::Result<()> {
        let notice = jobs::untraced(error);
        self.warn_of(&notice);
        self.attached(key, at, Some(notice))
    }

    /// Warns of what becomes a notice of the reports, unless people read those in the same place.
    pub(super) fn warn_of(&self, notice: &str) {
        if !self.config.writing.output.is_beside_warnings() {
            tracing::warn!("{notice}");
        }
    }

    /// All that can be traced is, and what goes with it begins.
    fn attached(&mut self, key: Key, at: Ktime, untraced: Option<String>) -> anyhow::Result<()> {
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        let (inspected, facts) = (member.inspected.clone(), member.facts.take());
        if let Some(inspected) = inspected {
            let code = member.code.take().filter(|_| member.probes.is_some());
            member.observer = Some(Box::new(Observer::new(inspected.clone(), facts, code)));
            let shared = Arc::clone(&self.shared);
            member.reporter = Some(Box::new(Reporter::new(inspected, shared, (self.make_pass)())));
        }
        if let Some(launched) = &self.launched {
            launched.program.release(launched.at_exit || member.probes.is_none());
        }
        let counted = self.count(key)?;
        self.tell(key, Told::Attached { at, counted, untraced })?;
        self.begin_recording(key, at, &counted)
    }

    /// Takes notice of all that the keeper has told.
    pub(super) fn hear_keeper(&mut self) -> anyhow::Result<()> {
        loop {
            match self.hub.as_mut().map_or(Ok(None), Hub::next_event) {
                Ok(Some(event)) => self.keeper_told(event)?,
                Ok(None) => return Ok(()),
                Err(error) => return self.lost_keeper(&error),
            }
        }
    }

    /// Sees to it that the keeper is not stopped.
    pub(super) fn watch_keeper(&mut self) -> anyhow::Result<()> {
        match self.hub.as_mut().map_or(Ok(()), Hub::watch_keeper) {
            Ok(()) => Ok(()),
            Err(error) => self.lost_keeper(&error),
        }
    }

    fn keeper_told(&mut self, event: KeeperEvent) -> anyhow::Result<()> {
        match event {
            KeeperEvent::Leased { id, at, kinds, refused } => {
                let Some((key, probes)) = self.probes_of(id) else { return Ok(()) };
                probes.leased(at, kinds);
                match (probes.attaching_since.take(), refused) {
                    (Some(since), None) => self.attached(key, since, None),
                    (Some(since), Some(refused)) => self.refused(key, since, refused),
                    (None, Some(refused)) => {
                        // Gone, or become another program: that is found out elsewhere.
                        tracing::debug!(%refused, "probes could not be attached again");
                        Ok(())
                    }
                    (None, None) => Ok(()),
                }
            }
            KeeperEvent::Ended { id, at, end } => {
                tracing::trace!(?end, %id, "a lease has ended");
                if let Some((_, probes)) = self.probes_of(id) {
                    probes.ended(at);
                }
                Ok(())
            }
            KeeperEvent::Detached { id } => {
                let key = self.probes_of(id).map(|(key, _)| key);
                let awaited = self.detaching.extract_if(.., |detaching| Some(*detaching) == key).count() > 0;
                key.filter(|_| awaited).map_or(Ok(()), |key| self.tell(key, Told::Detached))
            }
        }
    }

    /// The first probes of a target are refused.
    fn refused(&mut self, key: Key, at: Ktime, refused: AttachError) -> anyhow::Result<()> {
        let probes = self.members.get_mut(&key).and_then(|member| member.probes.take());
        if let Some((probes, hub)) = probes.zip(self.hub.as_mut()) {
            hub.remove(probes.id());
        }
        if self.launched.is_some() {
            self.untraced(key, at, &refused.into())
        } else {
            self.fail(key, refused.into())
        }
    }

    /// Without a keeper there are no probes, and there is nothing more to be said of what was traced.
    fn lost_keeper(&mut self, error: &AttachError) -> anyhow::Result<()> {
        self.hub = None;
        self.events.forget_hub();
        let traced = self.members.iter().filter(|(_, member)| member.probes.is_some());
        let keys: Vec<Key> = traced.map(|(key, _)| *key).collect();
        let cause = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
        let lost = || AttachError::Keeper(std::io::Error::other(cause.clone()));
        keys.into_iter().try_for_each(|key| self.fail(key, lost().into()))
    }

    fn probes_of(&mut self, id: TargetId) -> Option<(Key, &mut Probes)> {
        let mut all = self.members.iter_mut();
        all.find_map(|(key, member)| {
            member.probes.as_mut().filter(|probes| probes.id() == id).map(|probes| (*key, probes))
        })
    }

    /// Stops this process until it is told to go on: no probe stays meanwhile.
    pub(super) fn suspend(&mut self, suspension: Suspension) -> anyhow::Result<()> {
        if suspension.is_withdrawn() {
            return Ok(());
        }
        let keys = self.members.iter_mut().filter_map(|(key, member)| Some((*key, member.probes.as_mut()?)));
        let (mut failed, now) = (Vec::new(), clock::now());
        for (key, probes) in keys {
            let taken = self.hub.as_mut().map_or(Ok(()), |hub| probes.take_away(hub, now));
            failed.extend(taken.err().map(|error| (key, error)));
        }
        // To take them away may have taken longer than the user wanted us to stop.
        let is_withdrawn = suspension.is_withdrawn();
        drop(suspension);
        if !is_withdrawn {
            signals::suspend();
        }
        failed.into_iter().try_for_each(|(key, error)| self.fail(key, error.into()))
    }

    /// Gives up the targets whose first probes are not there in time: whoever attaches them may never answer.
    pub(super) fn give_up_attaching(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        let is_late = |(key, member): (&Key, &Member)| {
            let due = member.probes.as_ref().and_then(Probes::attached_by);
            due.is_some_and(|due| due <= now).then_some(*key)
        };
        let late: Vec<Key> = self.members.iter().filter_map(is_late).collect();
        late.into_iter().try_for_each(|key| self.fail(key, AttachError::Late(ATTACH_WITHIN).into()))
    }

    /// Renews the leases that are due.
    pub(super) fn renew_leases(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        if self.due_leases(now).is_empty() {
            return Ok(());
        }
        // If we were stopped, leases have ended that seem to be in force.
        self.hear_keeper()?;
        let keys = self.due_leases(now);
        for key in keys {
            let reading = self.count(key)?.reading;
            let probes = self.members.get_mut(&key).and_then(|member| member.probes.as_mut());
            let renewed =
                probes.zip(self.hub.as_mut()).map_or(Ok(()), |(probes, hub)| probes.renew(hub, &reading));
            if let Err(error) = renewed {
                self.fail(key, error)?;
            }
        }
        Ok(())
    }

    fn due_leases(&self, now: Ktime) -> Vec<Key> {
        let is_due = |probes: &Probes| probes.attaching_since.is_none() && probes.due() <= now;
        let due = self.members.iter().filter(|(_, member)| member.probes.as_ref().is_some_and(is_due));
        due.map(|(key, _)| *key).collect()
    }
}
