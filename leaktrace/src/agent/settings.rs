//! Where the settings of the agent come from: what was typed, the environment, and a file, which may be read again.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use thiserror::Error;

use crate::cli::agent::Agent;
use crate::cli::layers::{self, LayerError};

/// The longest config file, in bytes.
const MOST_BYTES: u64 = 64 << 10;

/// What is wrong with the settings.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the config file {}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is too long.
    #[error("the config file {} exceeds the limit of {MOST_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// They say what makes no sense.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// Where they come from.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    typed: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Settings {
    /// What this process was started with.
    pub(super) fn of_this_process() -> Self {
        Self { typed: std::env::args_os().collect(), environment: std::env::vars_os().collect() }
    }

    /// What they are now. The file is read with the rights of whoever started us, and may not come back.
    pub(super) fn read(&self) -> anyhow::Result<Agent> {
        let Self { typed, environment } = self;
        let Some(path) = layers::config_file(typed, environment)? else {
            return Ok(layers::resolve(typed, environment, None)?);
        };
        let text = read(&path)?;
        layers::resolve(typed, environment, Some(&text))
            .with_context(|| format!("cannot use the settings of {}", path.display()))
    }
}

fn read(path: &Path) -> Result<String, SettingsError> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text).map(|_| text)
    };
    let text = read().map_err(|source| SettingsError::CannotRead { path: path.to_owned(), source })?;
    if text.len() as u64 > MOST_BYTES {
        return Err(SettingsError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &Path) -> Settings {
        let typed = ["leaktrace", "agent", "--exe", "typed", "--config"].map(OsString::from);
        Settings { typed: typed.into_iter().chain([file.into()]).collect(), environment: Vec::new() }
    }

    #[test]
    fn a_file_that_has_changed_is_read_as_it_is_now() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let settings = settings(file.path());
        for series in [200, 300] {
            std::fs::write(file.path(), format!("exe = 'file'\nmax-series = {series}")).unwrap();
            let agent = settings.read().unwrap();
            assert_eq!((agent.exe.as_deref(), agent.max_series), (Some("typed"), series));
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = |text: &[u8]| {
            std::fs::write(file.path(), text).unwrap();
            format!("{:#}", settings(file.path()).read().unwrap_err())
        };
        let path = file.path().display();
        assert!(
            told(&vec![b'#'; 65 << 10]).starts_with(&format!("the config file {path} exceeds the limit"))
        );
        assert!(told(b"\xff").starts_with(&format!("cannot read the config file {path}: ")));
        assert!(told(b"x = 1").starts_with(&format!("cannot use the settings of {path}: a key ")));
        let missing = settings(&file.path().with_extension("none")).read().unwrap_err();
        assert!(format!("{missing:#}").contains("No such file"), "{missing:#}");
    }
}
