//! One service, from its first goroutine until leaktrace has seen enough.

use std::sync::atomic::{AtomicU64, Ordering};

use leaktrace_core::base::num::Goid;
use leaktrace_core::go::reach::Streaks;
use leaktrace_core::judge::detect::{History, Policy, SiteFacts, findings};

use crate::draft::{Crowd, Draft, Site};
use crate::kinds::{Group, KINDS, Kind};
use crate::look::{Look, Seen};
use crate::outcome::{Outcome, Told, tell};
use crate::random::{Random, float};
use crate::routine::{Parent, Routine};
use crate::{HOUR, MINUTE, SECOND};

/// When leaktrace comes, so long after the machine has started.
const ATTACH: u64 = 200 * HOUR;

/// How many looks there are at most; they are farther apart where it watches for long.
const MOST_LOOKS: u64 = 600;

/// A service, and how leaktrace watches it.
#[derive(Debug)]
pub struct Service {
    /// Of all that this seed makes.
    pub number: u64,
    random: Random,
    until: u64,
    sites: Vec<Site>,
    routines: Vec<Routine>,
    crowds: Vec<Crowd>,
    /// The time between two looks, and whether that is never the same.
    every: u64,
    is_irregular: bool,
    /// The shares of events that are lost, and of goroutines that a look cannot read.
    lost: f64,
    unreadable: f64,
}

impl Service {
    /// Draws the service with this number.
    pub fn draw(seed: u64, number: u64) -> Self {
        let mut random = Random::of(seed, number);
        let kinds = u64::try_from(KINDS.len()).unwrap_or(1);
        let kind = &KINDS[usize::try_from(number % kinds).unwrap_or(0)];
        let until = ATTACH + random.time(kind.watch.0, kind.watch.1);
        let began = match random.between(0, 2) {
            0 => ATTACH + random.between(0, MINUTE),
            1 => ATTACH - random.between(0, 5 * MINUTE),
            _ => ATTACH - random.time(5 * MINUTE, 100 * HOUR),
        };
        let every = random.pick(&[2, 2, 2, 5, 10, 30]) * SECOND;
        let every = every.max((until - ATTACH) / MOST_LOOKS);
        let is_irregular = random.chance(0.5);
        let lost = random.pick(&[0.0, 0.0, 0.01, 0.3]);
        let unreadable = random.pick(&[0.0, 0.0, 0.0, 0.002]);
        let mut draft = Draft::new(random, [began, ATTACH, until], kind);
        (kind.draw)(&mut draft);
        add_others(&mut draft);
        let Draft { random, sites, routines, crowds, .. } = draft;
        Self { number, random, until, sites, routines, crowds, every, is_irregular, lost, unreadable }
    }

