//! Paths as a binary has them: text with slashes, whatever the system that it was built on.

/// The last part of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
