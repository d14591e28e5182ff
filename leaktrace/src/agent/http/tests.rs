//! Over real sockets, with made-up processes.

mod client;
mod hostile;
mod levels;
pub(super) mod made_up;
mod tls;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Answer, ask, ask_file, get};
use made_up::Made;

use super::deadline::Patience;
use super::{Guard, Listen, Server, StartError, start, start_with};

const TOKEN: &str = "0123456789abcdef";

fn on_any_port() -> Listen {
    Listen { tcp: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..Listen::default() }
}

fn server() -> (Server, SocketAddr) {
    server_with(Patience::USUAL)
}

fn server_with(patience: Patience) -> (Server, SocketAddr) {
    let server = start_with(on_any_port(), Guard::default(), Arc::new(Made::new()), patience).unwrap();
    let address = server.address().unwrap();
    (server, address)
}

fn guard_with_token() -> Guard {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TOKEN).unwrap();
    Guard::new(Some(file.path()), Vec::new(), false).unwrap()
}

#[test]
fn every_path_is_answered_in_its_type() {
    let (_server, at) = server();
    for (path, content_type, part) in [
        ("/", "text/html; charset=utf-8", "<a href=\"processes/4711-88123\">order</a>"),
        ("/processes/4711-88123", "text/html; charset=utf-8", "main.serve.gowrap1"),
        ("/processes", "application/json", "{\"schema_version\":1,"),
        ("/processes/4711-88123.json", "application/json", "{\"id\":\"4711-88123\","),
        (
            "/metrics",
            "text/plain; version=0.0.4; charset=utf-8",
            "leaktrace_goroutines{exe=\"order\"} 1234\n",
        ),
        (
            "/processes/4711-88123/metrics",
            "text/plain; version=0.0.4; charset=utf-8",
            "leaktrace_site_goroutines{function=\"~other\",line=\"\"} 34\n",
        ),
        ("/processes/4711-88123/debug/pprof/", "text/html; charset=utf-8", "<a href=\"goroutine?debug=1\">"),
        ("/sd", "application/json", "\"__param_process\":\"4711-88123\""),
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
        ("/blackbox", "application/json", "[]"),
        ("/blackbox/7-8-9", "application/json", "{\"name\":\"7-8-9\",\"part\":\"Event\"}"),
        ("/blackbox/7-8-9.ltr", "application/octet-stream", "\"part\":\"Snapshot\""),
    ] {
        let answer = get(at, path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{path}");
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
        for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    for (path, status) in [
        ("/blackbox/1-8-9", 404),
        ("/blackbox/2-8-9", 503),
        ("/blackbox/../7-8-9", 404),
        ("/blackbox/7-8-9/x", 404),
    ] {
        assert_eq!(get(at, path).status, status, "{path}");
    }
    let ready = get(at, "/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (503, "not ready\n"));
}

#[test]
fn prometheus_gets_the_format_that_it_asks_for() {
    let (_server, at) = server();
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    for path in ["/metrics", "/processes/4711-88123/metrics"] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        let answer = ask(at, &request);
        let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(open_metrics));
        assert!(answer.text().ends_with("# EOF\n"), "{}", answer.text());
    }
}

#[test]
fn profiles_come_as_from_go() {
    let (_server, at) = server();
    let base = "/processes/4711-88123/debug/pprof";
    for (query, content_type, disposition, body) in [
        ("goroutine", "application/octet-stream", Some("goroutine"), "Goroutine 0 None"),
        ("goroutine?debug=1", "text/plain; charset=utf-8", None, "Goroutine 1 None"),
        ("goroutine?debug=2", "text/plain; charset=utf-8", None, "Goroutine 2 None"),
        ("goroutine?seconds=3", "application/octet-stream", Some("goroutine-delta"), "Goroutine 0 Some(3)"),
        ("goroutineleak", "application/octet-stream", Some("goroutineleak"), "GoroutineLeak 0 None"),
    ] {
        let answer = get(at, &format!("{base}/{query}"));
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
        let disposition = disposition.map(|name| format!("attachment; filename=\"{name}\""));
        assert_eq!(answer.header("content-disposition"), disposition.as_deref());
        assert_eq!(answer.header("content-type"), Some(content_type));
    }
    assert_eq!(get(at, "/debug/pprof/goroutine?process=4711-88123&debug=1").text(), "Goroutine 1 None");
    let all = get(at, "/debug/pprof/goroutine?debug=0");
    assert_eq!((all.text().as_str(), all.header("content-type")), ("all", Some("application/octet-stream")));
    assert_eq!(all.header("content-disposition"), Some("attachment; filename=\"goroutine\""));
    let both = get(at, &format!("{base}/goroutine?debug=1&seconds=1"));
    assert_eq!((both.status, both.header("x-go-pprof")), (400, Some("1")));
    assert_eq!(both.text(), "seconds and debug params are incompatible\n");
    let elsewhere = get(at, base);
    assert_eq!((elsewhere.status, elsewhere.header("location")), (308, Some("pprof/")));
}

#[test]
fn what_cannot_be_had_is_said_with_its_reason() {
    let (_server, at) = server();
    let get = |id: &str| get(at, &format!("/processes/{id}/debug/pprof/goroutine"));
    assert_eq!(get("1-1").status, 404);
    let busy = get("2-1");
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("1")));
    let under_way = get("4-1");
    assert_eq!((under_way.status, under_way.header("retry-after")), (503, Some("10")));
    let unsupported = get("5-1");
    assert_eq!((unsupported.status, unsupported.text().as_str()), (501, "it cannot be had\n"));
    let failed = get("3-1");
    assert_eq!((failed.status, failed.text().as_str()), (502, "process 3 has\\nexited\n"));
    for path in
        ["/processes/1-1", "/processes/1-1.json", "/processes/1-1/metrics", "/processes/1-1/debug/pprof/"]
    {
        assert_eq!(client::get(at, path).status, 404, "{path}");
    }
}

