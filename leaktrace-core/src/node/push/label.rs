//! Labels of profiles, as Pyroscope's `types.v1.LabelPair` and Parca's `profilestore.v1alpha1.Label` both have them.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

impl Label {
    pub(super) fn all(labels: &[(&str, String)]) -> Vec<Self> {
        labels.iter().map(|(name, value)| Self { name: (*name).to_owned(), value: value.clone() }).collect()
    }
}
