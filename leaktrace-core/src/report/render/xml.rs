//! Text as XML takes it.

/// Escapes markup and replaces the characters that XML 1.0 cannot hold, which a target's names may contain.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_is_markup_and_nothing_is_refused() {
        assert_eq!(
            escape("<a b=\"&\">\u{1b}\n\u{ffff}é"),
            "&lt;a b=&quot;&amp;&quot;&gt;\u{fffd}&#10;\u{fffd}é"
        );
    }
}
