use std::net::SocketAddr;

use super::client::{Answer, ask, get};
use super::{TOKEN, guard_with_token, on_any_port, server};
use crate::agent::http::deadline::Patience;
use crate::agent::http::start_with;
use crate::agent::http::tests::made_up::Made;

const QUERY: &str = "level?level=2&seconds=60";

#[track_caller]
fn post(at: SocketAddr, path: &str, headers: &str) -> Answer {
    ask(at, &format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"))
}

#[test]
fn who_may_gets_a_process_watched_more_closely() {
    let (_server, at) = server();
    for (pid, status, text) in [
        (7, 202, "2 60"),
        (1, 404, "there is no such process any more, or there never was\n"),
        (2, 503, "too much is asked for; try again in a second\n"),
        (3, 503, "CAP_BPF is\\nmissing\n"),
        (4, 409, "the process is watched more closely already, because somebody has asked for that\n"),
        (5, 403, "this takes --allow-probes\n"),
    ] {
        for length in ["", "Content-Length: 0\r\n"] {
            let answer = post(at, &format!("/processes/{pid}-1/{QUERY}"), length);
            assert_eq!((answer.status, answer.text().as_str()), (status, text), "{pid}");
        }
    }
    assert_eq!(post(at, "/processes/7-1/level?level=1&seconds=60", "").status, 400);
    assert_eq!(post(at, &format!("/processes/7/{QUERY}"), "").status, 404);
}

#[test]
fn nothing_is_changed_by_reading_nor_by_a_page_of_a_browser() {
    let (_server, at) = server();
    let path = format!("/processes/7-1/{QUERY}");
    let read = get(at, &path);
    assert_eq!((read.status, read.header("allow")), (405, Some("POST")));
    for path in ["/", "/processes/7-1", "/metrics"] {
        let posted = post(at, path, "");
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    for header in
        ["Origin: http://localhost", "Origin: null", "Sec-Fetch-Site: same-origin", "Content-Length: 3"]
    {
        let body = if header.starts_with("Content") { "\r\n\r\nabc" } else { "\r\n" };
        let answer = post(at, &path, &format!("{header}{body}"));
        assert!([403, 413].contains(&answer.status), "{header}: {}", answer.status);
    }
}

#[test]
fn the_token_is_needed_to_change_anything() {
    let server =
        start_with(on_any_port(), guard_with_token(), std::sync::Arc::new(Made::new()), Patience::USUAL);
    let server = server.unwrap();
    let at = server.address().unwrap();
    let path = format!("/processes/7-1/{QUERY}");
    assert_eq!(post(at, &path, "").status, 401);
    assert_eq!(post(at, &path, &format!("Authorization: Bearer {TOKEN}\r\n")).status, 202);
}