#[test]
fn a_profile_of_all_is_only_for_who_may_ask() {
    let mut made = Made::new();
    made.is_node_profiled = false;
    let server = start(on_any_port(), Guard::default(), Arc::new(made)).unwrap();
    let answer = get(server.address().unwrap(), "/debug/pprof/goroutine");
    assert_eq!(answer.status, 403);
    assert!(
        answer.text().contains("--node-profile") && answer.text().contains("?process=ID"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_dump_that_does_not_come_is_given_up() {
    let (_server, at) = server_with(Patience { answer: Duration::from_millis(400), ..Patience::USUAL });
    assert_eq!(get(at, "/processes/9-1/debug/pprof/goroutine").status, 504);
}

#[test]
fn head_is_get_without_the_body_and_nothing_else_is_understood() {
    let (_server, at) = server();
    let whole = get(at, "/processes");
    let head = ask(at, "HEAD /processes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        let answer = ask(at, &format!("{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    for body in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] {
        let answer = ask(at, &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{body}"));
        assert_eq!((answer.status, answer.header("connection")), (413, Some("close")), "{body}");
    }
    let long = ask(
        at,
        &format!("GET /?{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "x".repeat(2_100)),
    );
    assert_eq!(long.status, 414);
}

#[test]
fn only_who_calls_us_by_our_names_is_answered() {
    let (_server, at) = server();
    let status = |target: &str, version: &str, headers: &str| {
        ask(at, &format!("GET {target} HTTP/{version}\r\n{headers}Connection: close\r\n\r\n")).status
    };
    assert_eq!(status("/", "1.1", "Host: 10.0.3.7:9464\r\n"), 200);
    assert_eq!(status("/", "1.0", ""), 200);
    assert_eq!(status("http://localhost/", "1.1", "Host: localhost\r\n"), 200);
    for (target, headers) in [
        ("/", "Host: evil.example\r\n"),
        ("/healthz", "Host: evil.example\r\n"),
        ("/", "Host: localhost\r\nHost: evil.example\r\n"),
        ("/", "Host: \u{e9}\r\n"),
        ("/", "Host:\r\n"),
        ("/", ""),
        ("http://evil.example/", "Host: localhost\r\n"),
    ] {
        let status = status(target, "1.1", headers);
        assert!(matches!(status, 400 | 403), "{target} {headers:?}: {status}");
    }
}

#[test]
fn a_token_is_asked_for_everything_but_health() {
    let server = start(on_any_port(), guard_with_token(), Arc::new(Made::new())).unwrap();
    let at = server.address().unwrap();
    let with = |path: &str, header: &str| {
        ask(at, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n"))
    };
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    for path in ["/", "/metrics", "/sd", "/nowhere", "/processes/4711-88123/debug/pprof/goroutine"] {
        for header in ["", "Authorization: Bearer wrong\r\n"] {
            let answer = with(path, header);
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        }
        assert_ne!(with(path, &right).status, 401, "{path}");
    }
    assert_eq!((with("/healthz", "").status, with("/readyz", "").status), (200, 503));
}

#[test]
fn whoever_has_the_new_token_is_let_in_and_nobody_else() {
    let server = start(on_any_port(), Guard::default(), Arc::new(Made::new())).unwrap();
    let at = server.address().unwrap();
    assert_eq!(get(at, "/processes").status, 200);
    server.doors().change(guard_with_token(), None).unwrap();
    assert_eq!(get(at, "/processes").status, 401);
    let outside = Listen { tcp: Some(SocketAddr::from(([0, 0, 0, 0], 0))), ..Listen::default() };
    let server = start(outside, guard_with_token(), Arc::new(Made::new())).unwrap();
    let refused = server.doors().change(Guard::default(), None);
    assert!(matches!(refused, Err(StartError::Unguarded(_))), "{refused:?}");
    let here = SocketAddr::from(([127, 0, 0, 1], server.address().unwrap().port()));
    assert_eq!(get(here, "/processes").status, 401, "the old token is still needed");
}

#[test]
fn one_connection_takes_many_requests() {
    let (_server, at) = server();
    let one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = ask(at, &format!("{one}{one}{last}"));
    assert_eq!(String::from_utf8(answer.all).unwrap().matches("HTTP/1.1 200 OK").count(), 3);
}

#[test]
fn a_socket_file_is_for_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listen = Listen { unix: Some(path.clone()), ..Listen::default() };
    let server = start(listen, Guard::default(), Arc::new(Made::new())).unwrap();
    assert_eq!(server.address(), None);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let answer = ask_file(&path, "GET /sd HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "[]"), "there is nothing to connect to");
    server.stop();
    assert!(!path.exists());
}

#[test]
fn targets_have_what_collectors_need() {
    let listen = Listen { node: Some("n1".to_owned()), ..on_any_port() };
    let server = start(listen, Guard::default(), Arc::new(Made::new())).unwrap();
    let at = server.address().unwrap();
    let targets: serde_json::Value = serde_json::from_slice(&get(at, "/sd").body).unwrap();
    let expected = serde_json::json!([{
        "targets": [at.to_string()],
        "labels": {
            "__scheme__": "http",
            "__metrics_path__": "/processes/4711-88123/metrics",
            "__profile_path_prefix__": "/processes/4711-88123",
            "__param_process": "4711-88123",
            "instance": "n1/order/order:4711",
            "service_name": "order",
            "node": "n1",
            "__meta_leaktrace_prefix": "/processes/4711-88123",
            "__meta_leaktrace_pid": "4711",
            "__meta_leaktrace_exe": "order",
            "__meta_leaktrace_go_version": "go1.27.3",
            "__meta_leaktrace_version": "v1.2.3",
            "__meta_leaktrace_unit": "order.service",
        },
    }]);
    assert_eq!(targets, expected);
    let elsewhere = Listen { advertise: Some("n1.example:80".to_owned()), ..on_any_port() };
    let elsewhere = start(elsewhere, Guard::default(), Arc::new(Made::new())).unwrap();
    let answer = get(elsewhere.address().unwrap(), "/sd");
    assert!(answer.text().contains("{\"targets\":[\"n1.example:80\"],"), "{}", answer.text());
    // Each path is one that is answered.
    let labels = &targets[0]["labels"];
    let path = |name: &str| labels[name].as_str().unwrap().to_owned();
    let query = format!("?process={}", path("__param_process"));
    assert_eq!(get(at, &format!("{}{query}", path("__metrics_path__"))).status, 200);
    let profile = format!("{}/debug/pprof/goroutine{query}", path("__profile_path_prefix__"));
    assert_eq!(get(at, &profile).status, 200);
}

#[test]
fn nobody_outside_is_let_in_unasked() {
    let outside = || Listen { tcp: Some(SocketAddr::from(([0, 0, 0, 0], 0))), ..Listen::default() };
    let refused = |listen, guard| {
        let error = start(listen, guard, Arc::new(Made::new())).unwrap_err();
        error.downcast::<StartError>().unwrap()
    };
    assert!(matches!(refused(outside(), Guard::default()), StartError::Unguarded(_)));
    assert!(matches!(refused(Listen::default(), Guard::default()), StartError::Nowhere));
    assert!(start(outside(), guard_with_token(), Arc::new(Made::new())).is_ok());
    let (_server, at) = server();
    let taken = Listen { tcp: Some(at), ..Listen::default() };
    assert!(matches!(refused(taken, Guard::default()), StartError::Address { .. }));
}

#[test]
fn the_end_waits_for_nobody() {
    let (server, at) = server();
    let silent = client::connect(at);
    let begun = client::begin(at, "GET / HTTP/1.1\r\n");
    let hanging =
        client::begin(at, "GET /processes/9-1/debug/pprof/goroutine HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(get(at, "/healthz").status, 200);
    let start = Instant::now();
    server.stop();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(std::net::TcpStream::connect(at).is_err(), "nobody listens any more");
    for connection in [silent, begun, hanging] {
        assert_eq!(client::rest(connection), b"");
    }
}

#[test]
fn what_is_under_way_at_the_end_is_answered() {
    let (server, at) = server();
    let soon =
        client::begin(at, "GET /processes/8-1/debug/pprof/goroutine HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(get(at, "/healthz").status, 200);
    server.stop();
    let answer = Answer::parse(client::rest(soon));
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn who_answers_has_no_capabilities() {
    let made = Arc::new(Made::new());
    let server = start(on_any_port(), Guard::default(), Arc::clone(&made) as _).unwrap();
    assert_eq!(get(server.address().unwrap(), "/healthz").status, 200);
    let status = made.thread.lock().unwrap().clone();
    assert!(status.starts_with("Name:\thttp\n"), "{status}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
    }
}
