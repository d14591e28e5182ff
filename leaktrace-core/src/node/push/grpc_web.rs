//! Frames of gRPC-Web: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>.

use prost::Message;

use super::answer::{Outcome, words};

/// What a frame has in front: what it is, and how many bytes it has.
const HEAD: usize = 5;
/// A frame that has what HTTP/2 has as trailers.
const TRAILERS: u8 = 0x80;

/// One message as a body.
pub(super) fn frame(message: &impl Message) -> Vec<u8> {
    let length = message.encoded_len();
    let mut frame = Vec::with_capacity(HEAD + length);
    frame.push(0);
    frame.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend(message.encode_to_vec());
    frame
}

/// What became of a request that was answered with this status of HTTP, these values of the headers `grpc-status` and
/// `grpc-message`, and this body.
pub fn grpc_web_outcome(status: u16, code: Option<&str>, message: Option<&str>, body: &[u8]) -> Outcome {
    if status != 200 {
        return Outcome::of_status(status, body);
    }
    // Where there is no message, there may be no frame either.
    let trailers = trailers(body).unwrap_or_default();
    let find = |name| trailers.lines().find_map(|line| value_of(line, name));
    let code = code.or_else(|| find("grpc-status")).map(str::parse::<u32>);
    let said = words(message.or_else(|| find("grpc-message")).unwrap_or_default().as_bytes());
    match code {
        Some(Ok(0)) => Outcome::Sent,
        // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE.
        Some(Ok(code @ (3 | 9 | 11))) => Outcome::Refused(format!("gRPC status {code}{said}")),
        Some(Ok(code)) => Outcome::Failed(format!("gRPC status {code}{said}")),
        Some(Err(_)) | None => {
            Outcome::Failed("the answer is not gRPC-Web: it has no grpc-status".to_owned())
        }
    }
}

fn trailers(mut body: &[u8]) -> Option<&str> {
    loop {
        let (head, rest) = body.split_first_chunk::<HEAD>()?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let frame = rest.get(..length)?;
        if kind & TRAILERS != 0 {
            return std::str::from_utf8(frame).ok();
        }
        body = &rest[length..];
    }
}

fn value_of<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (key, value) = line.split_once(':')?;
    key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &[u8]) -> Outcome {
        grpc_web_outcome(200, None, None, body)
    }

    #[test]
    fn the_status_is_in_the_trailers_or_in_the_headers() {
        assert_eq!(answered(b"\0\0\0\0\0\x80\0\0\0\x10grpc-status: 0\r\n"), Outcome::Sent);
        assert_eq!(grpc_web_outcome(200, Some("0"), None, b""), Outcome::Sent);
        let refused = b"\x80\0\0\0\x26Grpc-Status:3\r\nGrpc-Message: bad label\r\n";
        assert_eq!(answered(refused), Outcome::Refused("gRPC status 3: bad label".to_owned()));
        let busy = grpc_web_outcome(200, Some("14"), Some("busy"), b"");
        assert_eq!(busy, Outcome::Failed("gRPC status 14: busy".to_owned()));
        assert_eq!(grpc_web_outcome(404, None, None, b""), Outcome::Failed("status 404".to_owned()));
    }

    #[test]
    fn what_is_no_grpc_is_no_success() {
        for body in [
            &b""[..],
            b"<html>",
            b"\x80\xff\xff\xff\xffgrpc-status: 0",
            b"\0\0\0\0\x05ab",
            b"\x80\0\0\0\x01\xff",
        ] {
            assert!(matches!(answered(body), Outcome::Failed(_)), "{body:?}");
        }
    }
}
