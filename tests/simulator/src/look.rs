//! What a look at a service shows.

use std::collections::BTreeMap;

use leaktrace_core::base::num::{Goid, Ktime};
use leaktrace_core::judge::detect::Object;
use leaktrace_core::judge::detect::{Observation, Sighting, Standing, Wait, Weight};
use leaktrace_core::schema::Location;

use crate::draft::Site;
use crate::routine::{Place, Stand};

/// An observation that is being made.
pub(crate) struct Look<'s> {
    sites: &'s [Site],
    places: BTreeMap<(usize, *const Place), u32>,
    /// The site of each standing.
    standing_sites: Vec<usize>,
    pub(crate) seen: Observation,
}

/// A goroutine that is seen.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) site: usize,
    pub(crate) goid: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) stand: Stand,
    pub(crate) moves: u8,
    /// For how long it has not run.
    pub(crate) still_ns: u64,
}

/// The runtime notes since when a goroutine waits only when it collects garbage.
const NOTED_NS: u64 = crate::MINUTE;

/// The number of the site that is the main goroutine's.
const MAIN: usize = usize::MAX;

impl<'s> Look<'s> {
    /// One that shows nobody yet but `main`, which accepts connections.
    pub(crate) fn new(sites: &'s [Site], at: u64) -> Self {
        let seen = Observation { at: Ktime(at), complete: true, ..Observation::default() };
        let mut look = Self { sites, places: BTreeMap::new(), standing_sites: vec![MAIN], seen };
        look.seen.standings.push(main().into());
        look.seen.sightings.push(sighting(1, None, 0));
        look
    }

    pub(crate) fn add(&mut self, one: Seen) {
        let Stand { place, object, .. } = one.stand;
        let standing = self.standing(one.site, place);
        let known = place.object(object).filter(|_| object != 0);
        if let Some(new) = known {
            count(self.seen.objects.entry(object).or_insert(new), place.wait);
        }
        self.seen.sightings.push(Sighting {
            object: if known.is_some() { object } else { 0 },
            moves: Some(one.moves),
            waiting_ns: Some(one.still_ns).filter(|still| *still >= NOTED_NS),
            ..sighting(one.goid, one.parent, standing)
        });
    }

    fn standing(&mut self, site: usize, place: &'static Place) -> u32 {
        let standings = &mut self.seen.standings;
        *self.places.entry((site, std::ptr::from_ref(place))).or_insert_with(|| {
            standings.push(place.standing(&self.sites[site].name).into());
            self.standing_sites.push(site);
            u32::try_from(standings.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// The site of some goroutines.
    pub(crate) fn site_of(&self, goids: &[Goid]) -> Option<usize> {
        let goid = goids.first()?;
        let sighting = self.seen.sightings.iter().find(|sighting| sighting.goid == *goid)?;
        self.standing_sites.get(sighting.standing as usize).copied().filter(|site| *site != MAIN)
    }
}

const fn sighting(goid: u64, parent: Option<u64>, standing: u32) -> Sighting {
    let parent = match parent {
        Some(parent) => Some(Goid(parent)),
        None => None,
    };
    Sighting {
        goid: Goid(goid),
        parent,
        standing,
        object: 0,
        moves: None,
        waiting_ns: None,
        stack_bytes: 8192,
        leaked: false,
        locked: false,
        weight: Weight::ONE,
    }
}

const fn count(object: &mut Object, wait: Wait) {
    use leaktrace_core::goroutines::model::ChannelOperation;
    match (object, wait) {
        (Object::Channel(channel), Wait::Channel(ChannelOperation::Send)) => channel.senders += 1,
        (Object::Channel(channel), _) => channel.receivers += 1,
        (Object::Lock { waiters, .. }, _) => *waiters += 1,
    }
}

fn main() -> Standing {
    Standing {
        created_by: Location { function: None, file: None, line: None, pc: "0x0".to_owned() },
        start_function: Some("main.main".to_owned()),
        doing: "IO wait".to_owned(),
        wait: Wait::Io,
        stack: Vec::new(),
        is_main: true,
    }
}
