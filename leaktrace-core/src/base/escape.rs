//! Foreign words as each medium takes them, a function a medium.
//!
//! A target, a file or a repository may call things whatever it likes: a name can hold an escape sequence that rewrites
//! the screen, a line break behind which something of ours seems to follow, or marks that turn the order of a line
//! round. What is not plainly text is shown as Go would quote it. Names that are ordinary stay what they are.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Whether `c` does anything else than to be seen: it moves a cursor, ends a line, turns the order of others round, cannot
/// be seen at all, or is no character.
pub(super) const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        // Arabic letter mark, zero width space, direction marks; embeddings, overrides and isolates; deprecated ones.
        | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Separators of lines and paragraphs.
        | '\u{2028}' | '\u{2029}'
        // Byte order mark, interlinear annotations, and what XML 1.0 has no place for.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        // Tags.
        | '\u{e0000}'..='\u{e007f}')
}

/// Whether `text` can be shown as it is, within a line.
pub fn is_printable(text: &str) -> bool {
    // Most names are ASCII, and of that a few instructions tell.
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.contains(is_hostile)
}

/// Text within a line of a terminal or a file: `\x1b`, `\n` and `\u202e` instead of what they stand for.
pub fn line(text: &str) -> Cow<'_, str> {
    if is_printable(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push_visible(&mut out, c));
    Cow::Owned(out)
}

/// Shows what is displayed as text [within a line](line()).
pub fn shown(what: impl fmt::Display) -> String {
    let text = what.to_string();
    match line(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}

/// Text as content or attribute of an XML document. Its line breaks and tabs are kept.
pub(crate) fn xml(text: &str) -> String {
    markup(text, |c| match c {
        '\n' => Some("&#10;"),
        '\t' => Some("&#9;"),
        _ => None,
    })
}

/// Text as content or attribute of an HTML document.
pub fn html(text: &str) -> String {
    markup(text, |_| None)
}

/// JSON that may stand in a script element of an HTML document: without anything that could end it or begin another one.
pub(crate) fn script_json(json: &str) -> String {
    let json = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn markup(text: &str, kept: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => match kept(c) {
                Some(entity) => out.push_str(entity),
                None => push_visible(&mut out, c),
            },
        }
    }
    out
}

fn push_visible(out: &mut String, c: char) {
    // Writing to a string cannot fail.
    _ = match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if !is_hostile(c) => out.write_char(c),
        ..='\x7f' => write!(out, "\\x{:02x}", u32::from(c)),
        ..='\u{ffff}' => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\U{:08x}", u32::from(c)),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_stay_what_they_are() {
        for name in
            ["main.(*Größe[go.shape.int]).f-fm", "/src/a b/世界.go", "c:\\src\\x.go", "", "👩\u{200d}💻"]
        {
            assert!(matches!(line(name), Cow::Borrowed(same) if same == name), "{name}");
        }
    }

    #[test]
    fn what_is_no_text_is_shown_as_go_quotes_it() {
        assert_eq!(line("a\x1b[2J\nb\r\t\x7f\u{9b}"), r"a\x1b[2J\nb\r\t\x7f\u009b");
        assert_eq!(line("\u{202e}x\u{2066}\u{61c}\u{200f}\u{2028}"), r"\u202ex\u2066\u061c\u200f\u2028");
        assert_eq!(line("\u{ffff}\u{e0041}"), r"\uffff\U000e0041");
        assert_eq!(shown(format_args!("{}\n", 7)), r"7\n");
    }

    #[test]
    fn nothing_is_markup_and_nothing_is_refused() {
        assert_eq!(
            xml("<a b=\"&\">\u{1b}\n\u{ffff}é'"),
            r"&lt;a b=&quot;&amp;&quot;&gt;\x1b&#10;\uffffé&#39;"
        );
        assert_eq!(html("<b a='\"'>&\n"), r"&lt;b a=&#39;&quot;&#39;&gt;&amp;\n");
        assert_eq!(script_json("\"</script>&\u{2028}\""), r#""\u003c/script\u003e\u0026\u2028""#);
    }

    proptest! {
        #[test]
        fn every_text_becomes_one_line(text in "(\\PC|\\p{C}|[\u{200b}-\u{206f}\0-\u{a0}]){0,24}") {
            let shown = line(&text);
            prop_assert!(is_printable(&shown) && shown.lines().count() <= 1, "{shown:?}");
            prop_assert_eq!(is_printable(&text), *shown == *text);
        }
    }
}