    /// Watches it, and says what became of each of its sites and what was said of them when.
    pub fn run(self) -> (Vec<Outcome>, Vec<Told>) {
        let mut outcomes: Vec<Outcome> =
            self.sites.iter().map(|site| Outcome::new(site, ATTACH, self.until)).collect();
        let (mut history, policy, streaks) = (History::default(), Policy::default(), Streaks::default());
        let mut told = Vec::new();
        let mut run = Run::new(&self);
        while run.now < self.until {
            let look = run.look();
            let watched = history.observe(&look.seen, &streaks);
            let facts = |goids: &[Goid]| run.facts(look.site_of(goids)?);
            let findings = findings(&watched, &policy, &facts);
            told.extend(tell(&self.sites, &mut outcomes, run.now - ATTACH, &findings));
            run.wait();
        }
        (outcomes, told)
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        let mut kinds: Vec<&str> = self.sites.iter().map(|site| site.kind.name).collect();
        kinds.dedup();
        let sites: Vec<String> = self.sites.iter().map(describe_site).collect();
        format!(
            "service {}: {}\nwatched for {} min, a look every {} s{}, {} of the events lost, {} unreadable\n{}",
            self.number,
            kinds.join("; "),
            (self.until - ATTACH) / MINUTE,
            self.every / SECOND,
            if self.is_irregular { ", irregularly" } else { "" },
            percent(self.lost),
            percent(self.unreadable),
            sites.join("\n")
        )
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn describe_site(site: &Site) -> String {
    let seconds = |at: u64| (float(at) - float(ATTACH)) / float(SECOND);
    let truth = match (site.leaks.first(), site.leaks.get(9)) {
        (Some(first), Some(tenth)) => format!(
            "leaks {}, the first after {:.0} s and the tenth after {:.0} s",
            site.leaks.len(),
            seconds(*first),
            seconds(*tenth)
        ),
        (Some(_), None) => format!("leaks {}", site.leaks.len()),
        (None, _) => "healthy".to_owned(),
    };
    format!("  {} ({}): {truth}", site.name, site.kind.name)
}

/// Puts up to two other healthy kinds beside what a service is for. Verdicts tell sites apart by their names, so no two kinds
/// may have the same.
fn add_others(draft: &mut Draft) {
    let healthy: Vec<&'static Kind> = KINDS.iter().filter(|kind| kind.group == Group::Healthy).collect();
    for _ in 0..draft.random.between(0, 2) {
        let kind = draft.random.pick(&healthy);
        if !(kind.is_http && draft.sites.iter().any(|site| site.kind.is_http)) {
            draft.kind = kind;
            (kind.draw)(draft);
        }
    }
}

/// Runs many services on all CPUs; `each` is told the outcome, in any order.
pub fn run_all(seed: u64, services: u64, each: &(dyn Fn(u64, Vec<Outcome>) + Sync)) {
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= services {
                return;
            }
            each(number, Service::draw(seed, number).run().0);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
}

/// A goroutine that is alive.
struct Alive {
    routine: Routine,
    goid: u64,
    parent: Option<u64>,
    moves: u8,
    ran: u64,
}

/// What events tell of a site.
#[derive(Clone, Debug, Default)]
struct Events(SiteFacts);

/// A service that runs.
struct Run<'s> {
    service: &'s Service,
    random: Random,
    now: u64,
    before: u64,
    /// The goroutines that are not born yet, the first last: numbers.
    unborn: Vec<usize>,
    goids: Vec<u64>,
    alive: Vec<Alive>,
    next_goid: u64,
    events: Vec<Events>,
}

impl<'s> Run<'s> {
    fn new(service: &'s Service) -> Self {
        let mut order: Vec<usize> = (0..service.routines.len()).collect();
        order.sort_by_key(|index| service.routines[*index].born);
        let mut goids = vec![0; order.len()];
        // Between any two there are others, which have gone.
        let ids = (10_000..).step_by(1_000);
        order.iter().zip(ids).for_each(|(index, goid)| goids[*index] = goid);
        order.reverse();
        Self {
            random: service.random.clone(),
            service,
            now: ATTACH,
            before: ATTACH,
            unborn: order,
            goids,
            alive: Vec::new(),
            next_goid: 1 << 40,
            events: vec![Events::default(); service.sites.len()],
        }
    }

    /// Lets time pass until the next look.
    fn wait(&mut self) {
        self.before = self.now;
        let every = self.service.every;
        self.now += if self.service.is_irregular {
            // Now and then it has to wait for long.
            let pause = if self.random.chance(0.01) { 6 } else { 1 };
            self.random.between(every / 2, every * 3 / 2) * pause
        } else {
            every
        };
    }

    fn look(&mut self) -> Look<'s> {
        self.bury();
        self.bear();
        let mut look = Look::new(&self.service.sites, self.now);
        for one in &mut self.alive {
            let ran = one.routine.pass(self.before, self.now, &mut self.random);
            if ran > 0 {
                (one.moves, one.ran) =
                    (one.moves.wrapping_add(u8::try_from(ran % 256).unwrap_or(0)), self.now);
            }
            if self.random.chance(self.service.unreadable) {
                look.seen.complete = false;
                continue;
            }
            look.add(Seen {
                site: one.routine.site,
                goid: one.goid,
                parent: one.parent,
                stand: one.routine.stand,
                moves: one.moves,
                still_ns: self.now - one.ran,
            });
        }
        self.add_crowds(&mut look);
        look
    }

