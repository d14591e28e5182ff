//! Quoted strings, as two places of Go write them.

use std::fmt::Write;

/// `strconv.Quote`: what may be printed is, Unicode included.
pub(super) fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        push_escaped(&mut quoted, c, is_printable(c));
    }
    quoted.push('"');
    quoted
}

/// `print(quoted(text))` of the runtime: ASCII only.
pub(super) fn runtime_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\x07' | '\x08' | '\x0b' | '\x0c' => write_hex(&mut quoted, "\\x", 2, c),
            // The runtime compares with 127 and not with 128, so the delete character takes this way.
            '\x7f' => quoted.push_str("\\u007f"),
            _ => push_escaped(&mut quoted, c, matches!(c, ' '..='~')),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether the runtime quotes this label (`tracebackStringNeedsQuoting`).
pub(super) fn needs_quotes(text: &str) -> bool {
    !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_'))
}

fn push_escaped(out: &mut String, c: char, printable: bool) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if printable => out.push(c),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\x0b' => out.push_str("\\v"),
        ..='\x7f' => write_hex(out, "\\x", 2, c),
        ..='\u{ffff}' => write_hex(out, "\\u", 4, c),
        _ => write_hex(out, "\\U", 8, c),
    }
}

fn write_hex(out: &mut String, prefix: &str, digits: usize, c: char) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{prefix}{:0digits$x}", u32::from(c));
}

/// `unicode.IsPrint`, up to the Unicode version: the standard library escapes the same characters when it prints
/// a string for debugging, but for the first one, which it also escapes if it would combine.
fn is_printable(c: char) -> bool {
    if c == '\'' {
        return true;
    }
    let mut text = String::from("a");
    text.push(c);
    text.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_quotes_what_cannot_be_printed() {
        assert_eq!(go_quote("a\"b\\c\n\u{1}\u{7f}'\u{7}"), r#""a\"b\\c\n\x01\x7f'\a""#);
        assert_eq!(go_quote("Grüße\u{200b} 世界 \u{1f600}\u{301}"), "\"Grüße\\u200b 世界 \u{1f600}\u{301}\"");
        assert_eq!(go_quote("\u{a0}\u{fffd}\u{e000}\u{10ffff}"), "\"\\u00a0\u{fffd}\\ue000\\U0010ffff\"");
    }

    #[test]
    fn the_runtime_quotes_all_but_ascii() {
        assert_eq!(runtime_quote("ü\u{1f600}\t\"\u{7}\u{7f}"), r#""\u00fc\U0001f600\t\"\x07\u007f""#);
        assert!(needs_quotes("a-b") && !needs_quotes("/api/v1.2_x") && !needs_quotes(""));
    }
}
