use super::proto::ExportMetricsPartialSuccess;
use super::*;
use crate::node::testing::process;
use crate::schema::{Location, NodeState, PodPlace};

const BOOTED_S: u64 = 1_796_000_000;
const NOW: u64 = 1_796_064_863_000_000_000;

fn about() -> Metrics {
    let machine = Some("node-1".to_owned());
    Metrics { machine, booted_s: Some(BOOTED_S), ticks_per_second: 100, version: "0.1.0" }
}

fn sent(processes: &[NodeProcess], about: &Metrics) -> Vec<ResourceMetrics> {
    let bytes = otlp_request(processes, about, NOW).unwrap();
    ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap().resource_metrics
}

fn attributes(all: &[KeyValue]) -> Vec<(&str, String)> {
    let shown = |value: &AnyValue| match value.value.clone().unwrap() {
        Value::String(text) => text,
        Value::Int(number) => number.to_string(),
    };
    all.iter().map(|one| (one.key.as_str(), shown(one.value.as_ref().unwrap()))).collect()
}

fn points<'r>(of: &'r ResourceMetrics, name: &str) -> &'r [NumberDataPoint] {
    let metric = of.scope_metrics[0].metrics.iter().find(|metric| metric.name == name);
    metric.map_or(&[], |metric| &metric.sum.as_ref().unwrap().data_points)
}

fn incident(severity: Severity, line: u32) -> NodeIncident {
    let at = Location {
        function: Some("main.serve".to_owned()),
        file: Some("/src/main.go".to_owned()),
        line: Some(line),
        pc: "0x401000".to_owned(),
    };
    let (id, code, name) = (format!("{line}"), "LT002".to_owned(), "one-sided-channel".to_owned());
    NodeIncident { id, severity, code, name, at, live: 40, per_minute: None }
}

#[test]
fn a_process_is_a_resource_that_has_its_goroutines() {
    let sent = sent(&[process(4711)], &about());
    let resource = sent[0].resource.as_ref().unwrap();
    let expected = [
        ("service.name", "order"),
        ("service.instance.id", "node-1/order/order:4711"),
        ("host.name", "node-1"),
        // 88,123 ticks after the start of the system.
        ("process.creation.time", "2026-11-30T01:08:01.230Z"),
        ("process.executable.name", "order"),
        ("process.runtime.name", "go"),
        ("process.runtime.version", "go1.27.3"),
        ("process.pid", "4711"),
    ];
    assert_eq!(attributes(&resource.attributes), expected.map(|(key, value)| (key, value.to_owned())));
    let metric = &sent[0].scope_metrics[0].metrics[0];
    assert_eq!((metric.name.as_str(), metric.unit.as_str()), ("go.goroutine.count", "{goroutine}"));
    let sum = metric.sum.as_ref().unwrap();
    assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (CUMULATIVE, false));
    let started = (BOOTED_S * 100 + 88_123) * 10_000_000;
    let point = &sum.data_points[0];
    assert_eq!((point.as_int, point.start_time_unix_nano, point.time_unix_nano), (Some(1_234), started, NOW));
    assert_eq!(sent[0].scope_metrics[0].metrics.len(), 1, "it has not been studied");
}

#[test]
fn a_process_in_a_pod_is_called_as_that_is() {
    let place = |kind: &str| PodPlace {
        namespace: "shop".to_owned(),
        pod: "order-5bd-x".to_owned(),
        container: "app".to_owned(),
        workload: "order-all".to_owned(),
        workload_kind: kind.to_owned(),
    };
    for (kind, key) in
        [("Deployment", Some("k8s.deployment.name")), ("CronJob", Some("k8s.cronjob.name")), ("Pod", None)]
    {
        let named = NodeProcess { kubernetes: Some(place(kind)), ..process(1) };
        let sent = sent(&[named], &about());
        let told = attributes(&sent[0].resource.as_ref().unwrap().attributes);
        let expected = [
            ("service.name", "order-all"),
            ("service.namespace", "shop"),
            ("k8s.namespace.name", "shop"),
            ("k8s.pod.name", "order-5bd-x"),
            ("k8s.container.name", "app"),
        ];
        for (key, value) in expected.into_iter().chain(key.map(|key| (key, "order-all"))) {
            assert!(told.contains(&(key, value.to_owned())), "{key} {told:?}");
        }
        let workloads = told.iter().filter(|(_, value)| value == "order-all").count();
        assert_eq!(workloads, 1 + usize::from(key.is_some()), "{told:?}");
    }
}

