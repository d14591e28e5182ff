use std::collections::BTreeSet;

use super::*;
use crate::schema::{Level, Location, NodeIncident, NodeSite, PodPlace, ProcessId, Severity};

fn site(line: u32, live: u64) -> NodeSite {
    let created_by = Location {
        function: Some("main.serve".to_owned()),
        file: Some("/src/app/main.go".to_owned()),
        line: Some(line),
        pc: "0x4711beef".to_owned(),
    };
    NodeSite { created_by, live, old: 0, oldest_ns: 0, suspect: None, per_minute: None }
}

fn process(pid: u32, exe: &str, live: u64) -> NodeProcess {
    NodeProcess {
        id: ProcessId { pid, start_ticks: 1000 + u64::from(pid) },
        exe: exe.to_owned(),
        container_id: None,
        unit: Some("order.service".to_owned()),
        kubernetes: None,
        go_version: Some("go1.27.3".to_owned()),
        version: Some(format!("v1.{pid}.0")),
        state: NodeState::Watched,
        reason: None,
        goroutines: Some(live),
        created: Some(live + 100),
        ended: Some(100),
        oldest_ns: Some(u64::from(pid) * 1_000_000_000),
        look_age_ns: Some(0),
        sites: vec![site(10, live)],
        other_sites: 0,
        study_age_ns: None,
        is_studied: false,
        level: Level::Memory,
        level_reason: None,
        incidents: Vec::new(),
    }
}

#[test]
fn a_process_in_a_pod_has_its_names_and_no_other_has_any() {
    let place = PodPlace {
        namespace: "shop".to_owned(),
        pod: "order-5bd7-a".to_owned(),
        container: "order".to_owned(),
        workload: "order".to_owned(),
        workload_kind: "Deployment".to_owned(),
    };
    let id = Some("a".repeat(64));
    let named = NodeProcess { container_id: id.clone(), kubernetes: Some(place), ..process(1, "order", 5) };
    let nameless = NodeProcess { container_id: id, ..process(2, "order", 6) };
    let said =
        families(&[named, nameless], &mut Totals::default(), &OwnFigures::default(), &Bounds::default());
    let samples = &said.iter().find(|family| family.name == "leaktrace_goroutines").unwrap().samples;
    let labels: Vec<Vec<&str>> =
        samples.iter().map(|sample| sample.labels.iter().map(|(name, _)| *name).collect()).collect();
    let own = ["exe", "container_id", "unit"];
    assert_eq!(labels, [own.to_vec(), [&own[..], &["namespace", "pod", "container", "workload"]].concat()]);
    let values: Vec<&str> = samples[1].labels[3..].iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["shop", "order-5bd7-a", "order", "order"]);
}

struct Said(Vec<MetricFamily>);

impl Said {
    fn of(processes: &[NodeProcess], totals: &mut Totals, bounds: Bounds) -> Self {
        let said = Self(families(processes, totals, &OwnFigures::default(), &bounds));
        let mut seen = BTreeSet::new();
        for family in &said.0 {
            for sample in &family.samples {
                assert!(seen.insert((family.name, sample.labels.clone())), "{} {sample:?}", family.name);
            }
        }
        let all: usize = said.0.iter().map(|family| family.samples.len()).sum();
        assert_eq!(said.values("leaktrace_series", "shown"), [real(all as u64)]);
        said
    }

    /// The values of all samples of a metric that have a label with this value.
    fn values(&self, name: &str, label: &str) -> Vec<f64> {
        let samples = self.0.iter().filter(|family| family.name == name).flat_map(|family| &family.samples);
        let has = |sample: &&MetricSample| sample.labels.iter().any(|(_, value)| value == label);
        samples.filter(has).map(|sample| sample.value).collect()
    }
}

