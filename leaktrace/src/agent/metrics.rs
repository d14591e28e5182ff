//! Metrics as scrapers read them. The only file that knows `prometheus-client`.

use std::fmt;
use std::sync::Arc;

use leaktrace_core::schema::{MetricFamily, MetricKind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, GaugeValueEncoder,
    NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

/// Up to here every whole number is one that `f64` can tell from its neighbours.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The older one, which everybody reads.
    Prometheus,
}

impl Format {
    /// The one that whoever sent this `Accept` header likes best.
    pub(super) fn accepted(accept: &str) -> Self {
        let best = |format| {
            let wishes = accept.split(',').filter_map(Wish::parse).filter(|wish| wish.takes(format));
            wishes.map(|wish| wish.quality).fold(0.0, f32::max)
        };
        let open_metrics = best(Self::OpenMetrics);
        if open_metrics > 0.0 && open_metrics >= best(Self::Prometheus) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// How it is called in the header `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// One of the types that an `Accept` header lists.
struct Wish<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    quality: f32,
}

impl<'a> Wish<'a> {
    fn parse(entry: &'a str) -> Option<Self> {
        let mut parts = entry.split(';').map(str::trim);
        let mut wish = Self { media_type: parts.next()?, version: None, quality: 1.0 };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim() {
                "version" => wish.version = Some(value.trim().trim_matches('"')),
                "q" => wish.quality = value.trim().parse().ok().filter(|q| (0.0..=1.0).contains(q))?,
                _ => {}
            }
        }
        Some(wish)
    }

    fn takes(&self, format: Format) -> bool {
        let version = |ours| self.version.is_none_or(|version| version == ours);
        match format {
            Format::OpenMetrics => {
                self.media_type.eq_ignore_ascii_case("application/openmetrics-text") && version("1.0.0")
            }
            Format::Prometheus => match self.media_type.to_ascii_lowercase().as_str() {
                "text/plain" => version("0.0.4"),
                media_type => matches!(media_type, "text/*" | "*/*"),
            },
        }
    }
}

/// All metrics as text.
pub(super) fn encode(families: &Arc<Vec<MetricFamily>>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(Arc::clone(families))));
    let mut out = String::new();
    // A string takes everything, and what is ours to encode never fails.
    _ = match format {
        Format::OpenMetrics => text::encode(&mut out, &registry),
        Format::Prometheus => prometheus_text::encode(&mut out, &registry),
    };
    out
}

#[derive(Debug)]
struct Families(Arc<Vec<MetricFamily>>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| encode_family(family, &mut encoder))
    }
}

fn encode_family(family: &MetricFamily, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    // It puts the unit behind the name.
    let stem = |unit| family.name.strip_suffix(unit)?.strip_suffix('_');
    let (name, unit) = match family.unit.and_then(|unit| Some((stem(unit)?, unit))) {
        Some((stem, unit)) => (stem, Some(Unit::Other(unit.to_owned()))),
        None => (family.name, None),
    };
    let kind = match family.kind {
        MetricKind::Gauge => MetricType::Gauge,
        MetricKind::Counter => MetricType::Counter,
    };
    let mut encoder = encoder.encode_descriptor(name, family.help, unit.as_ref(), kind)?;
    // What is no number would be read as one that is wrong.
    for sample in family.samples.iter().filter(|sample| sample.value.is_finite()) {
        let mut encoder = encoder.encode_family(&sample.labels)?;
        let number = Number(sample.value);
        match family.kind {
            MetricKind::Gauge => encoder.encode_gauge(&number),
            MetricKind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&number, None),
        }?;
    }
    Ok(())
}

/// A number, without a fraction where it has none.
struct Number(f64);

impl Number {
    fn whole(&self) -> Option<u64> {
        let is_whole = self.0.fract() == 0.0 && (0.0..=EXACT).contains(&self.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole, and in range"
        )]
        is_whole.then_some(self.0 as u64)
    }
}

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self.whole() {
            Some(whole) => EncodeGaugeValue::encode(&whole, encoder),
            None => EncodeGaugeValue::encode(&self.0, encoder),
        }
    }
}

