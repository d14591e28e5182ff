//! Pages of documentation with figures that a command writes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::step::say;

/// Below this line are the figures.
const END: &str = "<!-- end of figures -->";

/// Puts the figures of a run into `page`, between the lines that name the command and the end.
pub(crate) fn save(page: &str, command: &str, figures: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text =
        with_figures(&text, command, figures).with_context(|| format!("{page} has no place for figures"))?;
    fs::write(&path, text)?;
    say(&format!("{page} has the new figures"));
    Ok(())
}

/// The page with other figures.
fn with_figures(page: &str, command: &str, figures: &str) -> Option<String> {
    let begin = format!("<!-- figures: written by `{command}` -->");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n\n{}\n\n{END}{after}", figures.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = |figures: &str| {
            format!("before\n<!-- figures: written by `x y` -->\n\n{figures}\n\n{END}\nafter\n")
        };
        assert_eq!(with_figures(&page("old"), "x y", "new\n"), Some(page("new")));
        assert_eq!(with_figures(&page("old"), "x z", "new"), None);
        assert_eq!(with_figures("no marks", "x y", "new"), None);
    }
}
