//! Reads the lines of source code that verdicts speak of, and asks git who wrote them. What a file is called below
//! the folder, and what its bytes say, is [`leaktrace_core::report::source`]'s.

mod git;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use leaktrace_core::report::source::{candidates, line_of, module_path, parse_blame, places};
use leaktrace_core::schema::Report;
use leaktrace_core::schema::{Blame, SourceLine};
use thiserror::Error;

/// The longest file that is read.
const MAX_FILE: u64 = 16 << 20;

/// The most lines that git is asked about in one run.
const MAX_BLAMES: usize = 64;

/// Why there are no sources.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The folder cannot be read.
    #[error("cannot read the sources in {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A folder with the sources of a program.
#[derive(Debug)]
pub struct SourceTree {
    root: PathBuf,
    /// The module that it holds, if it is the root of one.
    module: Option<String>,
    /// The repository that it is in, if it is asked.
    repository: Option<PathBuf>,
    blames_left: usize,
    known: HashMap<(String, u32), Option<SourceLine>>,
}

impl SourceTree {
    /// The sources in `root`; `blame` says whether git is asked about them.
    pub fn open(root: &Path, blame: bool) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Folder { path: root.to_owned(), source };
        std::fs::read_dir(root).map_err(failed)?;
        let go_mod = read(&root.join("go.mod")).unwrap_or_default();
        let module = module_path(&String::from_utf8_lossy(&go_mod)).map(str::to_owned);
        let repository = root.canonicalize().ok().filter(|_| blame).and_then(|root| Self::repository(&root));
        let (blames_left, known) = (MAX_BLAMES, HashMap::new());
        Ok(Self { root: root.to_owned(), module, repository, blames_left, known })
    }

    /// The sources in `folder`, if that is given; says so where nobody can tell who wrote them although that is wanted.
    pub(crate) fn of(folder: Option<&Path>, blame: bool) -> Result<Option<Self>, SourceError> {
        let tree = folder.map(|folder| Self::open(folder, blame)).transpose()?;
        if blame && tree.as_ref().is_none_or(|tree| tree.repository.is_none()) {
            tracing::warn!("{}", no_repository(folder));
        }
        Ok(tree)
    }

    /// The repository around `folder`.
    pub fn repository(folder: &Path) -> Option<PathBuf> {
        folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned)
    }

    /// Adds the lines that `report`'s verdicts speak of.
    pub(crate) fn annotate(&mut self, report: &mut Report) {
        report.sources = places(report).into_iter().filter_map(|place| self.line(place)).collect();
    }

    fn line(&mut self, place: (String, u32)) -> Option<SourceLine> {
        if let Some(known) = self.known.get(&place) {
            return known.clone();
        }
        let found = self.look_up(&place.0, place.1);
        self.known.insert(place, found.clone());
        found
    }

    fn look_up(&mut self, file: &str, line: u32) -> Option<SourceLine> {
        let places = candidates(file, self.module.as_deref());
        let path = places.into_iter().find(|path| self.root.join(path).is_file())?;
        let text = read(&self.root.join(&path)).ok().and_then(|bytes| line_of(&bytes, line));
        let blamed = text.clone().filter(|_| self.blames_left > 0);
        let blame = blamed.and_then(|text| self.blame(&path, line, &text));
        Some(SourceLine { file: file.to_owned(), line, path, text, blame })
    }

    /// Who wrote the line, if it still is what the last commit has there.
    fn blame(&mut self, path: &str, line: u32, text: &str) -> Option<Blame> {
        let repository = self.repository.as_deref()?;
        self.blames_left -= 1;
        match git::blame(repository, &self.root, path, line) {
            Ok((answer, status)) if status.success() => parse_blame(&answer, text),
            Ok((_, status)) => {
                tracing::warn!(path, line, %status, "git cannot tell who wrote a line");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "cannot run git");
                self.blames_left = 0;
                None
            }
        }
    }
}

/// Why `--blame` shows nothing.
fn no_repository(folder: Option<&Path>) -> String {
    let folder = folder.map_or_else(|| "the current directory".into(), Path::to_string_lossy);
    format!("--blame shows nothing, because {folder} is in no git repository; give one with --source")
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::git::tests::repository;
    use super::*;

    #[test]
    fn a_line_is_found_by_the_end_of_its_path_and_git_knows_its_author() {
        let folder = repository();
        let mut tree = SourceTree::open(folder.path(), true).unwrap();
        for file in ["/build/order/worker.go", "example.com/shop/order/worker.go"] {
            let line = tree.line((file.to_owned(), 3)).unwrap();
            assert_eq!((line.path.as_str(), line.text.as_deref()), ("order/worker.go", Some("go work()")));
            let blame = line.blame.unwrap();
            assert_eq!((blame.author.as_str(), blame.summary.as_str()), ("Jo", "Process orders"));
        }
        assert_eq!(tree.line(("/build/order/other.go".to_owned(), 3)), None);
    }

    #[test]
    fn a_line_that_is_not_the_committed_one_has_no_author() {
        let folder = repository();
        std::fs::write(folder.path().join("order/worker.go"), "package order\n\n\tgo other()\n").unwrap();
        let line =
            SourceTree::open(folder.path(), true).unwrap().line(("order/worker.go".to_owned(), 3)).unwrap();
        assert_eq!((line.text.as_deref(), line.blame), (Some("go other()"), None));
    }

    #[test]
    fn a_repository_is_found_from_inside_of_it() {
        let folder = repository();
        let found = SourceTree::repository(&folder.path().join("order"));
        assert_eq!(found.as_deref(), Some(folder.path()));
    }

    #[test]
    fn without_a_repository_there_is_nobody_to_blame() {
        let folder = tempfile::tempdir().unwrap();
        let tree = SourceTree::open(folder.path(), true).unwrap();
        assert_eq!(tree.repository, None);
        assert_eq!(
            no_repository(None),
            "--blame shows nothing, because the current directory is in no git repository; give one with --source"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let error = SourceTree::open(Path::new("/nonexistent"), false).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the sources in /nonexistent");
    }
}
