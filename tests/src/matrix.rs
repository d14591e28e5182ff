//! Runs one test for many builds and reports every cell that fails, not the first.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::go::{Mode, Toolchain, Version, every_build};
use crate::privilege::skip;

/// Runs `test` for every release with every mode.
///
/// `LEAKTRACE_CELLS`, a list of words such as `1.27.3` or `pgo`, narrows it down while one develops.
///
/// # Panics
/// When any cell panics, with the list of those.
#[track_caller]
pub fn each_build(test: impl FnMut(Version, Mode)) {
    each(every_build(), test);
}

/// Runs `test` for every release, built plainly.
///
/// # Panics
/// When any cell panics, with the list of those.
#[track_caller]
pub fn each_version(mut test: impl FnMut(Version)) {
    each(Version::ALL.map(|version| (version, Mode::Plain)), |version, _plain| test(version));
}

/// Runs `test` for the given cells. A release that cannot be fetched here is reported as skipped.
///
/// # Panics
/// When any cell panics, with the list of those.
#[track_caller]
pub fn each(cells: impl IntoIterator<Item = (Version, Mode)>, mut test: impl FnMut(Version, Mode)) {
    let wanted = std::env::var("LEAKTRACE_CELLS").unwrap_or_default();
    let cells = cells.into_iter().filter(|(version, mode)| is_wanted(&wanted, *version, *mode));
    each_cell(
        cells.map(|(version, mode)| (format!("go {version} {}", mode.as_str()), (version, mode))),
        |cell| {
            let (version, mode) = cell;
            match Toolchain::get(version, &mut |what| eprintln!("{what}")) {
                Ok(_) => test(version, mode),
                Err(error) => skip(&format!("go {version} {}: {error:#}", mode.as_str())),
            }
        },
    );
}

/// Runs `test` for everything that has a name. `LEAKTRACE_CELLS`, the words of names, narrows it down.
///
/// # Panics
/// When any of them panics, with the list of those.
#[track_caller]
pub fn each_named<'n, T>(cells: impl IntoIterator<Item = (&'n str, T)>, test: impl FnMut(T)) {
    let wanted = std::env::var("LEAKTRACE_CELLS").unwrap_or_default();
    let is_wanted = |name: &str| wanted.split_whitespace().all(|word| name.contains(word));
    let cells = cells.into_iter().filter(|(name, _)| is_wanted(name));
    each_cell(cells.map(|(name, cell)| (name.to_owned(), cell)), test);
}

#[track_caller]
fn each_cell<T>(cells: impl Iterator<Item = (String, T)>, mut test: impl FnMut(T)) {
    let mut failures = Vec::new();
    let mut ran = 0;
    for (name, cell) in cells {
        ran += 1;
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| test(cell))) {
            failures.push(format!("{name}: {}", message(payload.as_ref())));
        }
    }
    assert!(ran > 0, "no cell is called as LEAKTRACE_CELLS says");
    assert!(failures.is_empty(), "{} of {ran} cells failed:\n{}", failures.len(), failures.join("\n"));
}

/// Every word must be the release or the mode of the cell.
fn is_wanted(wanted: &str, version: Version, mode: Mode) -> bool {
    let (version, mode) = (version.to_string(), mode.as_str());
    let is_release = |word: &&str| word.starts_with("1.");
    let matches = |words: Vec<&str>, own: &str| words.is_empty() || words.contains(&own);
    let (releases, modes): (Vec<&str>, Vec<&str>) = wanted.split_whitespace().partition(is_release);
    matches(releases, &version) && matches(modes, mode)
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}

#[cfg(test)]
mod tests {
    use super::is_wanted;
    use crate::go::{Mode, Version};

    #[test]
    fn words_narrow_the_matrix_down() {
        assert!(is_wanted("", Version::NEWEST, Mode::Pie));
        assert!(is_wanted("1.27.3 1.19.8 pie", Version::NEWEST, Mode::Pie));
        assert!(!is_wanted("1.27.3 race", Version::NEWEST, Mode::Pie));
        assert!(!is_wanted("1.26.6", Version::NEWEST, Mode::Pie));
    }
}