#[test]
fn processes_with_equal_labels_are_one_series() {
    let probed = NodeProcess { level: Level::Lives, ..process(1, "order", 10) };
    let all = [probed, process(2, "order", 30), process(3, "other", 5)];
    let said = Said::of(&all, &mut Totals::default(), Bounds::default());
    assert_eq!(said.values("leaktrace_goroutines", "order"), [40.0]);
    assert_eq!(said.values("leaktrace_goroutines_created", "order"), [240.0]);
    assert_eq!(said.values("leaktrace_goroutines_ended", "order"), [200.0]);
    assert_eq!(said.values("leaktrace_oldest_goroutine_age_seconds", "order"), [2.0]);
    assert_eq!(said.values("leaktrace_process_info", "v1.2.0"), [1.0]);
    assert_eq!(said.values("leaktrace_process_info", "order"), [1.0]);
    assert_eq!(said.values("leaktrace_level", "order"), [2.0], "the highest of them");
    assert_eq!(said.values("leaktrace_processes", "watched"), [3.0]);
    assert_eq!(said.values("leaktrace_processes", "blocked"), [0.0]);
    let sites = said.0.iter().find(|family| family.name == "leaktrace_site_goroutines").unwrap();
    let labels: Vec<_> =
        sites.samples[0].labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        labels,
        [
            ("exe", "order"),
            ("container_id", ""),
            ("unit", "order.service"),
            ("function", "main.serve"),
            ("file", "main.go"),
            ("line", "10"),
        ]
    );
}

#[test]
fn what_is_unknown_is_not_said() {
    let unknown = NodeProcess {
        state: NodeState::Blocked,
        goroutines: None,
        created: None,
        ended: None,
        oldest_ns: None,
        sites: Vec::new(),
        ..process(1, "order", 0)
    };
    let mut totals = Totals::default();
    let said = Said::of(std::slice::from_ref(&unknown), &mut totals, Bounds::default());
    for name in ["goroutines", "goroutines_created", "oldest_goroutine_age_seconds", "site_goroutines"] {
        assert!(said.values(&format!("leaktrace_{name}"), "order").is_empty(), "{name}");
    }
    Said::of(&[process(1, "order", 7)], &mut totals, Bounds::default());
    let said = Said::of(&[unknown], &mut totals, Bounds::default());
    assert_eq!(said.values("leaktrace_goroutines_created", "order"), [107.0], "it is not taken back");
}

#[test]
fn counters_go_on_when_processes_end() {
    let mut totals = Totals::default();
    let mut created = |processes: &[NodeProcess]| {
        let said = Said::of(processes, &mut totals, Bounds::default());
        said.values("leaktrace_goroutines_created", "order")
    };
    assert_eq!(created(&[process(1, "order", 10), process(2, "order", 20)]), [230.0]);
    assert_eq!(created(&[process(2, "order", 30)]), [240.0]);
    assert_eq!(created(&[process(2, "order", 30), process(3, "order", 0)]), [340.0]);
    // Another program in the same process begins anew.
    assert_eq!(created(&[process(2, "order", 0), process(3, "order", 0)]), [440.0]);
    assert_eq!(created(&[process(2, "renamed", 0), process(3, "order", 0)]), [440.0]);
    assert_eq!(created(&[process(4, "x", 0)]), [] as [f64; 0]);
    assert_eq!(created(&[process(5, "order", 1)]), [101.0], "none of its group has lived meanwhile");
}

#[test]
fn the_largest_sites_are_told_apart_and_keep_their_places() {
    let mut totals = Totals::default();
    let bounds = Bounds { sites: 2, ..Bounds::default() };
    let mut said = |sites: [u64; 4]| {
        let sites = (1..).zip(sites).map(|(line, live)| site(line, live)).collect();
        let said =
            Said::of(&[NodeProcess { sites, other_sites: 5, ..process(9, "order", 0) }], &mut totals, bounds);
        ["1", "2", "3", "4", "~other"]
            .map(|line| said.values("leaktrace_site_goroutines", line).first().copied())
    };
    assert_eq!(said([40, 30, 20, 10]), [Some(40.0), Some(30.0), None, None, Some(35.0)]);
    assert_eq!(said([40, 30, 37, 10]), [Some(40.0), Some(30.0), None, None, Some(52.0)]);
    assert_eq!(said([40, 30, 38, 10]), [Some(40.0), None, Some(38.0), None, Some(45.0)]);
}

