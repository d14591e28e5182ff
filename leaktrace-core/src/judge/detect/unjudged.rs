//! What is not judged, so that nobody takes silence for all-clear.

use super::history::MOST_PLACES;
use crate::base::human;

/// What no rule could judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unjudged {
    /// Goroutines at places beyond the number of those that are followed.
    pub not_followed: u64,
    /// Whether the kernel did not say what connections are waited for, although that would decide something.
    pub connections: bool,
}

impl Unjudged {
    /// The same in sentences for the report.
    pub fn notices(self) -> impl Iterator<Item = String> {
        let goroutines = human::some(self.not_followed, "goroutine");
        let places = (self.not_followed > 0).then(|| {
            format!("{goroutines} were not judged: verdicts follow {MOST_PLACES} places and `go` statements at most")
        });
        let connections = self.connections.then(|| {
            "whose connections goroutines wait for is not known, because the kernel does not answer (sock_diag): growth \
             that follows clients cannot be told from leaked connections"
                .to_owned()
        });
        places.into_iter().chain(connections)
    }
}