impl EncodeCounterValue for Number {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> fmt::Result {
        match self.whole() {
            Some(whole) => EncodeCounterValue::encode(&whole, encoder),
            None => EncodeCounterValue::encode(&self.0, encoder),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use leaktrace_core::schema::MetricSample;

    use super::*;

    /// What Prometheus 3 sends, and 2 did.
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
        application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
        text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    const PROMETHEUS_2: &str =
        "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const WITH_PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
        encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";

    const HOSTILE: &str = "a\\\"b\nc{},=\\n";

    fn families() -> Arc<Vec<MetricFamily>> {
        let sample = |labels: &[(&'static str, &str)], value| MetricSample {
            labels: labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            value,
        };
        let family =
            |name, unit, kind, samples| MetricFamily { name, help: "What it says.", unit, kind, samples };
        Arc::new(vec![
            family(
                "x_goroutines",
                None,
                MetricKind::Gauge,
                vec![
                    sample(&[("exe", "order"), ("unit", HOSTILE)], 12.0),
                    sample(&[], -0.5),
                    sample(&[("exe", "none")], f64::NAN),
                ],
            ),
            family("x_cpu_seconds", Some("seconds"), MetricKind::Counter, vec![sample(&[], 0.25)]),
            family(
                "x_created",
                None,
                MetricKind::Counter,
                vec![sample(&[("exe", "ß")], 9_007_199_254_740_992.0)],
            ),
            family("x_empty", None, MetricKind::Gauge, vec![]),
        ])
    }

    /// Each sample by its name and labels, and each type by the name that it is said of.
    type Parsed = (BTreeMap<(String, Vec<(String, String)>), f64>, BTreeMap<String, String>);

    fn parse(text: &str) -> Parsed {
        let (mut samples, mut types) = Parsed::default();
        for line in text.lines() {
            if let Some(said) = line.strip_prefix("# TYPE ") {
                let (name, kind) = said.split_once(' ').unwrap();
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            } else if !line.starts_with('#') {
                let (name, labels, value) = parse_sample(line);
                let value: f64 = value.parse().unwrap();
                assert!(samples.insert((name, labels), value).is_none(), "{line} twice");
            }
        }
        (samples, types)
    }

    fn parse_sample(line: &str) -> (String, Vec<(String, String)>, &str) {
        let end = line.find(['{', ' ']).unwrap();
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        while let Some((label, value)) = rest.strip_prefix(['{', ',']).and_then(|rest| rest.split_once("=\""))
        {
            let mut text = String::new();
            let mut chars = value.char_indices();
            let end = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => text.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, other) => text.push(other),
                }
            };
            labels.push((label.to_owned(), text));
            rest = &value[end + 1..];
        }
        (name.to_owned(), labels, rest.trim_start_matches('}').strip_prefix(' ').unwrap())
    }

    #[test]
    fn both_formats_are_read_back_as_what_was_written() {
        for format in [Format::OpenMetrics, Format::Prometheus] {
            let text = encode(&families(), format);
            let (samples, types) = parse(&text);
            let labels = |labels: &[(&str, &str)]| {
                labels
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect::<Vec<_>>()
            };
            let expected = [
                (("x_goroutines".to_owned(), labels(&[("exe", "order"), ("unit", HOSTILE)])), 12.0),
                (("x_goroutines".to_owned(), labels(&[])), -0.5),
                (("x_cpu_seconds_total".to_owned(), labels(&[])), 0.25),
                (("x_created_total".to_owned(), labels(&[("exe", "ß")])), 9_007_199_254_740_992.0),
            ];
            assert_eq!(samples, BTreeMap::from(expected), "{text}");
            let counter = if format == Format::OpenMetrics { "x_created" } else { "x_created_total" };
            assert_eq!(types.get(counter).map(String::as_str), Some("counter"), "{text}");
            assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics);
            assert_eq!(text.contains("# UNIT x_cpu_seconds seconds\n"), format == Format::OpenMetrics);
            assert!(text.contains("x_created_total{exe=\"ß\"} 9007199254740992\n"), "{text}");
        }
    }

    #[test]
    fn no_metrics_are_an_answer_too() {
        assert_eq!(encode(&Arc::default(), Format::OpenMetrics), "# EOF\n");
        assert_eq!(encode(&Arc::default(), Format::Prometheus), "");
    }

    #[test]
    fn scrapers_get_what_they_like_best() {
        let open_metrics = [
            PROMETHEUS_3,
            WITH_PROTOBUF,
            "application/openmetrics-text",
            "text/plain;version=0.0.4;q=0.5, Application/OpenMetrics-Text; version=\"1.0.0\"; charset=utf-8",
        ];
        for accept in open_metrics {
            assert_eq!(Format::accepted(accept), Format::OpenMetrics, "{accept}");
        }
        let prometheus = [
            PROMETHEUS_2,
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=NaN",
            "application/openmetrics-text;version=1.0.0;q=0.1,text/plain;q=0.2",
            ";;;,,=,q=",
        ];
        for accept in prometheus {
            assert_eq!(Format::accepted(accept), Format::Prometheus, "{accept}");
        }
    }
}
