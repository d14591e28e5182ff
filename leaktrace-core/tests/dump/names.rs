//! Whatever names a target has, they are names in every format and nothing else.

use leaktrace_core::dump::diff::{self, diff};
use leaktrace_core::dump::group::By;
use leaktrace_core::dump::render::{FORMATS, Labels, Options, render};
use leaktrace_core::goroutines::Dump;
use proptest::prelude::*;
use quick_xml::events::Event;

use crate::hostile::assert_harmless;
use crate::made_up::dumps;

fn written(format: &str, dump: &Dump, options: &Options) -> Vec<u8> {
    let mut out = Vec::new();
    render(FORMATS.named(format).unwrap(), dump, options, &mut out).unwrap();
    out
}

/// Checks that an XML parser reads `text` to its end.
#[track_caller]
fn assert_xml(text: &str) {
    let mut reader = quick_xml::Reader::from_str(text);
    while reader.read_event().unwrap_or_else(|error| panic!("{error}: {text}")) != Event::Eof {}
}

/// Checks what a format made of a dump: text is harmless, JSON is JSON, and the rest is not for eyes.
fn check(format: &str, out: Vec<u8>) {
    match format {
        "pprof" | "ltr" => {}
        _ => {
            let text = String::from_utf8(out).unwrap();
            assert_harmless(format, &text);
            match format {
                "json" => drop(serde_json::from_str::<serde_json::Value>(&text).unwrap()),
                "svg" => assert_xml(&text),
                "html" => assert_eq!(text.matches("</script>").count(), 2),
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn names_stay_names_in_every_format(dump in dumps()) {
        for labels in [Labels::Always, Labels::AsTarget] {
            for by in By::ALL {
                let all = Options { by, labels, all_frames: true, include_runtime: true, ..Options::default() };
                let some = Options { by, labels, title: "t\x1b\u{202e}\n".to_owned(), ..Options::default() };
                for (format, options) in FORMATS.all().iter().flat_map(|format| [(format, &all), (format, &some)]) {
                    check(format.name, written(format.name, &dump, options));
                }
            }
        }
    }

    #[test]
    fn names_stay_names_in_every_difference((before, after) in (dumps(), dumps())) {
        for by in By::ALL {
            let diff = diff(&before, &after, by, true);
            for format in diff::FORMATS.all() {
                let mut out = Vec::new();
                (format.writer)(&diff, usize::MAX, &mut out).unwrap();
                check(format.name, out);
            }
        }
    }
}

#[cfg(feature = "svg")]
#[test]
fn an_empty_picture_is_xml_whatever_its_title_is() {
    let options = Options { title: "<\u{ffff}\x1b&".to_owned(), ..Options::default() };
    let text = String::from_utf8(written("svg", &Dump::default(), &options)).unwrap();
    assert_xml(&text);
    assert_harmless("svg", &text);
}
