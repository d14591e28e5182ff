//! `docs/rules.md` says what the rules say of themselves.

use std::fmt::Write;

use leaktrace_core::judge::detect::Signatures;
use leaktrace_core::judge::detect::rules::by_code;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md");
const BEGIN: &str = "<!-- rules: made by `leaktrace-core/tests/detect/documented.rs` -->\n";
const END: &str = "<!-- end of rules -->\n";

fn rules() -> String {
    let mut text = String::new();
    for rule in by_code() {
        _ = write!(text, "\n### {} {}\n\n{}\n\n{}\n", rule.code, rule.name, rule.summary, rule.explanation);
    }
    text.push_str("\n## Known signatures\n\n| name | sure | cause | remedy |\n|---|---|---|---|\n");
    for signature in Signatures::built_in().iter() {
        let (name, sure) = (&signature.name, signature.severity.as_str());
        _ = writeln!(text, "| `{name}` | {sure} | {} | {} |", signature.cause, signature.remedy);
    }
    text.push('\n');
    text
}

#[test]
fn the_document_has_every_rule_in_its_own_words() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (documented, after) = rest.split_once(END).unwrap();
    if std::env::var_os("LEAKTRACE_BLESS").is_some() {
        std::fs::write(DOCUMENT, [before, BEGIN, &rules(), END, after].concat()).unwrap();
        return;
    }
    assert_eq!(documented, rules(), "bless with LEAKTRACE_BLESS=1");
}