#[test]
fn incidents_are_counted_of_those_that_were_studied() {
    let incident = |severity| NodeIncident {
        id: "0123456789ab".to_owned(),
        severity,
        code: "LT002".to_owned(),
        name: "one-sided-channel".to_owned(),
        at: site(1, 1).created_by,
        live: 7,
        per_minute: None,
    };
    let mut totals = Totals::default();
    let said = |process, totals: &mut Totals| {
        let said = Said::of(&[process], totals, Bounds::default());
        ["certain", "likely", "watch"].map(|severity| said.values("leaktrace_incidents", severity)).concat()
    };
    assert!(said(process(1, "order", 5), &mut totals).is_empty(), "nobody has looked");
    let found = NodeProcess {
        study_age_ns: Some(1),
        incidents: vec![incident(Severity::Likely), incident(Severity::Watch), incident(Severity::Likely)],
        ..process(1, "order", 5)
    };
    assert_eq!(said(found, &mut totals), [0.0, 2.0, 1.0]);
}

#[test]
fn the_black_box_is_counted_where_there_is_one() {
    let said = |own| Said(families(&[], &mut Totals::default(), &own, &Bounds::default()));
    let without = said(OwnFigures::default());
    assert!(without.0.iter().all(|family| !family.name.contains("blackbox")));
    let figures = BlackBoxFigures { entries: vec![("memory", 3), ("exited", 0)], failures: 2 };
    let said = said(OwnFigures { black_box: Some(figures), ..OwnFigures::default() });
    assert_eq!(said.values("leaktrace_blackbox_entries", "memory"), [3.0]);
    assert_eq!(said.values("leaktrace_blackbox_entries", "exited"), [0.0]);
    let failures = said.0.iter().find(|family| family.name == "leaktrace_blackbox_failures").unwrap();
    assert_eq!(failures.samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [2.0]);
}

#[test]
fn pushes_are_counted_by_server_and_result() {
    let pushes = vec![("otlp", "sent", 3), ("otlp", "failed", 0)];
    let own = OwnFigures { pushes, ..OwnFigures::default() };
    let said = Said(families(&[], &mut Totals::default(), &own, &Bounds::default()));
    assert_eq!(said.values("leaktrace_push", "sent"), [3.0]);
    assert_eq!(said.values("leaktrace_push", "failed"), [0.0]);
}

#[test]
fn suspects_are_shown_before_others() {
    let suspect = NodeSite { suspect: Some("grows".to_owned()), per_minute: Some(2.5), ..site(99, 1) };
    let sites = (1..=20).map(|line| site(line, 1000)).chain([suspect]).collect();
    let all = [NodeProcess { sites, ..process(1, "order", 0) }];
    let said = Said::of(&all, &mut Totals::default(), Bounds::default());
    assert_eq!(said.values("leaktrace_site_suspect", "grows"), [2.5]);
    assert_eq!(said.values("leaktrace_site_goroutines", "99"), [1.0]);
    assert_eq!(said.values("leaktrace_site_goroutines", "~other"), [11_000.0]);
}

#[test]
fn names_that_mean_something_here_are_one_with_it() {
    let mut named = site(7, 3);
    named.created_by =
        Location { function: Some("~other".to_owned()), file: None, line: None, ..named.created_by };
    let mut nameless = site(8, 4);
    nameless.created_by.function = None;
    let sites = vec![named, nameless.clone(), nameless];
    let all = [NodeProcess { sites, other_sites: 2, ..process(1, "a\nb", 0) }];
    let said = Said::of(&all, &mut Totals::default(), Bounds::default());
    assert_eq!(said.values("leaktrace_site_goroutines", "~other"), [5.0]);
    assert_eq!(said.values("leaktrace_site_goroutines", "~unknown"), [8.0]);
    assert_eq!(said.values("leaktrace_goroutines", r"a\nb"), [0.0]);
    let text = format!("{:?}", said.0);
    assert!(!text.contains("beef") && !text.contains("4711"), "no address");
}

