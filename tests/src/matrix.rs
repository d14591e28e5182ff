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
    let mut failures = Vec::new();
    let mut ran = 0;
    for (version, mode) in cells.into_iter().filter(|(version, mode)| is_wanted(&wanted, *version, *mode)) {
        ran += 1;
        if let Err(error) = Toolchain::get(version, &mut |what| eprintln!("{what}")) {
            skip(&format!("go {version} {}: {error:#}", mode.as_str()));
            continue;
        }
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| test(version, mode))) {
            failures.push(format!("go {version} {}: {}", mode.as_str(), message(payload.as_ref())));
        }
    }
    assert!(ran > 0, "no cell is called {wanted}");
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
