//! Rows of words, most of which differ little from another one.

/// For how many words of a row there is a word of bits.
const GROUP: usize = 64;

/// Rows of words behind each other. Of a row that is like another one, only the words that differ are stored: goroutines
/// that stand at the same place have most of their arguments in common.
#[derive(Clone, Debug, Default)]
pub struct WordRows {
    words: Vec<u64>,
    rows: Vec<PackedRow>,
}

#[derive(Clone, Copy, Debug)]
struct PackedRow {
    /// What is stored of it ends there.
    end: u32,
    /// The row that it is like, which is as long and is stored in full. For each [`GROUP`] of its words there is one whose
    /// bits say which differ, and behind it are these.
    like: Option<u32>,
}

impl WordRows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many words are stored.
    pub(crate) fn stored(&self) -> usize {
        self.words.len()
    }

    /// How many words the row at `index` has; none beyond the last row.
    pub(crate) fn row_len(&self, index: usize) -> usize {
        let Some((stored, like)) = self.row(index) else { return 0 };
        like.and_then(|like| self.row(like)).map_or(stored, |(full, _)| full).len()
    }

    /// Adds a row, of which those words are stored that differ from the row at `like`, and answers where that is.
    pub fn push(&mut self, row: &[u64], like: Option<usize>) -> usize {
        let like = like.filter(|like| self.row(*like).is_some_and(|(full, _)| full.len() == row.len()));
        let like = like.filter(|like| self.rows[*like].like.is_none());
        match like {
            Some(like) => self.push_differences(row, self.start(like)),
            None => self.words.extend_from_slice(row),
        }
        let end = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.rows.push(PackedRow { end, like: like.and_then(|like| u32::try_from(like).ok()) });
        self.rows.len() - 1
    }

    /// Sets `out` to the row at `index`.
    pub fn read(&self, index: usize, out: &mut Vec<u64>) {
        out.clear();
        let Some((stored, like)) = self.row(index) else { return };
        let Some((full, _)) = like.and_then(|like| self.row(like)) else {
            return out.extend_from_slice(stored);
        };
        out.extend_from_slice(full);
        let mut stored = stored.iter().copied();
        for group in out.chunks_mut(GROUP) {
            let mut differing = stored.next().unwrap_or_default();
            while differing != 0 {
                let (place, word) = (differing.trailing_zeros() as usize, stored.next());
                differing &= differing - 1;
                if let (Some(at), Some(word)) = (group.get_mut(place), word) {
                    *at = word;
                }
            }
        }
    }

    /// Adds the rows of `other` behind these.
    pub fn append(&mut self, other: Self) {
        let words = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        let rows = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.words.extend(other.words);
        self.rows.extend(other.rows.into_iter().map(|row| PackedRow {
            end: row.end.saturating_add(words),
            like: row.like.map(|like| like.saturating_add(rows)),
        }));
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|before| self.rows.get(before)).map_or(0, |row| row.end as usize)
    }

    /// What is stored of a row, and which one it is like.
    fn row(&self, index: usize) -> Option<(&[u64], Option<usize>)> {
        let row = self.rows.get(index)?;
        let stored = self.words.get(self.start(index)..row.end as usize)?;
        Some((stored, row.like.map(|like| like as usize)))
    }

    /// Stores in what `row` differs from the words at `full`.
    fn push_differences(&mut self, row: &[u64], full: usize) {
        for (group, full) in row.chunks(GROUP).zip((full..).step_by(GROUP)) {
            let flags_at = self.words.len();
            self.words.push(0);
            let mut flags = 0;
            for (place, word) in group.iter().enumerate() {
                if self.words[full + place] != *word {
                    flags |= 1 << place;
                    self.words.push(*word);
                }
            }
            self.words[flags_at] = flags;
        }
    }
}

impl PartialEq for WordRows {
    /// Whether the rows are the same, however they are stored.
    fn eq(&self, other: &Self) -> bool {
        let (mut one, mut another) = (Vec::new(), Vec::new());
        self.len() == other.len()
            && (0..self.len()).all(|index| {
                self.read(index, &mut one);
                other.read(index, &mut another);
                one == another
            })
    }
}

impl Eq for WordRows {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(rows: &WordRows) -> Vec<Vec<u64>> {
        let mut row = Vec::new();
        (0..rows.len())
            .map(|index| {
                rows.read(index, &mut row);
                assert_eq!(rows.row_len(index), row.len());
                row.clone()
            })
            .collect()
    }

    #[test]
    fn what_is_the_same_is_stored_once() {
        let (mut rows, row) = (WordRows::default(), [7; 130]);
        let first = rows.push(&row, None);
        assert_eq!((first, rows.stored()), (0, 130));
        let mut other = row;
        other[129] = 8;
        rows.push(&other, Some(first));
        assert_eq!(rows.stored(), 130 + 3 + 1);
        assert_eq!(rows.push(&row[..5], Some(first)), 2);
        assert_eq!(rows.stored(), 130 + 3 + 1 + 5, "another length is another kind");
        assert_eq!(all(&rows), [row.to_vec(), other.to_vec(), row[..5].to_vec()]);
    }

    proptest! {
        #[test]
        fn rows_come_back(
            input in prop::collection::vec((prop::collection::vec(0_u64..3, 0..70), any::<Option<u8>>()), 0..40),
            half in 0..40_usize,
        ) {
            let add = |input: &[(Vec<u64>, Option<u8>)]| {
                let mut rows = WordRows::default();
                for (row, like) in input {
                    rows.push(row, like.map(usize::from));
                }
                rows
            };
            let (first, second) = input.split_at(half.min(input.len()));
            let mut rows = add(first);
            rows.append(add(second));
            prop_assert_eq!(all(&rows), input.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>());
            prop_assert!(rows == add(&input));
        }
    }
}
