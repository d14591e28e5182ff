//! A service while it is being drawn.

use crate::arrivals::{Lifetime, Rate};
use crate::kinds::Kind;
use crate::random::Random;
use crate::routine::{Parent, Routine, Stand};

/// One `go` statement.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) kind: &'static Kind,
    /// When goroutines were started that leak, in order.
    pub(crate) leaks: Vec<u64>,
}

/// Goroutines that live for so short a time that no two looks see the same one.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    pub(crate) site: usize,
    pub(crate) rate: Rate,
    pub(crate) mean: u64,
    pub(crate) stand: Stand,
}

/// What a service is made of.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) random: Random,
    /// When the service started, when leaktrace came, and until when it watches.
    pub(crate) began: u64,
    pub(crate) attach: u64,
    pub(crate) until: u64,
    pub(crate) kind: &'static Kind,
    pub(crate) sites: Vec<Site>,
    pub(crate) routines: Vec<Routine>,
    pub(crate) crowds: Vec<Crowd>,
    objects: u64,
}

impl Draft {
    pub(crate) fn new(random: Random, [began, attach, until]: [u64; 3], kind: &'static Kind) -> Self {
        Self {
            random,
            began,
            attach,
            until,
            kind,
            sites: Vec::new(),
            routines: Vec::new(),
            crowds: Vec::new(),
            objects: 0xc000_0000,
        }
    }

    /// A new `go` statement.
    pub(crate) fn site(&mut self) -> usize {
        let name = format!("main.start{}", self.sites.len());
        self.named_site(name)
    }

    /// One in this function.
    pub(crate) fn named_site(&mut self, name: String) -> usize {
        self.sites.push(Site { name, kind: self.kind, leaks: Vec::new() });
        self.sites.len() - 1
    }

    /// A new channel or lock.
    pub(crate) const fn object(&mut self) -> u64 {
        self.objects += 0x60;
        self.objects
    }

    /// Starts a goroutine; its number is for those that it starts itself.
    pub(crate) fn start(&mut self, routine: Routine) -> usize {
        self.routines.push(routine);
        self.routines.len() - 1
    }

    /// Starts one that leaks.
    pub(crate) fn leak(&mut self, routine: Routine) -> usize {
        self.sites[routine.site].leaks.push(routine.born);
        self.start(Routine { ends: u64::MAX, ..routine })
    }

    /// Starts goroutines that have nothing to do with each other; who waits for a channel or lock has its own.
    pub(crate) fn stream(&mut self, site: usize, births: Vec<u64>, life: Lifetime, stand: Stand, by: Parent) {
        for born in births {
            let life = life.draw(&mut self.random);
            let object = if stand.object == 0 { self.object() } else { stand.object };
            self.start(Routine::new(site, born, life, Stand { object, ..stand }).child_of(by));
        }
    }

    /// Goroutines that are gone at the next look.
    pub(crate) fn crowd(&mut self, site: usize, rate: Rate, mean: u64, stand: Stand) {
        self.crowds.push(Crowd { site, rate, mean, stand });
    }

    /// A time from which on a population whose goroutines live for `mean` has its size when leaktrace comes.
    pub(crate) const fn long_before(&self, mean: u64) -> u64 {
        self.attach.saturating_sub(mean.saturating_mul(5))
    }

    /// A time at which something starts up: with the service, or soon after leaktrace has come.
    pub(crate) fn start_up(&mut self) -> u64 {
        let late = self.attach.saturating_sub(self.began) > 10 * crate::MINUTE;
        let from = if late { self.attach } else { self.began };
        from + self.random.between(0, 5 * crate::MINUTE)
    }
}
