//! Notices that somebody has stopped the keeper: one that is stopped takes no probe away, however long that lasts.

use std::time::{Duration, Instant};

/// How long it may be silent before it is seen whether it is stopped, and after it was told to go on before it is ended. It
/// answers in milliseconds.
const AT_MOST: Duration = Duration::from_millis(500);

/// Since when it owes an answer.
#[derive(Debug, Default)]
pub(super) struct Silence {
    since: Option<Instant>,
    was_continued: bool,
}

/// What is to be done about a keeper that is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It is to go on.
    Continue,
    /// It is stopped again, or somebody traces it: with its end the kernel takes its probes away.
    End,
}

impl Silence {
    /// It owes an answer, or word of what it does by itself.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// It has said something.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// What to do about it, if anything.
    pub(super) fn remedy(&mut self, now: Instant, is_stopped: impl FnOnce() -> bool) -> Option<Remedy> {
        if now.duration_since(self.since?) < AT_MOST {
            return None;
        }
        self.since = Some(now);
        if !is_stopped() {
            return None;
        }
        Some(if std::mem::replace(&mut self.was_continued, true) { Remedy::End } else { Remedy::Continue })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_stopped_is_continued_and_then_ended() {
        let (begin, ms) = (Instant::now(), Duration::from_millis);
        let mut silence = Silence::default();
        assert_eq!(silence.remedy(begin + ms(9000), || true), None, "nothing was asked");
        silence.begin(begin);
        silence.begin(begin + ms(400));
        assert_eq!(silence.remedy(begin + ms(499), || true), None);
        assert_eq!(silence.remedy(begin + ms(500), || false), None, "it is slow");
        assert_eq!(silence.remedy(begin + ms(999), || panic!("it was just looked at")), None);
        assert_eq!(silence.remedy(begin + ms(1000), || true), Some(Remedy::Continue));
        assert_eq!(silence.remedy(begin + ms(1499), || true), None);
        assert_eq!(silence.remedy(begin + ms(1500), || true), Some(Remedy::End));
        silence.end();
        silence.begin(begin + ms(3000));
        assert_eq!(silence.remedy(begin + ms(3500), || true), Some(Remedy::Continue), "it had answered");
    }
}
