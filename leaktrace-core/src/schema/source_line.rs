//! Lines of source code, and who wrote them.

use serde::{Deserialize, Serialize};

/// One line of source code that a report speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    /// The path of the file, as the binary has it.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// The path of the file below the folder of sources, with `/`.
    pub path: String,
    /// What the line says, without the space around it.
    pub text: Option<String>,
    /// Who wrote it, and when.
    pub blame: Option<Blame>,
}

/// Who wrote a line, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blame {
    /// The commit, in hexadecimal; `None` if git says that it is none yet.
    pub commit: Option<String>,
    /// Its author.
    pub author: String,
    /// When it was written, in seconds since 1970.
    pub author_unix: i64,
    /// The first line of its message.
    pub summary: String,
}
