//! Parca's `ProfileStoreService/WriteRaw`, as gRPC-Web has it, which is what Parca's own page speaks: one message in a frame in
//! an HTTP request.
//!
//! Parca has the same as JSON at `/profiles/writeraw`, below `/api` or not by its release, and with profiles in base64.
//! Field numbers are those of
//! <https://github.com/parca-dev/parca/blob/main/proto/parca/profilestore/v1alpha1/profilestore.proto>.

use prost::Message;
use prost::bytes::Bytes;

use super::grpc_web;
use super::label::Label;

/// Where it is pushed to.
pub const PARCA_PATH: &str = "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw";

#[derive(Clone, PartialEq, Message)]
struct WriteRawRequest {
    #[prost(message, repeated, tag = "2")]
    series: Vec<RawProfileSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct RawProfileSeries {
    #[prost(message, optional, tag = "1")]
    labels: Option<LabelSet>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelSet {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct RawSample {
    /// A pprof profile, compressed or not.
    #[prost(bytes = "bytes", tag = "1")]
    raw_profile: Bytes,
}

/// The request that pushes one profile with these labels.
pub fn parca_request(labels: &[(&str, String)], profile: Bytes) -> Vec<u8> {
    let series = RawProfileSeries {
        labels: Some(LabelSet { labels: Label::all(labels) }),
        samples: vec![RawSample { raw_profile: profile }],
    };
    grpc_web::frame(&WriteRawRequest { series: vec![series] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_frame_with_the_profile_and_its_labels() {
        let labels = [("__name__", "goroutine".to_owned())];
        let bytes = parca_request(&labels, Bytes::from_static(b"\x1f\x8b-"));
        let expected =
            b"\0\0\0\0\x22\x12\x20\n\x17\n\x15\n\x08__name__\x12\x09goroutine\x12\x05\n\x03\x1f\x8b-";
        assert_eq!(bytes, expected);
    }
}
