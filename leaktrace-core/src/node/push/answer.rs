//! What became of something that was pushed.

use crate::base::escape;

/// How much of what a server says is told, in bytes.
const MOST_SAID: usize = 200;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has it.
    Sent,
    /// The server does not want this one, as it says; the next one may be welcome.
    Refused(String),
    /// There was no server, or it wants nothing from us for now.
    Failed(String),
}

impl Outcome {
    /// The server has answered with this status of HTTP, and these words.
    pub(super) fn of_status(status: u16, said: &[u8]) -> Self {
        let told = format!("status {status}{}", words(said));
        match status {
            200..=299 => Self::Sent,
            // Bad Request, Conflict, Content Too Large, Unsupported Media Type, Unprocessable Content.
            400 | 409 | 413 | 415 | 422 => Self::Refused(told),
            _ => Self::Failed(told),
        }
    }
}

/// What a server says, behind a colon: on one line, and not too long.
pub(super) fn words(said: &[u8]) -> String {
    let said = &said[..said.len().min(MOST_SAID)];
    let text = String::from_utf8_lossy(said);
    match text.trim() {
        "" => String::new(),
        text => format!(": {}", escape::line(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_to_go_on() {
        let outcome = |status| Outcome::of_status(status, b" no\n");
        assert_eq!((outcome(200), outcome(204)), (Outcome::Sent, Outcome::Sent));
        for status in [400, 413, 422] {
            assert_eq!(outcome(status), Outcome::Refused(format!("status {status}: no")));
        }
        for status in [0, 101, 301, 401, 403, 404, 429, 500, 503, 999] {
            assert_eq!(outcome(status), Outcome::Failed(format!("status {status}: no")));
        }
    }

    #[test]
    fn what_a_server_says_is_shown_on_one_line() {
        assert_eq!(words(b"a\x1b[2J\n\xffb "), ": a\\x1b[2J\\n\u{fffd}b");
        assert_eq!(words(&vec![b'x'; 70_000]).len(), 202);
        assert_eq!(words(b" \n"), "");
    }
}
