//! Sessions that end without a report.

use super::{Exit, Meaning};
use crate::session::{NothingFound, Unseen};

pub(super) fn of_nothing(nothing: NothingFound) -> Meaning {
    match nothing {
        NothingFound::AtAll => Meaning::new(
            Exit::NoTarget,
            "only processes that you may read are found: run as root, or try another --exe or --comm",
        ),
        NothingFound::InTime => Meaning::new(Exit::NoTarget, "watch for longer"),
    }
}

pub(super) fn of_unseen(unseen: Unseen) -> Meaning {
    match unseen {
        Unseen::Exited => Meaning::new(
            Exit::NoTarget,
            "if a supervisor restarted it, use the new pid; `leaktrace run` watches a short program from its start",
        ),
        Unseen::Execed => Meaning::new(Exit::NoTarget, "start leaktrace again to watch the new program"),
        Unseen::Late => Meaning::new(Exit::Usage, "watch it for longer"),
    }
}
