//! Which snapshots of a long recording are kept, so that the room suffices to the end.

/// One snapshot in every `stride` is kept. Whenever half of the room for them is used up that was left
/// the last time, four times as many are left out: each half lasts twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing {
    /// The room that is left when snapshots become rarer.
    next: u64,
    stride: u64,
    skipped: u64,
    largest: u64,
}

impl Spacing {
    /// All snapshots are kept at first; `room` is what there is for them, in bytes.
    pub const fn new(room: u64) -> Self {
        Self { next: room / 2, stride: 1, skipped: 0, largest: 0 }
    }

    /// Whether to keep the next snapshot of `len` bytes, unpacked or not, where `room` bytes are left. There is always
    /// room left for one more, which is to be the last.
    pub fn keeps(&mut self, len: u64, room: u64) -> bool {
        while room < self.next {
            self.next /= 2;
            self.stride = self.stride.saturating_mul(4);
        }
        self.largest = self.largest.max(len);
        self.skipped += 1;
        let keeps = self.skipped >= self.stride && room >= len.saturating_add(self.largest);
        if keeps {
            self.skipped = 0;
        }
        keeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ticks whose snapshots are kept.
    fn kept(ticks: u64, mut room: u64, len: u64) -> Vec<u64> {
        let mut spacing = Spacing::new(room);
        (0..ticks)
            .filter(|_| {
                let keeps = spacing.keeps(len, room);
                room -= if keeps { len } else { 0 };
                keeps
            })
            .collect()
    }

    #[test]
    fn a_short_recording_keeps_all() {
        assert_eq!(kept(40, 1000, 10).len(), 40);
    }

    #[test]
    fn a_long_one_keeps_fewer_and_never_the_last_bit_of_room() {
        let kept = kept(100_000, 1000, 10);
        assert!(kept.len() < 100, "{}", kept.len());
        assert!(kept.iter().any(|tick| *tick > 3_000), "{kept:?}");
        assert!(kept.is_sorted() && kept[..50].iter().copied().eq(0..50));
    }
}
