//! Two bits for each object: whether it was reached, and whether its words were looked at.

/// The bits of all objects of all spans. Each span has its own 64-bit words.
#[derive(Debug, Default)]
pub(super) struct Marks {
    reached: Vec<u64>,
    scanned: Vec<u64>,
}

impl Marks {
    /// Makes room for so many objects, and says where theirs begin.
    pub(super) fn reserve(&mut self, objects: u64) -> usize {
        let first = self.reached.len();
        let words = usize::try_from(objects.div_ceil(64)).unwrap_or(usize::MAX - first);
        self.reached.resize(first.saturating_add(words), 0);
        self.scanned.resize(self.reached.len(), 0);
        first
    }

    /// Marks an object as reached; `false` if it was already.
    pub(super) fn reach(&mut self, first: usize, object: u64) -> bool {
        let (word, bit) = place(first, object);
        let Some(word) = self.reached.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether an object was reached.
    #[cfg(test)]
    pub(super) fn is_reached(&self, first: usize, object: u64) -> bool {
        let (word, bit) = place(first, object);
        self.reached.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The objects of a span that were reached and not looked at yet; from now on they count as looked at.
    pub(super) fn take_pending(&mut self, first: usize, objects: u64, out: &mut Vec<u64>) {
        let last = place(first, objects.saturating_sub(1)).0;
        for word in first..=last {
            let (Some(&reached), Some(scanned)) = (self.reached.get(word), self.scanned.get_mut(word)) else {
                return;
            };
            let mut pending = reached & !*scanned;
            *scanned |= pending;
            while pending != 0 {
                out.push((word - first) as u64 * 64 + u64::from(pending.trailing_zeros()));
                pending &= pending - 1;
            }
        }
    }
}

fn place(first: usize, object: u64) -> (usize, u64) {
    let word = usize::try_from(object / 64).unwrap_or(usize::MAX);
    (first.saturating_add(word), 1 << (object % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_pending_once() {
        let mut marks = Marks::default();
        let (first, second) = (marks.reserve(100), marks.reserve(3));
        assert!(marks.reach(first, 99) && marks.reach(first, 0) && marks.reach(second, 2));
        assert!(!marks.reach(first, 99));
        let mut pending = Vec::new();
        marks.take_pending(first, 100, &mut pending);
        assert_eq!(pending, [0, 99]);
        pending.clear();
        marks.reach(first, 7);
        marks.take_pending(first, 100, &mut pending);
        assert_eq!(pending, [7]);
        assert!(marks.is_reached(second, 2) && !marks.is_reached(second, 1));
    }
}
