//! The page and the picture in a real browser: they are drawn, they can be used, and nothing is fetched or goes wrong.

use std::path::PathBuf;

use leaktrace_tests::browser::{Browser, ensure};
use leaktrace_tests::leaktrace::leaktrace;
use leaktrace_tests::privilege::skip;
use leaktrace_tests::{Mode, Target, Version};
use serde_json::Value;
use tempfile::TempDir;

/// What the target waits on, and how many of each.
const SCENARIOS: &str = "leak_chan_send=30 mutex=7 parked=50 ticker=3 pool=4";

/// A browser that shows a dump of a program.
struct Shown {
    browser: Browser,
    file: PathBuf,
    _directory: TempDir,
}

impl Shown {
    fn open(format: &str) -> Option<Self> {
        if let Err(error) = ensure(&mut |what| eprintln!("{what}")) {
            skip(&format!("no browser: {error:#}"));
            return None;
        }
        let target = Target::start(Version::NEWEST, Mode::Plain, SCENARIOS);
        let directory = tempfile::tempdir().expect("a directory can be made");
        let file = directory.path().join(format!("dump.{format}"));
        let outcome = leaktrace(&format!("dump --pid {} -o {}", target.pid(), file.display()));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let browser = Browser::start().expect("the browser starts");
        browser.open(&file).expect("the file opens");
        Some(Self { browser, file, _directory: directory })
    }

    #[track_caller]
    fn run(&self, script: &str) -> Value {
        self.browser.run(script).expect("the script runs")
    }

    /// The texts of what a script finds.
    #[track_caller]
    fn texts(&self, script: &str) -> Vec<String> {
        let texts = self.run(&format!("return Array.from({script})"));
        serde_json::from_value(texts).expect("they are texts")
    }

    #[track_caller]
    fn click(&self, selector: &str) {
        self.browser.click(selector).expect("it can be clicked on");
    }

    /// A column of the table of groups.
    #[track_caller]
    fn column(&self, number: usize) -> Vec<String> {
        self.texts(&format!(
            "document.querySelectorAll('tr.group td:nth-child({number})')).map((cell) => cell.textContent"
        ))
    }

    /// How many goroutines the groups have, from the first row on.
    #[track_caller]
    fn counts(&self) -> Vec<u64> {
        self.column(1).iter().map(|count| count.replace(',', "").parse().expect("a count")).collect()
    }

    /// Checks that nothing went wrong and that only the file was asked for.
    #[track_caller]
    fn assert_quiet(&self) {
        let console = self.browser.console().expect("there is a log");
        assert!(console.is_empty(), "the browser complains: {console:#?}");
        let own = format!("file://{}", self.file.display());
        let others = self.browser.requests(&own).expect("there is a log");
        assert_eq!(others, [own], "the page asks for nothing but itself");
    }
}

#[test]
fn the_page_draws_every_goroutine() {
    let Some(page) = Shown::open("html") else { return };
    let frames = page.texts("document.querySelectorAll('#flame .frame')).map((frame) => frame.title");
    let find = |start: &str| frames.iter().find(|frame| frame.starts_with(start)).map(String::as_str);
    assert_eq!(find("main.parked"), Some("main.parked.func1: 50 goroutines, 52.6%"), "{frames:#?}");
    assert!(find("main.leakChanSend").is_some_and(|frame| frame.contains("30 goroutines")), "{frames:#?}");
    // Where it is drawn: the widths of frames are their shares, and children lie below their parents.
    let wide = "const width = (start) => Array.from(document.querySelectorAll('#flame .frame'))\
                .find((frame) => frame.title.startsWith(start)).getBoundingClientRect().width; \
                return width('main.parked') / width('all')";
    let share = page.run(wide).as_f64().expect("a number");
    assert!((share - 0.526).abs() < 0.01, "{share}");
    page.assert_quiet();
}

#[test]
fn the_flame_graph_can_be_zoomed() {
    let Some(page) = Shown::open("html") else { return };
    let wide = "const box = (frame) => frame.getBoundingClientRect().width; \
                return box(document.querySelector('#flame .frame[title^=\"main.parked\"]')) / \
                box(document.querySelector('#flame .frame'))";
    page.click("#flame .frame[title^='main.parked']");
    assert!((page.run(wide).as_f64().expect("a number") - 1.0).abs() < 0.01, "it fills the graph");
    page.click("#reset");
    assert!(page.run(wide).as_f64().expect("a number") < 0.6, "all of it is shown again");
    page.assert_quiet();
}

#[test]
fn a_click_on_a_header_sorts_the_table() {
    let Some(page) = Shown::open("html") else { return };
    let descending = page.counts();
    assert_eq!(descending[..2], [50, 30]);
    assert!(descending.is_sorted_by(|left, right| left >= right), "{descending:?}");
    page.click("th button[data-key=count]");
    let ascending = page.counts();
    assert!(ascending.is_sorted() && ascending.len() == descending.len(), "{ascending:?}");
    assert_ne!(ascending, descending);
    page.click("th button[data-key=doing]");
    let doing = page.column(3);
    assert!(doing.is_sorted() && doing.len() == descending.len(), "{doing:?}");
    let sorted = "return document.querySelector('th[aria-sort=ascending] button').dataset.key";
    assert_eq!(page.run(sorted), "doing");
    page.assert_quiet();
}

#[test]
fn groups_are_found_by_text_and_open_with_a_click() {
    let Some(page) = Shown::open("html") else { return };
    page.browser.type_into("#filter", "leakChanSend").expect("it can be typed into");
    assert_eq!(page.counts(), [30]);
    page.click("tr.group");
    let detail = page.texts("document.querySelectorAll('tr.detail')).map((row) => row.textContent").concat();
    assert!(detail.contains("created by: main.leakChanSend"), "{detail}");
    assert!(detail.contains("chan send on chan"), "{detail}");
    page.browser.type_into("#filter", "no such thing").expect("it can be typed into");
    assert_eq!(page.counts(), [0_u64; 0]);
    page.assert_quiet();
}

#[test]
fn groups_of_another_kind_can_be_chosen() {
    let Some(page) = Shown::open("html") else { return };
    page.browser.type_into("#by", "wait").expect("it can be chosen");
    let rows: Vec<_> = page.column(2).into_iter().zip(page.counts()).collect();
    assert!(rows.contains(&("chan send".to_owned(), 30)), "{rows:?}");
    page.assert_quiet();
}

#[test]
fn the_picture_draws_every_goroutine() {
    let Some(picture) = Shown::open("svg") else { return };
    let titles = picture.texts("document.querySelectorAll('title')).map((title) => title.textContent");
    let parked = titles.iter().find(|title| title.starts_with("main.parked"));
    assert!(parked.is_some_and(|title| title.contains("50 goroutines")), "{titles:#?}");
    let wide = picture.run("return document.querySelector('#frames rect').getBoundingClientRect().width");
    assert!(wide.as_f64().expect("a number") > 1.0, "{wide}");
    picture.assert_quiet();
}
