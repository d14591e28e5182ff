//! A program that exists in numbers only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

use leaktrace_core::base::num::{Avma, Goid, Ktime};
use leaktrace_core::go::reach::Streaks;
use leaktrace_core::goroutines::model::{Channel, ChannelOperation};
use leaktrace_core::goroutines::sock_diag::Socket;
use leaktrace_core::judge::detect::{
    Connections, Finding, History, Object, Observation, Policy, Sighting, SiteFacts, Standing, Wait, Waited,
    Watched, Weight, findings, hidden,
};
use leaktrace_core::schema::Verdict;
use leaktrace_core::schema::{Frame, Location};

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// One goroutine.
#[derive(Clone, Debug)]
pub(crate) struct Routine {
    pub(crate) goid: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) kind: &'static Kind,
    /// The channel or lock that it waits for.
    pub(crate) object: u64,
    /// How often it has run.
    pub(crate) moves: u8,
    pub(crate) ends_at: u64,
    /// The socket that it reads from, on a machine that listens on port 80.
    pub(crate) socket: Option<Socket>,
}

/// What a goroutine is: `created_by` started it, and it waits in `function`.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) created_by: &'static str,
    pub(crate) function: &'static str,
    pub(crate) wait: Wait,
    pub(crate) doing: &'static str,
}

pub(crate) const RECEIVE: Wait = Wait::Channel(ChannelOperation::Receive);
pub(crate) const SEND: Wait = Wait::Channel(ChannelOperation::Send);

/// A program, and what was observed of it.
#[derive(Default)]
pub(crate) struct Program {
    pub(crate) now: u64,
    pub(crate) routines: Vec<Routine>,
    pub(crate) policy: Policy,
    pub(crate) facts: BTreeMap<&'static str, SiteFacts>,
    pub(crate) capacity: u64,
    pub(crate) streaks: Streaks,
    pub(crate) history: History,
    pub(crate) watched: Watched,
    pub(crate) born: u64,
    /// Those that an observation does not show, which then is not complete.
    pub(crate) unseen: Option<&'static Kind>,
}

impl Program {
    /// Starts a goroutine with a channel of its own, that stays.
    pub(crate) fn start(&mut self, kind: &'static Kind) -> &mut Routine {
        self.born += 1;
        let object = 0x1000 + self.born;
        let (goid, parent) = (self.born + 10, None);
        self.routines.push(Routine { goid, parent, kind, object, moves: 0, ends_at: u64::MAX, socket: None });
        let last = self.routines.len() - 1;
        &mut self.routines[last]
    }

    /// Starts several that wait for the same channel or lock.
    pub(crate) fn start_on(&mut self, object: u64, kind: &'static Kind, count: u64) {
        (0..count).for_each(|_| self.start(kind).object = object);
    }

    /// Lets all goroutines of a kind run and come back.
    pub(crate) fn stir(&mut self, kind: &Kind) {
        let of_kind = |routine: &&mut Routine| std::ptr::eq(routine.kind, kind);
        self.routines
            .iter_mut()
            .filter(of_kind)
            .for_each(|routine| routine.moves = routine.moves.wrapping_add(1));
    }

    pub(crate) fn count(&self, kind: &Kind) -> usize {
        self.routines.iter().filter(|routine| routine.is(kind)).count()
    }

    /// Lets `time` pass with an observation every `step`; `each` happens before each one.
    pub(crate) fn run(&mut self, time: u64, step: u64, mut each: impl FnMut(&mut Self)) -> Vec<Verdict> {
        let end = self.now + time;
        while self.now < end {
            self.now += step;
            each(self);
            let now = self.now;
            self.routines.retain(|routine| routine.ends_at > now);
            self.observe();
        }
        self.verdicts()
    }

