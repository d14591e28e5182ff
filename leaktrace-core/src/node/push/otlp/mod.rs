//! Metrics as OpenTelemetry has them (OTLP over HTTP, in protobuf): names and attributes are those of its semantic conventions,
//! and `leaktrace.…` where these have none.

pub mod proto;

use prost::Message;

use self::proto::{
    AnyValue, CUMULATIVE, ExportMetricsServiceRequest, ExportMetricsServiceResponse, InstrumentationScope,
    KeyValue, Metric, NumberDataPoint, Resource, ResourceMetrics, ScopeMetrics, Sum, Value,
};
use super::answer::{Outcome, words};
use crate::base::time::SECOND_NS;
use crate::goroutines::model::UnixTime;
use crate::node::families::label;
use crate::schema::{NodeIncident, NodeProcess, PodPlace, Severity};

/// How many incidents of a process are told apart; all are counted.
const MOST_INCIDENTS: usize = 20;

/// What metrics say besides what is known of the processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The name of the machine.
    pub machine: Option<String>,
    /// When the system started, in seconds since 1970, as `/proc/stat` has it.
    pub booted_s: Option<u64>,
    /// How many clock ticks a second has, of those that starts of processes are given in.
    pub ticks_per_second: u64,
    /// leaktrace's own version.
    pub version: &'static str,
}

impl Metrics {
    /// The metrics of a process at a time in nanoseconds since 1970; nothing if it cannot be read.
    fn of(&self, process: &NodeProcess, unix_ns: u64) -> Option<ResourceMetrics> {
        let times = [self.started(process).map_or(0, |started| started.0), unix_ns];
        let goroutines = vec![point(times, process.goroutines?, Vec::new())];
        let metrics = [
            metric("go.goroutine.count", "Count of live goroutines.", "{goroutine}", goroutines),
            metric(
                "leaktrace.incidents",
                "Incidents found by the last study.",
                "{incident}",
                by_severity(process, times),
            ),
            metric(
                "leaktrace.incident.goroutines",
                "Goroutines that an incident is about.",
                "{goroutine}",
                process.incidents.iter().take(MOST_INCIDENTS).map(|one| of_incident(one, times)).collect(),
            ),
        ];
        let scope = InstrumentationScope { name: "leaktrace".to_owned(), version: self.version.to_owned() };
        let metrics = metrics.into_iter().flatten().collect();
        Some(ResourceMetrics {
            resource: Some(Resource { attributes: self.resource(process) }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics }],
        })
    }

    /// What tells a process from all others. Its command line is not among it.
    fn resource(&self, process: &NodeProcess) -> Vec<KeyValue> {
        let machine = self.machine.as_deref();
        let started = self.started(process).map(|at| at.to_string());
        let pod = process.kubernetes.as_ref();
        let service = pod.map_or_else(|| process.service_name(), |pod| pod.workload.as_str().into());
        let texts = [
            ("service.name", Some(&*service)),
            ("service.namespace", pod.map(|pod| &*pod.namespace)),
            ("service.instance.id", Some(&*process.instance(machine))),
            ("container.id", process.container_id.as_deref()),
            ("k8s.namespace.name", pod.map(|pod| &*pod.namespace)),
            ("k8s.pod.name", pod.map(|pod| &*pod.pod)),
            ("k8s.container.name", pod.map(|pod| &*pod.container)),
            (pod.map_or("", workload_key), pod.map(|pod| &*pod.workload)),
            ("host.name", machine),
            ("process.creation.time", started.as_deref()),
            ("process.executable.name", Some(&*process.exe)),
            ("process.runtime.name", Some("go")),
            ("process.runtime.version", process.go_version.as_deref()),
        ];
        let texts = texts.into_iter().filter(|(key, _)| !key.is_empty());
        let texts = texts.filter_map(|(key, value)| Some(text(key, value?)));
        texts.chain([number("process.pid", process.id.pid.into())]).collect()
    }

    fn started(&self, process: &NodeProcess) -> Option<UnixTime> {
        let ticks = process.id.start_ticks;
        let seconds = ticks.checked_div(self.ticks_per_second)?;
        let rest = (ticks % self.ticks_per_second).saturating_mul(SECOND_NS) / self.ticks_per_second;
        let seconds = self.booted_s?.checked_add(seconds)?;
        seconds.checked_mul(SECOND_NS)?.checked_add(rest).map(UnixTime)
    }
}

