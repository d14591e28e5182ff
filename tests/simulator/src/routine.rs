//! One goroutine: where it stands, on what, and how often it runs.

use leaktrace_core::base::num::Avma;
use leaktrace_core::goroutines::model::{Channel, ChannelOperation, LockKind};
use leaktrace_core::judge::detect::{Object, Standing, Wait};
use leaktrace_core::schema::{Frame, Location};

use crate::random::{Random, float};

/// What goroutines do somewhere.
#[derive(Debug)]
pub(crate) struct Place {
    /// The function that they stand in.
    pub(crate) function: &'static str,
    /// What they wait for, in the runtime's words.
    pub(crate) doing: &'static str,
    /// The same by kind.
    pub(crate) wait: Wait,
    /// The capacity of the channel, if it is one; it is full where they send.
    pub(crate) capacity: u64,
}

/// Somewhere, on something, running once in `every` on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stand {
    pub(crate) place: &'static Place,
    /// The channel or lock that it waits for; 0 for none.
    pub(crate) object: u64,
    pub(crate) every: u64,
}

/// Who started a goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    /// The main goroutine.
    Main,
    /// Another one, by its number in the service.
    Of(usize),
    /// One that has gone by the time somebody looks: a function that has returned.
    Gone,
    /// Somebody, before Go said whom.
    Unknown,
}

/// One goroutine.
#[derive(Clone, Debug)]
pub(crate) struct Routine {
    /// The `go` statement, by number.
    pub(crate) site: usize,
    pub(crate) parent: Parent,
    pub(crate) born: u64,
    /// When it ends: never, if it leaks.
    pub(crate) ends: u64,
    /// Where it stands first.
    pub(crate) stand: Stand,
    /// Where it goes, and when: the last move first.
    pub(crate) moves: Vec<(u64, Stand)>,
    /// Where it is from time to time instead, and for how long at either place on average.
    pub(crate) turns: Option<(Stand, u64)>,
}

impl Routine {
    /// One that stays where it is.
    pub(crate) fn new(site: usize, born: u64, life: u64, stand: Stand) -> Self {
        let (parent, ends) = (Parent::Main, born.saturating_add(life));
        Self { site, parent, born, ends, stand, moves: Vec::new(), turns: None }
    }

    pub(crate) fn child_of(self, parent: Parent) -> Self {
        Self { parent, ..self }
    }

    /// Lets time pass from `before` to `now`, and says how often it ran.
    pub(crate) fn pass(&mut self, before: u64, now: u64, random: &mut Random) -> u64 {
        let mut ran = 0;
        while let Some((_, stand)) = self.moves.pop_if(|(at, _)| *at <= now) {
            self.stand = stand;
            ran += 1;
        }
        if let Some((other, dwell)) = &mut self.turns {
            // Of two places with the same dwell time, one is at the other with this probability.
            let apart = (1.0 - (-2.0 * float(now - before) / float(*dwell)).exp()) / 2.0;
            if random.chance(apart) {
                std::mem::swap(&mut self.stand, other);
                ran += 1;
            }
        }
        if self.stand.every < u64::MAX {
            ran += random.poisson(float(now - before) / float(self.stand.every));
        }
        ran
    }
}

impl Place {
    /// Where goroutines of a `go` statement in `created_by` stand.
    pub(crate) fn standing(&self, created_by: &str) -> Standing {
        let at = |function: &str, line| Frame {
            function: Some(function.to_owned()),
            file: Some("/src/service.go".to_owned()),
            line: Some(line),
            pc: None,
        };
        let Frame { function, file, line, .. } = at(created_by, 10);
        Standing {
            created_by: Location { function, file, line, pc: "0x401000".to_owned() },
            start_function: Some(self.function.to_owned()),
            doing: self.doing.to_owned(),
            wait: self.wait,
            stack: vec![at(self.function, 20)],
            is_main: false,
        }
    }

    /// A new channel or lock that is waited for here, as long as nobody has been counted.
    pub(crate) fn object(&self, address: u64) -> Option<Object> {
        match self.wait {
            Wait::Lock(kind) => Some(Object::Lock { kind, waiters: 0 }),
            Wait::Channel(operation) => Some(Object::Channel(Channel {
                address: Avma(address),
                element: None,
                length: if operation == ChannelOperation::Send { self.capacity } else { 0 },
                capacity: self.capacity,
                closed: false,
                timer: false,
                stopped: false,
                receivers: 0,
                senders: 0,
            })),
            _ => None,
        }
    }
}

const fn place(function: &'static str, doing: &'static str, wait: Wait) -> Place {
    Place { function, doing, wait, capacity: 0 }
}

pub(crate) static RECEIVE: Place =
    place("main.receive", "chan receive", Wait::Channel(ChannelOperation::Receive));
pub(crate) static SEND: Place = place("main.send", "chan send", Wait::Channel(ChannelOperation::Send));
pub(crate) static ACQUIRE: Place =
    Place { capacity: 8, ..place("main.acquire", "chan send", Wait::Channel(ChannelOperation::Send)) };
pub(crate) static SELECT: Place = place("main.wait", "select", Wait::Select);
pub(crate) static WORK: Place = place("main.work", "select", Wait::Select);
pub(crate) static IO: Place = place("main.read", "IO wait", Wait::Io);
pub(crate) static SLEEP: Place = place("main.poll", "sleep", Wait::Time);
pub(crate) static LOCK: Place = place("main.update", "sync.Mutex.Lock", Wait::Lock(LockKind::Mutex));
pub(crate) static GROUP: Place = place("main.join", "sync.WaitGroup.Wait", Wait::Lock(LockKind::WaitGroup));
pub(crate) static NIL: Place = place("main.follow", "chan receive (nil chan)", Wait::NilChannel);
pub(crate) static READ_LOOP: Place = place("net/http.(*persistConn).readLoop", "IO wait", Wait::Io);
pub(crate) static WRITE_LOOP: Place = place("net/http.(*persistConn).writeLoop", "select", Wait::Select);
