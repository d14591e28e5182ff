//! Addresses of servers that something is sent to.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use thiserror::Error;

/// The longest one, in bytes.
const MAX_LEN: usize = 2_048;

/// A server, and where on it what belongs to us begins: `http://pyroscope:4040/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    is_encrypted: bool,
    /// As the header `Host` has it: the port is missing where it is the usual one.
    authority: String,
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

/// What is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoServerUrl {
    /// It is something else.
    #[error("not the URL of a server such as http://pyroscope:4040")]
    Unclear,
    /// It has a password or a name of a user in it, which everybody can see who sees the command line.
    #[error("a user or password has no place in the URL\nhint: name a file with a token instead")]
    UserInfo,
    /// It has a query.
    #[error("a query has no place in the URL, because paths are appended to it")]
    Query,
}

impl FromStr for ServerUrl {
    type Err = NoServerUrl;

    fn from_str(text: &str) -> Result<Self, NoServerUrl> {
        // What is behind a # is dropped by whoever reads it.
        if text.len() > MAX_LEN || text.contains('#') {
            return Err(NoServerUrl::Unclear);
        }
        let uri: Uri = text.parse().map_err(|_| NoServerUrl::Unclear)?;
        let authority = uri.authority().ok_or(NoServerUrl::Unclear)?;
        let is_encrypted = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(NoServerUrl::Unclear),
        };
        if authority.as_str().contains('@') {
            return Err(NoServerUrl::UserInfo);
        }
        if uri.query().is_some() {
            return Err(NoServerUrl::Query);
        }
        // Behind the brackets of an address of IPv6.
        let has_port = authority.as_str().rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        let usual = if is_encrypted { 443 } else { 80 };
        let port = if has_port { authority.port_u16().ok_or(NoServerUrl::Unclear)? } else { usual };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || port == 0 {
            return Err(NoServerUrl::Unclear);
        }
        let (authority, host) = (authority.as_str().to_owned(), host.to_owned());
        Ok(Self { is_encrypted, authority, host, port, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl ServerUrl {
    /// Whether it is `https`.
    pub const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Its host, as the header `Host` has it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What to connect to: a name or an address, and a port.
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Where `path`, which begins with a slash, is on this server.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<ServerUrl, NoServerUrl> {
        text.parse()
    }

    #[test]
    fn paths_are_appended_to_what_there_is() {
        for (text, authority, address, path) in [
            ("http://pyroscope:4040", "pyroscope:4040", ("pyroscope", 4040), "/x"),
            ("http://collector/otlp/", "collector", ("collector", 80), "/otlp/x"),
            ("HTTP://[::1]:7070/", "[::1]:7070", ("::1", 7070), "/x"),
            ("https://[::1]", "[::1]", ("::1", 443), "/x"),
        ] {
            let url = url(text).unwrap();
            assert_eq!((url.authority(), url.address(), url.path("/x").as_str()), (authority, address, path));
        }
        for (text, is_encrypted) in [("http://collector/otlp", false), ("https://collector:1", true)] {
            let url = url(text).unwrap();
            assert_eq!((url.to_string(), url.is_encrypted()), (text.to_owned(), is_encrypted));
        }
    }

    #[test]
    fn what_is_something_else_says_what_is_wrong() {
        let wrong = [
            ("http://user:password@pyroscope:4040", NoServerUrl::UserInfo),
            ("http://pyroscope:4040/?name=x", NoServerUrl::Query),
        ];
        for (text, error) in wrong {
            assert_eq!(url(text), Err(error), "{text}");
        }
        let long = format!("http://{}", "x".repeat(MAX_LEN));
        for text in [
            "",
            "pyroscope",
            "pyroscope:4040",
            "/x",
            "ftp://pyroscope",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:x",
            "http://a/#b",
            &long,
        ] {
            assert_eq!(url(text), Err(NoServerUrl::Unclear), "{text}");
        }
    }
}