/// What the attribute for the name of this workload is called; nothing where there is none for such a thing.
fn workload_key(place: &PodPlace) -> &'static str {
    match place.workload_kind.as_str() {
        "Deployment" => "k8s.deployment.name",
        "StatefulSet" => "k8s.statefulset.name",
        "DaemonSet" => "k8s.daemonset.name",
        "ReplicaSet" => "k8s.replicaset.name",
        "Job" => "k8s.job.name",
        "CronJob" => "k8s.cronjob.name",
        _ => "",
    }
}

/// The request that tells of these processes at a time in nanoseconds since 1970; nothing where there is nothing to tell.
pub fn otlp_request(processes: &[NodeProcess], about: &Metrics, unix_ns: u64) -> Option<Vec<u8>> {
    let resource_metrics: Vec<_> =
        processes.iter().filter_map(|process| about.of(process, unix_ns)).collect();
    let request = ExportMetricsServiceRequest { resource_metrics };
    (!request.resource_metrics.is_empty()).then(|| request.encode_to_vec())
}

/// What became of a request that was answered with this status of HTTP and this body.
pub fn otlp_outcome(status: u16, body: &[u8]) -> Outcome {
    if status != 200 {
        // Errors are a google.rpc.Status, of which the text is most.
        let printable: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_control()).collect();
        return Outcome::of_status(status, &printable);
    }
    let partial = ExportMetricsServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success);
    match partial.filter(|partial| partial.rejected_data_points > 0) {
        Some(partial) => {
            let (points, said) = (partial.rejected_data_points, words(partial.error_message.as_bytes()));
            Outcome::Refused(format!("{points} points were rejected{said}"))
        }
        None => Outcome::Sent,
    }
}

/// How many incidents there are of each severity, once the process has been studied.
fn by_severity(process: &NodeProcess, times: [u64; 2]) -> Vec<NumberDataPoint> {
    if process.study_age_ns.is_none() && process.incidents.is_empty() {
        return Vec::new();
    }
    let count = |severity| process.incidents.iter().filter(|one| one.severity == severity).count() as u64;
    let of = |severity| {
        point(times, count(severity), vec![text("leaktrace.severity", Severity::as_str(severity))])
    };
    Severity::ALL.map(of).into()
}

fn of_incident(incident: &NodeIncident, times: [u64; 2]) -> NumberDataPoint {
    let texts = [
        ("leaktrace.incident.id", Some(incident.id.as_str())),
        ("leaktrace.rule.code", Some(incident.code.as_str())),
        ("leaktrace.severity", Some(incident.severity.as_str())),
        ("code.function.name", incident.at.function.as_deref()),
        ("code.file.path", incident.at.file.as_deref()),
    ];
    let texts = texts.into_iter().filter_map(|(key, value)| Some(text(key, value?)));
    let line = incident.at.line.map(|line| number("code.line.number", line.into()));
    point(times, incident.live, texts.chain(line).collect())
}

/// A number that goes up and down; nothing without points.
fn metric(name: &str, description: &str, unit: &str, data_points: Vec<NumberDataPoint>) -> Option<Metric> {
    let has_points = !data_points.is_empty();
    let sum = Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: false };
    let (name, description, unit) = (name.to_owned(), description.to_owned(), unit.to_owned());
    has_points.then_some(Metric { name, description, unit, sum: Some(sum) })
}

fn point(
    [start_time_unix_nano, time_unix_nano]: [u64; 2],
    value: u64,
    attributes: Vec<KeyValue>,
) -> NumberDataPoint {
    let as_int = Some(i64::try_from(value).unwrap_or(i64::MAX));
    NumberDataPoint { start_time_unix_nano, time_unix_nano, as_int, attributes }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::String(label(value)))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::Int(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

#[cfg(test)]
mod tests;
