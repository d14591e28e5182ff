//! Reads what `git blame --porcelain` says of a line.

use super::shown;
use crate::schema::Blame;

/// The longest name or subject, in characters, that is kept.
const MAX_TEXT: usize = 120;

/// The first line's entry in the output of `git blame --porcelain`; `None` if it is not that, or of a line that does not say
/// `text`, as [`line_of`](super::line_of) gives it.
///
/// Source: `git-blame(1)`, "THE PORCELAIN FORMAT".
pub fn parse_blame(output: &str, text: &str) -> Option<Blame> {
    let mut lines = output.lines();
    let blamed = output.lines().find_map(|line| line.strip_prefix('\t'))?;
    let says_so = shown(blamed) == text;
    let commit = lines.next()?.split(' ').next()?;
    let is_hash = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    // The line itself comes after a tab, and could look like any header.
    let headers: Vec<&str> = lines.take_while(|line| !line.starts_with('\t')).collect();
    let header = |name: &str| headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let is_committed = commit.bytes().any(|byte| byte != b'0');
    (is_hash && says_so).then_some(Blame {
        commit: is_committed.then(|| commit.to_owned()),
        author: short(header("author")?),
        author_unix: header("author-time")?.parse().ok()?,
        summary: short(header("summary").unwrap_or_default()),
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
f9182c2b0c1d2e3f405162738495a6b7c8d9e0f1 88 88 1
author Jo Doe
author-mail <jo@example.com>
author-time 1763000000
author-tz +0100
committer Jo Doe
summary Process orders in the background
filename order/worker.go
\tauthor Mallory
";

    const TEXT: &str = "author Mallory";

    #[test]
    fn the_headers_are_read_and_the_line_is_not() {
        let blame = parse_blame(OUTPUT, TEXT).unwrap();
        assert_eq!(blame.commit.as_deref(), Some("f9182c2b0c1d2e3f405162738495a6b7c8d9e0f1"));
        assert_eq!((blame.author.as_str(), blame.author_unix), ("Jo Doe", 1_763_000_000));
        assert_eq!(blame.summary, "Process orders in the background");
    }

    #[test]
    fn a_line_that_is_not_committed_has_no_commit() {
        let output = OUTPUT.replace("f9182c2b0c1d2e3f405162738495a6b7c8d9e0f1", &"0".repeat(40));
        assert_eq!(parse_blame(&output, TEXT).unwrap().commit, None);
    }

    #[test]
    fn another_line_than_the_one_that_is_meant_is_nothing() {
        assert_eq!(parse_blame(OUTPUT, "author"), None);
    }

    #[test]
    fn anything_else_is_nothing() {
        for output in ["", "fatal: no such path", "\n\n", &OUTPUT[..60]] {
            assert_eq!(parse_blame(output, TEXT), None, "{output:?}");
        }
    }
}
