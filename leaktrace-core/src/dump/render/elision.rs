//! Stacks that are deeper than a picture or a page can show: the frames in the middle are left out, and that is said.

/// What is written in place of `count` frames, in Go's own words.
pub(super) fn elision(count: usize) -> String {
    format!("...{count} frames elided...")
}

/// At most `most` entries of `all`: of more, those at both ends, and what `instead` makes of how many are left out.
pub(super) fn elided<T>(mut all: Vec<T>, most: usize, instead: impl FnOnce(usize) -> T) -> Vec<T> {
    let left_out = all.len().saturating_sub(most);
    if left_out > 0 {
        // What is written instead takes the place of one more.
        let first = most / 2;
        all.splice(first..=first + left_out, [instead(left_out + 1)]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_left_out_and_counted() {
        let shown = |count: usize| elided((0..count).map(|n| n.to_string()).collect(), 5, elision).join(" ");
        assert_eq!(shown(5), "0 1 2 3 4");
        assert_eq!(shown(6), "0 1 ...2 frames elided... 4 5");
        assert_eq!(shown(9), "0 1 ...5 frames elided... 7 8");
    }
}
