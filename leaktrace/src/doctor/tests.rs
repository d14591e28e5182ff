use leaktrace_core::go::facts::Facts;
use leaktrace_core::go::version::{GoVersion, NEWEST_TESTED};

use super::*;
use crate::kernel::features::Feature;

fn shown(items: &[Item]) -> String {
    let mut out = Vec::new();
    Page { out: &mut out, color: false }.items(items).unwrap();
    String::from_utf8(out).unwrap()
}

fn findings(absent: &[Feature]) -> Vec<Finding> {
    let state = |feature| if absent.contains(&feature) { State::Absent } else { State::Present };
    Feature::ALL.into_iter().map(|feature| Finding { feature, state: state(feature) }).collect()
}

#[test]
fn one_way_to_attach_is_enough() {
    let all = Privileges::with(&Capability::NEEDED);
    assert_eq!(verdict(&all, &findings(&[Feature::UprobeMulti])), Ok(()));
    assert_eq!(verdict(&all, &findings(&[Feature::PerfUprobe, Feature::Jit])), Ok(()));
    let none = findings(&[Feature::UprobeMulti, Feature::PerfUprobe]);
    assert_eq!(verdict(&all, &none), Err(DoctorError::Kernel));
    assert_eq!(verdict(&all, &findings(&[Feature::RingBuffer])), Err(DoctorError::Kernel));
}

#[test]
fn what_is_missing_comes_with_its_remedy() {
    let items =
        machine(&Privileges::with(&[Capability::Bpf, Capability::Perfmon, Capability::DacReadSearch]));
    assert_eq!(
        shown(&items),
        "  ok      CAP_BPF: load eBPF programs\n  \
           ok      CAP_PERFMON: attach probes\n  \
           MISSING CAP_SYS_PTRACE: read the memory of other users' processes\n          \
           → run as root (sudo), or grant it (in Docker: --cap-add, in Kubernetes: \
         securityContext.capabilities)\n  \
           ok      CAP_DAC_READ_SEARCH: open other users' binaries\n\n"
    );
}

#[test]
fn a_name_cannot_add_items() {
    let items = [Item::note("x\n  ok      \u{202e}", "\x1b[1A"), Item::good("y\u{2028}")];
    assert_eq!(
        shown(&items),
        "  note    x\\n  ok      \\u202e\n          → \\x1b[1A\n  ok      y\\u2028\n\n"
    );
    let mut out = Vec::new();
    Page { out: &mut out, color: true }.heading("Process 7: /x\n\x1b[2J").unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "Process 7: /x\\n\\x1b[2J\n");
}

#[test]
fn what_is_not_known_of_a_release_is_said() {
    let of = |version| Facts::of(version, |_| false).refused().map(of_untested).collect::<Vec<_>>();
    assert_eq!(of(NEWEST_TESTED), []);
    let items = of(GoVersion::new(1, 99));
    assert!(!items.is_empty() && items.iter().all(|item| item.verdict == Verdict::Note), "{items:?}");
    assert!(
        shown(&items).contains("leaktrace does not know runtime.fingStatus in go1.99"),
        "{}",
        shown(&items)
    );
}

#[test]
fn what_cannot_be_asked_is_no_verdict() {
    let found = Finding { feature: Feature::RingBuffer, state: State::Unknown };
    let item = of_feature(found, true);
    assert_eq!(item.verdict, Verdict::Note);
    assert_eq!(item.remedy.as_deref(), Some("run this as root (sudo) to find out"));
}
