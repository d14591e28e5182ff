//! The metrics of one process, for scrapers that have each as a target of its own. They say which one it is by the labels
//! of the target.

use leaktrace_core::schema::{MetricFamily, MetricKind, MetricSample, NodeProcess};

/// Of how many `go` statements there are metrics.
const SITES: usize = 80;
/// The `go` statements that are not shown.
const OTHERS: &str = "~other";

/// What is known of it; what is not known is not there.
pub(super) fn families(process: &NodeProcess) -> Vec<MetricFamily> {
    let families = [
        number(
            "leaktrace_goroutines",
            "Goroutines of the program's own.",
            MetricKind::Gauge,
            process.goroutines,
        ),
        number(
            "leaktrace_goroutines_created",
            "Goroutines ever made, those of the runtime included.",
            MetricKind::Counter,
            process.created,
        ),
        number(
            "leaktrace_goroutines_ended",
            "Goroutines that have ended.",
            MetricKind::Counter,
            process.ended,
        ),
        seconds(
            "leaktrace_oldest_goroutine_age_seconds",
            "For how long the oldest goroutine but the main one is known to have lived.",
            process.oldest_ns,
        ),
        sites(process),
    ];
    families.into_iter().filter(|family| !family.samples.is_empty()).collect()
}

fn number(name: &'static str, help: &'static str, kind: MetricKind, value: Option<u64>) -> MetricFamily {
    let samples = value.map(|value| sample(Vec::new(), value));
    MetricFamily { name, help, unit: None, kind, samples: samples.into_iter().collect() }
}

fn seconds(name: &'static str, help: &'static str, ns: Option<u64>) -> MetricFamily {
    let seconds = ns.map(|ns| MetricSample { labels: Vec::new(), value: as_float(ns) / 1e9 });
    let samples = seconds.into_iter().collect();
    MetricFamily { name, help, unit: Some("seconds"), kind: MetricKind::Gauge, samples }
}

fn sites(process: &NodeProcess) -> MetricFamily {
    let (mut samples, mut others) = (Vec::<MetricSample>::new(), process.other_sites);
    for (index, site) in process.sites.iter().enumerate() {
        let at = &site.created_by;
        let function = at.function.clone().unwrap_or_else(|| at.pc.clone());
        let line = at.line.map(|line| line.to_string()).unwrap_or_default();
        let labels = vec![("function", function), ("line", line)];
        match samples.iter_mut().find(|sample| sample.labels == labels) {
            // Two `go` statements of one line are told apart by nothing that a label has.
            Some(same) => same.value += as_float(site.live),
            None if index < SITES => samples.push(sample(labels, site.live)),
            None => others = others.saturating_add(site.live),
        }
    }
    if others > 0 {
        samples.push(sample(vec![("function", OTHERS.to_owned()), ("line", String::new())], others));
    }
    MetricFamily {
        name: "leaktrace_site_goroutines",
        help: "Goroutines by the go statement that made them.",
        unit: None,
        kind: MetricKind::Gauge,
        samples,
    }
}

fn sample(labels: Vec<(&'static str, String)>, value: u64) -> MetricSample {
    MetricSample { labels, value: as_float(value) }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
const fn as_float(value: u64) -> f64 {
    value as f64
}