    pub(crate) fn observe(&mut self) {
        let mut seen =
            Observation { at: Ktime(self.now), complete: self.unseen.is_none(), ..Observation::default() };
        let mut kinds: Vec<&Kind> = Vec::new();
        for routine in self.routines.iter().filter(|one| self.unseen.is_none_or(|kind| !one.is(kind))) {
            let known = kinds.iter().position(|kind| routine.is(kind));
            let standing = known.unwrap_or_else(|| {
                kinds.push(routine.kind);
                seen.standings.push(routine.kind.standing().into());
                kinds.len() - 1
            });
            seen.sightings.push(routine.sighting(u32::try_from(standing).unwrap_or(u32::MAX)));
            self.note(routine, &mut seen.objects);
        }
        let with_socket = self.routines.iter().filter_map(|one| Some((one.goid, one.socket?)));
        let sockets: Vec<(i32, Socket)> =
            with_socket.map(|(goid, socket)| (i32::try_from(goid).unwrap_or(i32::MAX), socket)).collect();
        let waiters: Vec<(Goid, i32)> =
            sockets.iter().map(|(fd, _)| (Goid(u64::try_from(*fd).unwrap_or_default()), *fd)).collect();
        seen.connections = Waited::of(&waiters, &Connections::of(&sockets, &BTreeSet::from([80])));
        self.watched = self.history.observe(&seen, &self.streaks);
    }

    fn note<S: BuildHasher>(&self, routine: &Routine, objects: &mut HashMap<u64, Object, S>) {
        let object = objects.entry(routine.object).or_insert_with(|| routine.kind.object(self.capacity));
        match (object, routine.kind.wait) {
            (Object::Channel(channel), Wait::Channel(ChannelOperation::Send)) => channel.senders += 1,
            (Object::Channel(channel), _) => channel.receivers += 1,
            (Object::Lock { waiters, .. }, _) => *waiters += 1,
        }
    }

    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        findings(&self.watched, &self.policy, &|goids| self.facts(goids))
            .into_iter()
            .map(|Finding { verdict, .. }| verdict)
            .collect()
    }

    /// What is said of the verdicts that are hidden.
    pub(crate) fn hidden(&self) -> Vec<String> {
        hidden(&self.watched, &self.policy, &|goids| self.facts(goids))
    }

    fn facts(&self, goids: &[Goid]) -> Option<SiteFacts> {
        let routine = self.routines.iter().find(|routine| goids.contains(&Goid(routine.goid)))?;
        self.facts.get(routine.kind.created_by).cloned()
    }
}

impl Routine {
    pub(crate) fn is(&self, kind: &Kind) -> bool {
        std::ptr::eq(self.kind, std::ptr::from_ref(kind))
    }

    fn sighting(&self, standing: u32) -> Sighting {
        Sighting {
            goid: Goid(self.goid),
            parent: self.parent.map(Goid),
            standing,
            object: self.object,
            moves: Some(self.moves),
            waiting_ns: None,
            stack_bytes: 8192,
            leaked: false,
            locked: false,
            weight: Weight::ONE,
        }
    }
}

impl Kind {
    pub(crate) fn standing(&self) -> Standing {
        let file = Some("/src/main.go".to_owned());
        let frame = |function: &str, line| Frame {
            function: Some(function.to_owned()),
            file: file.clone(),
            line: Some(line),
            pc: None,
        };
        Standing {
            created_by: Location {
                function: Some(self.created_by.to_owned()),
                file: file.clone(),
                line: Some(10),
                pc: "0x1".to_owned(),
            },
            start_function: Some(self.function.to_owned()),
            doing: self.doing.to_owned(),
            wait: self.wait,
            stack: vec![frame(self.function, 20)],
            is_main: false,
        }
    }

    fn object(&self, capacity: u64) -> Object {
        match self.wait {
            Wait::Lock(kind) => Object::Lock { kind, waiters: 0 },
            _ => Object::Channel(Channel {
                address: Avma(0x1000),
                element: None,
                length: if self.wait == SEND { capacity } else { 0 },
                capacity,
                closed: false,
                timer: false,
                stopped: false,
                receivers: 0,
                senders: 0,
            }),
        }
    }
}
