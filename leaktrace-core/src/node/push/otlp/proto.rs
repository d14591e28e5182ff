//! The messages of OpenTelemetry's protocol that metrics take, written out so that building needs no protobuf compiler.
//!
//! Field numbers are those of <https://github.com/open-telemetry/opentelemetry-proto/tree/v1.10.0/opentelemetry/proto>:
//! `collector/metrics/v1/metrics_service.proto`, `metrics/v1/metrics.proto`, `resource/v1/resource.proto` and
//! `common/v1/common.proto`.

use prost::{Message, Oneof};

/// [`Sum::aggregation_temporality`]: each point says how much there is, not how much came since the one before.
pub const CUMULATIVE: i32 = 2;

/// What is sent.
#[derive(Clone, PartialEq, Message)]
pub struct ExportMetricsServiceRequest {
    /// Metrics by what they are about.
    #[prost(message, repeated, tag = "1")]
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// What is answered.
#[derive(Clone, PartialEq, Message)]
pub struct ExportMetricsServiceResponse {
    /// Set where not everything was taken.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<ExportMetricsPartialSuccess>,
}

/// What of a request was not taken.
#[derive(Clone, PartialEq, Message)]
pub struct ExportMetricsPartialSuccess {
    /// How many points.
    #[prost(int64, tag = "1")]
    pub rejected_data_points: i64,
    /// Why; without rejected points a warning.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// The metrics of one resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceMetrics {
    /// What they are about.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Metrics by who has measured them.
    #[prost(message, repeated, tag = "2")]
    pub scope_metrics: Vec<ScopeMetrics>,
}

/// What metrics are about.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// What tells it from others.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// The metrics of one who measures.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeMetrics {
    /// Who that is.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    /// The metrics.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
}

/// Who measures.
#[derive(Clone, PartialEq, Message)]
pub struct InstrumentationScope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// One metric.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it says.
    #[prost(string, tag = "2")]
    pub description: String,
    /// Its unit (UCUM).
    #[prost(string, tag = "3")]
    pub unit: String,
    /// The numbers: of the kinds of metrics this is the only one that leaktrace has.
    #[prost(message, optional, tag = "7")]
    pub sum: Option<Sum>,
}

/// Numbers that may be added.
#[derive(Clone, PartialEq, Message)]
pub struct Sum {
    /// The numbers.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
    /// [`CUMULATIVE`].
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
    /// Whether they only ever grow.
    #[prost(bool, tag = "3")]
    pub is_monotonic: bool,
}

/// One number.
#[derive(Clone, PartialEq, Message)]
pub struct NumberDataPoint {
    /// Since when it is counted, in nanoseconds since 1970; 0 if that is unknown.
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// When it was so.
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// The number.
    #[prost(sfixed64, optional, tag = "6")]
    pub as_int: Option<i64>,
    /// What tells it from others of its metric.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
}

/// An attribute.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// It.
    #[prost(oneof = "Value", tags = "1, 3")]
    pub value: Option<Value>,
}

/// Text or a number.
#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    /// A text.
    #[prost(string, tag = "1")]
    String(String),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Int(i64),
}
