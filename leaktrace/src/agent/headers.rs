//! Headers of the requests that the agent sends.

use hyper::header::{HeaderValue, InvalidHeaderValue};

/// Who asks.
pub(super) const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("leaktrace/", env!("CARGO_PKG_VERSION")));

/// What `Authorization` says with this token. It is never shown.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}