    fn bury(&mut self) {
        let Self { alive, events, random, now, service, .. } = self;
        alive.retain(|one| {
            let routine = &one.routine;
            if routine.ends <= *now {
                events[routine.site].end(routine.ends - routine.born, service.lost, random);
            }
            routine.ends > *now
        });
    }

    fn bear(&mut self) {
        while let Some(index) = self.unborn.pop_if(|index| self.service.routines[*index].born <= self.now) {
            let routine = self.service.routines[index].clone();
            if routine.born > ATTACH {
                self.events[routine.site].bear(1, self.service.lost, &mut self.random);
            }
            if routine.ends <= self.now {
                if routine.ends > ATTACH {
                    let life = routine.ends - routine.born;
                    self.events[routine.site].end(life, self.service.lost, &mut self.random);
                }
                continue;
            }
            let parent = match routine.parent {
                Parent::Main => Some(1),
                Parent::Of(parent) => Some(self.goids[parent]),
                Parent::Gone => Some(self.goids[index] - 1),
                Parent::Unknown => None,
            };
            let (goid, ran) = (self.goids[index], routine.born);
            self.alive.push(Alive { routine, goid, parent, moves: 0, ran });
        }
    }

    /// Shows those who are only passing through.
    fn add_crowds(&mut self, look: &mut Look<'s>) {
        for crowd in &self.service.crowds {
            let per_minute = crowd.rate.at(self.now);
            let born = self.random.poisson(per_minute * float(self.now - self.before) / float(MINUTE));
            let events = &mut self.events[crowd.site];
            events.bear(born, self.service.lost, &mut self.random);
            // A few stand for all: how long they live is asked for in percent.
            for _ in 0..born.min(20) {
                events.end(self.random.exponential(crowd.mean), self.service.lost, &mut self.random);
            }
            events.0.ended += born.saturating_sub(20);
            for _ in 0..self.random.poisson(per_minute * float(crowd.mean) / float(MINUTE)) {
                self.next_goid += 1;
                look.add(Seen {
                    site: crowd.site,
                    goid: self.next_goid,
                    parent: Some(1),
                    stand: crowd.stand,
                    moves: 1,
                    still_ns: 0,
                });
            }
        }
    }

    fn facts(&self, site: usize) -> Option<SiteFacts> {
        let oldest =
            self.alive.iter().filter(|one| one.routine.site == site).map(|one| one.routine.born).min();
        let oldest_age_ns = oldest.map(|born| self.now - born);
        let facts = self.events.get(site)?.0.clone();
        let watched = self.now - ATTACH;
        let net = float(facts.born) - float(facts.ended);
        let net_per_minute = (watched > 5 * SECOND).then(|| net * float(MINUTE) / float(watched));
        Some(SiteFacts { oldest_age_ns, net_per_minute, ..facts })
    }
}

impl Events {
    fn bear(&mut self, count: u64, lost: f64, random: &mut Random) {
        self.0.born += if lost > 0.0 { random.poisson(float(count) * (1.0 - lost)) } else { count };
    }

    fn end(&mut self, life: u64, lost: f64, random: &mut Random) {
        if !random.chance(lost) {
            self.0.ended += 1;
            self.0.lifetimes.add(life);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sites_of_a_service_have_the_same_name() {
        for number in 0..10 * KINDS.len() as u64 {
            let mut names: Vec<String> =
                Service::draw(3, number).sites.into_iter().map(|site| site.name).collect();
            let sites = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), sites, "service {number}");
        }
    }

    #[test]
    fn a_service_is_told_the_same_again() {
        let told = |number| Service::draw(3, number).run().1;
        assert!(!told(30).is_empty() && told(30) == told(30));
    }
}