#[test]
fn incidents_are_counted_and_told_by_their_line() {
    let incidents = vec![incident(Severity::Likely, 67), incident(Severity::Watch, 12)];
    let studied = NodeProcess { study_age_ns: Some(1), incidents, ..process(1) };
    let told = &sent(&[studied], &about())[0];
    let counts: Vec<_> = points(told, "leaktrace.incidents")
        .iter()
        .map(|point| (attributes(&point.attributes)[0].1.clone(), point.as_int))
        .collect();
    let expected = [("certain", 0), ("likely", 1), ("watch", 1)];
    assert_eq!(counts, expected.map(|(severity, count)| (severity.to_owned(), Some(count))));
    let lines = points(told, "leaktrace.incident.goroutines");
    assert_eq!(lines[0].as_int, Some(40));
    let expected = [
        ("leaktrace.incident.id", "67"),
        ("leaktrace.rule.code", "LT002"),
        ("leaktrace.severity", "likely"),
        ("code.function.name", "main.serve"),
        ("code.file.path", "/src/main.go"),
        ("code.line.number", "67"),
    ];
    assert_eq!(attributes(&lines[0].attributes), expected.map(|(key, value)| (key, value.to_owned())));

    let incidents = (0..1_000).map(|line| incident(Severity::Watch, line)).collect();
    let many = NodeProcess { study_age_ns: Some(1), incidents, ..process(1) };
    let told = &sent(&[many], &about())[0];
    assert_eq!(points(told, "leaktrace.incident.goroutines").len(), MOST_INCIDENTS);
    assert_eq!(points(told, "leaktrace.incidents")[2].as_int, Some(1_000));
}

#[test]
fn what_is_not_known_is_not_told() {
    let blocked = NodeProcess { state: NodeState::Blocked, goroutines: None, ..process(1) };
    assert_eq!(otlp_request(std::slice::from_ref(&blocked), &about(), NOW), None);
    assert_eq!(sent(&[blocked, process(2)], &about()).len(), 1);
    let unknown = Metrics { machine: None, booted_s: None, ticks_per_second: 0, version: "0.1.0" };
    let told = &sent(&[process(2)], &unknown)[0];
    let keys: Vec<_> =
        attributes(&told.resource.as_ref().unwrap().attributes).into_iter().map(|(key, _)| key).collect();
    assert!(!keys.contains(&"host.name") && !keys.contains(&"process.creation.time"), "{keys:?}");
    assert_eq!(points(told, "go.goroutine.count")[0].start_time_unix_nano, 0);
}

#[test]
fn an_answer_says_what_was_not_taken() {
    assert_eq!((otlp_outcome(200, b""), otlp_outcome(200, b"<html>")), (Outcome::Sent, Outcome::Sent));
    let partial =
        ExportMetricsPartialSuccess { rejected_data_points: 3, error_message: "too old".to_owned() };
    let warning =
        ExportMetricsPartialSuccess { rejected_data_points: 0, error_message: "slow down".to_owned() };
    let answer = |partial| ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let refused = Outcome::Refused("3 points were rejected: too old".to_owned());
    assert_eq!(otlp_outcome(200, &answer(partial)), refused);
    assert_eq!(otlp_outcome(200, &answer(warning)), Outcome::Sent);
    assert_eq!(otlp_outcome(503, b"\x08\x0e\x12\x04busy"), Outcome::Failed("status 503: busy".to_owned()));
}
