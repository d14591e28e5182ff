//! What a hostile name may hold, and what must not come of it.

/// Ends of names that would do something to whoever reads them.
pub(crate) const HOSTILE: [&str; 12] = [
    "\nFORGED",
    "\r\nFORGED",
    "\u{85}FORGED\u{b}FORGED\u{c}FORGED",
    "\u{2028}FORGED\u{2029}FORGED",
    "\x1b[2J\x1b]0;title\x07",
    "\u{9b}31m\u{90}",
    "\u{202e}\u{2066}\u{200f}\u{61c}",
    "\0\u{8}\x7f",
    "\u{ffff}\u{fffe}",
    "</script><!--&\"'>",
    "]]>&#x1b;",
    ";a\tb",
];

/// Checks that `text` has lines and what can be seen, and that no name began a line.
#[track_caller]
pub(crate) fn assert_harmless(what: &str, text: &str) {
    let does_something = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
    };
    let found = text.chars().position(does_something);
    assert_eq!(found, None, "{what}: {text:?}");
    let forged = text.lines().find(|line| line.trim_start().starts_with("FORGED"));
    assert_eq!(forged, None, "{what}: {text}");
}
