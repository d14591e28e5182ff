//! Answers of servers that speak Connect: <https://connectrpc.com/docs/protocol>.

use serde::Deserialize;

use super::answer::Outcome;

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    message: String,
}

/// What became of a request that was answered with this status of HTTP and this body. Errors are JSON, whatever the request was.
pub fn connect_outcome(status: u16, body: &[u8]) -> Outcome {
    match serde_json::from_slice::<Error>(body) {
        Ok(error) => Outcome::of_status(status, error.message.as_bytes()),
        Err(_) => Outcome::of_status(status, body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_its_own_words() {
        assert_eq!(connect_outcome(200, b""), Outcome::Sent);
        let refused = br#"{"code":"invalid_argument","message":"invalid labels"}"#;
        assert_eq!(connect_outcome(400, refused), Outcome::Refused("status 400: invalid labels".to_owned()));
        assert_eq!(connect_outcome(503, b"no backend"), Outcome::Failed("status 503: no backend".to_owned()));
    }
}
