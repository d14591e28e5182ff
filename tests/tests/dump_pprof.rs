//! `go tool pprof` opens our profile, and shows the same counts as it shows of the program's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use leaktrace_tests::go::{Mode, Toolchain, Version};
use leaktrace_tests::leaktrace::leaktrace;
use leaktrace_tests::matrix::each;
use leaktrace_tests::own_text::OwnText;
use leaktrace_tests::traceback::{self, printed_name};

/// Releases whose own profiles differ in how long their stacks are, each with the `pprof` of its time.
const RELEASES: [Version; 4] = [Version::OLDEST, Version::new(22, 10), Version::new(25, 5), Version::NEWEST];

/// Those, plain and where addresses are not those of the file, and what the newest makes with C code and without symbols.
fn cells() -> impl Iterator<Item = (Version, Mode)> {
    let releases = RELEASES.into_iter().flat_map(|version| [(version, Mode::Plain), (version, Mode::Pie)]);
    releases.chain([(Version::NEWEST, Mode::Cgo), (Version::NEWEST, Mode::Stripped)])
}

/// All functions by their counts.
const TOP: &[&str] = &["-top", "-nodecount=5000"];

/// Writes the profile of a program and says where it is.
#[track_caller]
fn profile(program: &OwnText, options: &str, file: PathBuf) -> PathBuf {
    let outcome = leaktrace(&format!("dump --pid {} {options} -o {}", program.pid(), file.display()));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{}", outcome.stderr);
    file
}

/// What `go tool pprof` of a release prints of a profile.
#[track_caller]
fn pprof(version: Version, arguments: &[&str], profile: &Path) -> String {
    let toolchain = Toolchain::get(version, &mut |what| eprintln!("{what}")).expect("it is there");
    let output = toolchain.go().args(["tool", "pprof"]).args(arguments).arg(profile).output();
    let output = output.expect("go tool pprof runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

/// A row of the output of `-top`: the flat and the cumulative count of a function.
fn row(line: &str) -> Option<(i64, i64, &str)> {
    let mut words = line.split_whitespace();
    let (flat, cumulative) = (words.next()?.parse().ok()?, words.nth(2)?.parse().ok()?);
    Some((flat, cumulative, words.nth(1)?))
}

/// Where the output of `-top` shows one goroutine more or less: that is the first one, which wrote the program's profile
/// and reads its standard input when we come.
#[track_caller]
fn assert_only_the_first_goroutine_differs(diff: &str) {
    const ITS: [&str; 6] = ["runtime.", "runtime/pprof.", "syscall.", "os.", "internal/", "main.main"];
    let (_, rows) = diff.split_once("cum%\n").expect("there is a heading");
    let rows: Vec<_> = rows.lines().map(|line| row(line).expect("a row has counts")).collect();
    assert!(!rows.is_empty(), "the first goroutine differs: {diff}");
    for (flat, cumulative, function) in rows {
        assert!(flat.abs() <= 1 && cumulative.abs() <= 1, "{function}: {diff}");
        assert!(ITS.iter().any(|beginning| function.starts_with(beginning)), "{function}: {diff}");
    }
}

/// The part of the output of `-raw` between two headings.
#[track_caller]
fn part<'r>(raw: &'r str, from: &str, to: &str) -> &'r str {
    let (_, rest) = raw.split_once(from).unwrap_or_else(|| panic!("there is no {from}: {raw}"));
    rest.split_once(to).map_or(rest, |(part, _)| part)
}

/// How many goroutines there are of each set of labels, as `-raw` prints them: below each sample.
fn labels(raw: &str) -> BTreeMap<String, u64> {
    let (mut counts, mut count, mut own) = (BTreeMap::new(), 0, String::new());
    for line in part(raw, "goroutine/count\n", "Locations\n").lines().chain(["0: end"]) {
        let sample = line.split_once(':').and_then(|(count, _)| count.trim().parse().ok());
        if let Some(next) = sample {
            *counts.entry(std::mem::take(&mut own)).or_insert(0) += count;
            count = next;
        } else {
            own += line.trim();
        }
    }
    counts
}

/// The program's own mapping as `-raw` prints it: addresses and file, and the build id if there is one.
#[track_caller]
fn mapping(raw: &str) -> (&str, Option<&str>) {
    let line = part(raw, "Mappings\n1: ", "\n");
    let (rest, _flags) = line.split_once(" [FN]").expect("its functions are named");
    let (place, build_id) = rest.rsplit_once(' ').expect("a file and an id");
    (place, Some(build_id).filter(|id| !id.is_empty()))
}

/// How many goroutines were started in each function, but for those that the runtime started.
fn creators(debug2: &str) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for goroutine in traceback::parse(debug2).iter().filter(|one| !one.creator().is_empty()) {
        *counts.entry(goroutine.creator().to_owned()).or_insert(0) += 1;
    }
    counts.retain(|function, _| !function.starts_with("runtime."));
    counts
}

/// The same by `-top` of a profile in which each sample is where its goroutines were started. The runtime does not say who
/// started one if that was a wrapper that the compiler made.
fn top_creators(top: &str) -> BTreeMap<String, i64> {
    let rows = part(top, "cum%\n", "\0").lines().filter_map(row);
    let rows = rows.filter(|(.., name)| !name.starts_with("runtime.") && !name.contains(".gowrap"));
    rows.map(|(flat, _, function)| (printed_name(function), flat)).collect()
}

#[test]
fn go_tool_pprof_shows_of_our_profile_what_it_shows_of_the_programs_own() {
    each(cells(), |version, mode| {
        let program = OwnText::start(version, mode);
        let directory = tempfile::tempdir().expect("a directory can be made");
        let file = |name: &str| directory.path().join(name);
        let own = file("own.pb.gz");
        fs::write(&own, program.own.profile()).expect("a file can be written");
        let ours = profile(&program, "", file("ours.pb.gz"));

        let (own_raw, raw) = (pprof(version, &["-raw"], &own), pprof(version, &["-raw"], &ours));
        assert_eq!(labels(&raw), labels(&own_raw));
        let count: u64 = labels(&raw).values().sum();
        let (own_mapping, our_mapping) = (mapping(&own_raw), mapping(&raw));
        assert_eq!(our_mapping.0, own_mapping.0);
        assert!(own_mapping.1.is_none_or(|id| our_mapping.1 == Some(id)), "{our_mapping:?} {own_mapping:?}");
        let top = pprof(version, TOP, &ours);
        assert!(top.contains("Type: goroutine") && top.contains(&format!("100% of {count} total")), "{top}");
        let base = format!("-diff_base={}", own.display());
        assert_only_the_first_goroutine_differs(&pprof(version, &[TOP, &[&base]].concat(), &ours));

        let sites = profile(&program, "--by created-by", file("sites.pb.gz"));
        assert_eq!(top_creators(&pprof(version, TOP, &sites)), creators(program.own.debug2()));
        eprintln!("go {version} {}: {count} goroutines agree", mode.as_str());
    });
}