#[test]
fn series_are_bounded_and_no_origin_has_all() {
    let many = (0..500).map(|pid| process(pid, &format!("exe{pid:03}"), 1000));
    let other = NodeProcess { unit: Some("quiet.service".to_owned()), ..process(900, "quiet", 1) };
    let mut suspected = process(901, "leaky", 1);
    suspected.sites[0].suspect = Some("grows".to_owned());
    let all: Vec<_> = many.chain([other, suspected]).collect();
    let bounds = Bounds { series: 400, ..Bounds::default() };
    let said = Said::of(&all, &mut Totals::default(), bounds);
    assert_eq!(said.values("leaktrace_goroutines", "quiet"), [1.0]);
    assert_eq!(said.values("leaktrace_goroutines", "leaky"), [1.0]);
    let shown = said.values("leaktrace_series", "shown")[0];
    assert!(shown <= 400.0 && shown > 390.0, "{shown}");
    // All but what is said of the node itself belongs to processes.
    let node = real(of_node(&all, &OwnFigures::default()).len() as u64 + 3);
    let omitted = said.values("leaktrace_series", "omitted");
    assert_eq!(omitted, [502.0 * 7.0 + 1.0 - (shown - node)]);
    let said = Said::of(&all, &mut Totals::default(), Bounds::default());
    assert_eq!(said.values("leaktrace_series", "omitted"), [0.0]);
}

#[test]
fn names_are_those_of_their_units_and_kinds() {
    for Kind(name, help, unit, kind) in KINDS {
        assert!(name.starts_with("leaktrace_") && !name.ends_with("_total") && help.ends_with('.'), "{name}");
        assert!(unit.is_none_or(|unit| name.ends_with(unit)), "{name}");
        assert_eq!(
            kind == Counter,
            [
                "created",
                "ended",
                "cpu_seconds",
                "blackbox_entries",
                "blackbox_failures",
                "dropped",
                "push",
                "lost"
            ]
            .iter()
            .any(|end| name.ends_with(end))
        );
    }
    assert_eq!(KINDS[LIMIT].0, "leaktrace_series_limit");
}

#[test]
fn a_limit_on_memory_is_told_with_what_it_has_cost() {
    let own = OwnFigures {
        memory_limit: Some(1 << 20),
        is_memory_short: true,
        dropped: vec![("names", 3)],
        ..OwnFigures::default()
    };
    let values = |own: &OwnFigures| {
        let samples = of_node(&[], own).into_iter();
        samples
            .filter(|(family, _)| (MEMORY_LIMIT..=DROPPED).contains(family))
            .map(|(family, sample)| (family, sample.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&own), [(DROPPED, 3.0), (MEMORY_LIMIT, 1_048_576.0), (MEMORY_SHORT, 1.0)]);
    assert_eq!(values(&OwnFigures::default()), []);
}

#[test]
fn it_is_told_how_processes_are_found() {
    let said = |events_lost| {
        let own = OwnFigures { events_lost, ..OwnFigures::default() };
        Said(families(&[], &mut Totals::default(), &own, &Bounds::default()))
    };
    let scan = said(None);
    assert_eq!(scan.values("leaktrace_discovery", "scan"), [1.0]);
    assert!(scan.0.iter().all(|family| family.name != "leaktrace_events_lost"), "nothing could be");
    let events = said(Some(3));
    assert_eq!(events.values("leaktrace_discovery", "events"), [1.0]);
    assert_eq!(events.values("leaktrace_discovery", "scan"), Vec::<f64>::new());
    let lost = events.0.iter().find(|family| family.name == "leaktrace_events_lost").unwrap();
    assert_eq!((lost.samples.len(), lost.samples[0].value), (1, 3.0));
}
