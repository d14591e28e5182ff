//! Who may ask, and what a request may be.

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use hyper::body::Body;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Version};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::routes::is_change;

/// The longest path with its query, in bytes.
const MAX_URI: usize = 2_048;
/// The longest token, in bytes.
const MAX_TOKEN: usize = 4_096;
/// The shortest token, in bytes: what is shorter can be tried out.
const MIN_TOKEN: usize = 16;

/// In which relation to us the page is for which a browser asks.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is wrong with a file that has a token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read the token file {}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error(
        "the token file {} has no token: expected {MIN_TOKEN} to {MAX_TOKEN} letters, digits or signs, and no space among them",
        path.display()
    )]
    NoToken {
        /// The file.
        path: PathBuf,
    },
}

/// Who may ask.
#[derive(Debug, Default)]
pub struct Guard {
    /// The SHA-256 of the token.
    token: Option<[u8; 32]>,
    hosts: Vec<String>,
    is_open: bool,
}

impl Guard {
    /// Lets in whoever asks for one of `hosts` (addresses and `localhost` are always among them) and, if there is a file
    /// with a token, knows that. Without one, `is_open` says whether others than this machine may be listened to.
    pub fn new(token_file: Option<&Path>, hosts: Vec<String>, is_open: bool) -> Result<Self, TokenError> {
        let token = token_file.map(read_token).transpose()?;
        Ok(Self { token: token.map(|token| Sha256::digest(token).into()), hosts, is_open })
    }

    /// Whether everybody may be listened to.
    pub(super) const fn is_for_everybody(&self) -> bool {
        self.token.is_some() || self.is_open
    }

    /// Refuses what is no request of ours. Whoever speaks through a socket file has shown by opening it who it is.
    pub(super) fn admit<B: Body>(&self, request: &Request<B>, is_by_file: bool) -> Result<(), Refused> {
        let uri = request.uri().path_and_query().map_or("", |path| path.as_str());
        if uri.len() > MAX_URI {
            return Err(Refused(StatusCode::URI_TOO_LONG, "the path is longer than 2,048 bytes"));
        }
        check_method(request)?;
        if !request.body().is_end_stream() {
            return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, "no request has a body here"));
        }
        if !is_by_file && !self.knows_host(request) {
            return Err(Refused(
                StatusCode::FORBIDDEN,
                "this host name is not one of ours: ask for an address or for localhost, or allow the name",
            ));
        }
        Ok(())
    }

    /// Refuses whoever does not have the token.
    pub(super) fn authenticate(&self, head: &Parts) -> Result<(), Refused> {
        let Some(expected) = &self.token else { return Ok(()) };
        let mut given = head.headers.get_all(AUTHORIZATION).into_iter();
        let token = match (given.next(), given.next()) {
            (Some(value), None) => bearer(value.as_bytes()),
            _ => None,
        };
        // Hashes are compared, and all of them: how long it takes tells nothing of the token.
        let given: [u8; 32] = Sha256::digest(token.unwrap_or_default()).into();
        let differences = expected.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        if std::hint::black_box(differences) == 0 {
            return Ok(());
        }
        Err(Refused(StatusCode::UNAUTHORIZED, "send the token: `Authorization: Bearer TOKEN`"))
    }

    /// A page of somebody else's can make a browser ask us, under a name that resolves to this machine; but under that name.
    fn knows_host<B>(&self, request: &Request<B>) -> bool {
        let mut hosts = request.headers().get_all(HOST).into_iter();
        let (first, second) = (hosts.next(), hosts.next());
        let in_header = match (first.map(|host| host.to_str()), second) {
            (Some(Ok(host)), None) => self.is_ours(host),
            // No browser is that old.
            (None, None) => request.version() == Version::HTTP_10,
            _ => false,
        };
        in_header && request.uri().authority().is_none_or(|host| self.is_ours(host.as_str()))
    }

    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        let is_address = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<Ipv4Addr>().is_ok(),
        };
        let is_allowed = || self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        is_address || name.eq_ignore_ascii_case("localhost") || is_allowed()
    }
}

