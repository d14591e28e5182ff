//! Pyroscope's `push.v1.PusherService/Push`, as Connect has it: one protobuf message in an HTTP request.
//!
//! Field numbers are those of <https://github.com/grafana/pyroscope/blob/main/api/push/v1/push.proto> and
//! `api/types/v1/types.proto`.

use prost::Message;
use prost::bytes::Bytes;

use super::label::Label;

/// Where it is pushed to.
pub const PYROSCOPE_PATH: &str = "/push.v1.PusherService/Push";

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<RawProfileSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct RawProfileSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
struct RawSample {
    /// A pprof profile, compressed or not.
    #[prost(bytes = "bytes", tag = "1")]
    raw_profile: Bytes,
    #[prost(string, tag = "2")]
    id: String,
}

/// The request that pushes one profile with these labels.
pub fn pyroscope_request(labels: &[(&str, String)], profile: Bytes, id: String) -> Vec<u8> {
    let samples = vec![RawSample { raw_profile: profile, id }];
    PushRequest { series: vec![RawProfileSeries { labels: Label::all(labels), samples }] }.encode_to_vec()
}

/// An id of a profile that no other has, out of bytes by chance: a UUID of version 4 (RFC 9562).
pub fn profile_id(random: [u8; 16]) -> String {
    let number = u128::from_be_bytes(random);
    let (version, variant) = (0xf_u128 << 76, 0b11_u128 << 62);
    let number = number & !version & !variant | 4 << 76 | 0b10 << 62;
    let digits = format!("{number:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_profile_with_its_labels() {
        let labels = [("__name__", "goroutine".to_owned()), ("service_name", "order".to_owned())];
        let bytes = pyroscope_request(&labels, Bytes::from_static(b"\x1f\x8b-"), "x".to_owned());
        let expected = b"\n\x38\n\x15\n\x08__name__\x12\x09goroutine\
                         \n\x15\n\x0cservice_name\x12\x05order\x12\x08\n\x03\x1f\x8b-\x12\x01x";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_id_is_a_uuid() {
        assert_eq!(profile_id([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(profile_id([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
