//! Every fact about the Go runtime that depends on the release: the one place that compares releases.
//!
//! The folder `releases` has a file for each release that leaktrace was tested with, which says what that release
//! changed; [`Release`] says where Go's source states each fact. What no release has changed yet, and the next one may,
//! is in [`same`]. `cargo xtask facts` compares all of it with the sources of the toolchains that are there.
//!
//! A release that is newer than all of these has no row. What is needed of it is then either confirmed by the target
//! itself, whose code and tables are looked at (by whoever asks for [`Facts`], and for the candidates that
//! `moduledata_layouts` and `func_id_numberings` give), or refused by name with [`Untested`]. Only the ways in which
//! Go writes text ([`Traceback`]) are taken from the newest release: they are no claim about the target.
//!
//! Everybody else is handed [`Facts`], filled for one program, and never sees a release; `cargo xtask check` looks.

mod collector;
mod func_ids;
mod moduledata;
mod release;
mod releases;
pub mod same;
pub mod status;
#[cfg(test)]
mod tests;
mod traceback;
pub mod version;

use thiserror::Error;

pub use self::collector::{Cleanups, Collector, Queue, Specials};
pub use self::func_ids::FuncId;
pub use self::moduledata::Moduledata;
pub use self::release::{Bubble, FinalizerState, LabelsFormat, Release, Schedt};
pub use self::releases::RELEASES;
pub use self::traceback::{Elision, LabelStyle, Traceback};
use self::version::{GoVersion, NEWEST_TESTED};

/// A fact that no test has seen in this release, and that the target does not confirm either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "leaktrace does not know {what} in {version}: it was tested up to {NEWEST_TESTED}, and the program does not confirm that this is unchanged"
)]
pub struct Untested {
    /// What is not known, in the words of Go's source.
    pub what: &'static str,
    /// The release.
    pub version: GoVersion,
}

/// What depends on the release that built one program, looked up once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How its own tracebacks are written.
    pub traceback: &'static Traceback,
    /// What the marking of its heap needs, besides layouts.
    pub collector: Result<&'static Collector, Untested>,
    /// What tells the bubbles of `testing/synctest` apart; none in releases that have no bubbles.
    pub bubble: Result<Option<Bubble>, Untested>,
    /// What tells that a finalizer runs. Where it is not known, the reason for waiting says it as well.
    pub finalizer_state: Result<FinalizerState, Untested>,
    /// Whether `g.waiting` of a goroutine that waits for a lock leads to the lock. Where that is not known, locks are
    /// found as they were before: by the table of semaphores, which is there in every release.
    pub lock_waits_are_linked: Result<bool, Untested>,
}

impl Facts {
    /// What is known of the release `version`. Of one that was not tested, `confirms` says whether the target itself
    /// shows that what the newest release has is still so.
    pub fn of(version: GoVersion, confirms: impl FnOnce(&Collector) -> bool) -> Self {
        const COLLECTOR: &str =
            "what is attached to objects (runtime.special and queues of finalizers and cleanups)";
        let confirmed = || Some(&Release::newest().collector).filter(|newest| confirms(newest));
        Self {
            traceback: Traceback::of(Some(version)),
            collector: tested(version, COLLECTOR, |release| &release.collector)
                .or_else(|untested| confirmed().ok_or(untested)),
            bubble: tested(version, "runtime.synctestBubble", |release| release.bubble),
            finalizer_state: tested(version, "runtime.fingStatus", |release| release.finalizer_state),
            lock_waits_are_linked: tested(version, "what runtime.g.waiting leads to", |release| {
                release.lock_waits_are_linked
            }),
        }
    }

    /// What is not known of the program's release.
    pub fn refused(&self) -> impl Iterator<Item = Untested> {
        let Self { traceback: _, collector, bubble, finalizer_state, lock_waits_are_linked } = self;
        let refused = [collector.err(), bubble.err(), finalizer_state.err(), lock_waits_are_linked.err()];
        refused.into_iter().flatten()
    }
}

/// The offsets in `runtime.schedt`, which no type descriptor reaches.
pub fn schedt(version: GoVersion) -> Result<Schedt, Untested> {
    tested(version, "the layout of runtime.schedt", |release| release.schedt)
}

/// A fact of the release `version`, if that was tested.
fn tested<T>(
    version: GoVersion,
    what: &'static str,
    fact: impl FnOnce(&'static Release) -> T,
) -> Result<T, Untested> {
    Release::tested(version).map(fact).ok_or(Untested { what, version })
}

/// What `g.labels` points to. Of a release that was not tested this is a guess which every set of labels must confirm.
pub(crate) fn labels_format(version: GoVersion) -> LabelsFormat {
    Release::tested(version).map_or(LabelsFormat::Unproved, |release| release.labels)
}

/// All layouts of `moduledata`, each to be proved by what is there: that of `version` first, then from the newest to
/// the oldest.
pub(crate) fn moduledata_layouts(version: Option<GoVersion>) -> impl Iterator<Item = Moduledata> {
    let likeliest = Release::closest(version).moduledata;
    let mut layouts = vec![likeliest];
    for release in RELEASES.iter().rev() {
        if !layouts.contains(&release.moduledata) {
            layouts.push(release.moduledata);
        }
    }
    layouts.into_iter()
}

/// All numberings of the functions that the runtime treats specially. The highest number in the program's own table,
/// which is the wrapper's, tells which one it is; names in the table have the last word.
pub(crate) fn func_id_numberings() -> impl Iterator<Item = &'static [FuncId]> {
    RELEASES.iter().rev().map(|release| release.func_ids)
}
