//! Metrics as data, before they are text.

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It goes up and down.
    Gauge,
    /// It only goes up, until whoever counts begins anew.
    Counter,
}

/// All samples of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFamily {
    /// Its name; that of a counter without `_total`.
    pub name: &'static str,
    /// What it says, in one sentence.
    pub help: &'static str,
    /// Its unit in the plural, with which the name ends: `seconds`, `bytes`.
    pub unit: Option<&'static str>,
    /// What kind of number it is.
    pub kind: MetricKind,
    /// The numbers.
    pub samples: Vec<MetricSample>,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSample {
    /// What tells it from the others of its family. No two are the same.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}