/// What changes something is posted, and not by a page: browsers post for pages of others, and say so.
fn check_method<B>(request: &Request<B>) -> Result<(), Refused> {
    let is_allowed = match *request.method() {
        Method::GET | Method::HEAD => !is_change(request.uri().path()),
        Method::POST => is_change(request.uri().path()),
        _ => false,
    };
    if !is_allowed {
        let why = "only GET and HEAD are understood, and POST where something is changed";
        return Err(Refused(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let by_page = [ORIGIN, FETCH_SITE];
    if *request.method() == Method::POST && by_page.iter().any(|name| request.headers().contains_key(name)) {
        return Err(Refused(
            StatusCode::FORBIDDEN,
            "no page may change anything: send neither Origin nor Sec-Fetch-Site",
        ));
    }
    Ok(())
}

/// What is not answered, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) &'static str);

fn without_port(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at(end);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The token that a file has.
pub(in crate::agent) fn read_token(path: &Path) -> Result<Vec<u8>, TokenError> {
    let read = || {
        let mut text = Vec::new();
        // One byte more than there may be, and room for the end of a line.
        File::open(path)?.take(MAX_TOKEN as u64 + 3).read_to_end(&mut text).map(|_| text)
    };
    let text = read().map_err(|source| TokenError::CannotRead { path: path.to_owned(), source })?;
    let token = text.trim_ascii();
    let is_token = (MIN_TOKEN..=MAX_TOKEN).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
    is_token.then(|| token.to_vec()).ok_or_else(|| TokenError::NoToken { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_localhost_or_allowed() {
        let guard = Guard { hosts: vec!["node-1.example".to_owned()], ..Guard::default() };
        for host in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1",
            "10.0.3.7:9464",
            "[::1]:9464",
            "[fe80::1]",
            "Node-1.Example:1",
        ] {
            assert!(guard.is_ours(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:80@evil.example",
            "localhost:80:80",
            "localhost@evil.example",
            "[::1",
            "[::1]x",
            "::1",
            "[]",
            "node-1.example.evil",
            "0x7f.1",
        ] {
            assert!(!guard.is_ours(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_a_word_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let guard = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            Guard::new(Some(&path), vec![], false)
        };
        assert!(guard(b"0123456789abcdef\n").unwrap().is_for_everybody());
        assert!(guard("x".repeat(MAX_TOKEN).as_bytes()).is_ok());
        for text in ["", "\n", "short", "0123456789abcdef 0123456789abcdef", "0123456789abcdef\u{e9}"] {
            let error = guard(text.as_bytes()).unwrap_err();
            assert!(matches!(error, TokenError::NoToken { .. }), "{text:?}");
        }
        assert!(guard("x".repeat(MAX_TOKEN + 1).as_bytes()).is_err());
        let missing = Guard::new(Some(&folder.path().join("none")), vec![], true).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read the token file "), "{missing}");
        assert!(!Guard::default().is_for_everybody());
    }

    #[test]
    fn only_who_has_the_token_is_let_in() {
        let token = Sha256::digest("0123456789abcdef").into();
        let guard = Guard { token: Some(token), ..Guard::default() };
        let asked = |values: &[&str]| {
            let request =
                values.iter().fold(Request::builder(), |to, value| to.header(AUTHORIZATION, *value));
            guard.authenticate(&request.body(()).unwrap().into_parts().0).is_ok()
        };
        assert!(asked(&["Bearer 0123456789abcdef"]));
        assert!(asked(&["bearer  0123456789abcdef "]));
        for values in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer 0123456789abcde"],
            &["Bearer 0123456789abcdef0"],
            &["Basic 0123456789abcdef"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert!(!asked(values), "{values:?}");
        }
    }
}
