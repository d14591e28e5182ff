//! `go tool pprof` opens our profile, and shows the same counts as it shows of the program's own.

use std::fs;
use std::path::Path;

use leaktrace_tests::go::{Mode, Toolchain, Version};
use leaktrace_tests::leaktrace::leaktrace;
use leaktrace_tests::matrix::each;
use leaktrace_tests::own_text::OwnText;

/// Releases whose own profiles differ in how long their stacks are, each with the `pprof` of its time.
const RELEASES: [Version; 4] = [Version::OLDEST, Version::new(22, 10), Version::new(25, 5), Version::NEWEST];

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

/// How many goroutines the samples count.
fn samples(raw: &str) -> u64 {
    let (_, rest) = raw.split_once("goroutine/count").expect("there are samples");
    let (samples, _) = rest.split_once("Locations").expect("locations follow");
    let count = |line: &str| line.split_once(':')?.0.trim().parse::<u64>().ok();
    samples.lines().filter_map(count).sum()
}

#[test]
fn go_tool_pprof_counts_the_same_in_our_profile_and_in_the_programs_own() {
    each(RELEASES.map(|version| (version, Mode::Plain)), |version, mode| {
        let program = OwnText::start(version, mode);
        let directory = tempfile::tempdir().expect("a directory can be made");
        let (own, ours) = (directory.path().join("own.pb.gz"), directory.path().join("ours.pb.gz"));
        fs::write(&own, program.own.profile()).expect("a file can be written");
        let outcome = leaktrace(&format!("dump --pid {} -o {}", program.pid(), ours.display()));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{}", outcome.stderr);

        let count = samples(&pprof(version, &["-raw"], &own));
        assert_eq!(samples(&pprof(version, &["-raw"], &ours)), count);
        let top = pprof(version, &["-top", "-nodecount=5000"], &ours);
        assert!(top.contains("Type: goroutine") && top.contains(&format!("100% of {count} total")), "{top}");
        let base = format!("-diff_base={}", own.display());
        let diff = pprof(version, &["-top", "-nodecount=5000", &base], &ours);
        assert_only_the_first_goroutine_differs(&diff);
        eprintln!("go {version}: {count} goroutines agree");
    });
}
