//! A report with a verdict of each severity: in the repository, in a dependency, and at a place with an odd name.

use leaktrace_core::judge::incidents::settle;
use leaktrace_core::schema::{Group, Report};
use serde_json::{Value, json};

const WORKER: &str = "/build/shop/order/worker.go";
const SERVER: &str = "/usr/local/go/src/net/http/server.go";

pub(crate) fn report() -> Report {
    serde_json::from_value(json!({
        "schema_version": 2,
        "target": { "pid": 27532, "exe": "/srv/shop", "go_version": "go1.27.3", "build_id": null, "arch": "amd64" },
        "window": { "duration_ns": 60_250_000_000_u64, "ended_unix_ns": null, "probes": ["birth", "end"] },
        "view": { "min_age_ns": 0, "sort": "live", "include_runtime": false },
        "totals": {
            "live": 3120, "born": 10_000, "ended": 6_880, "before_attach": 0, "net_per_minute": 41.0,
            "runtime_hidden": 5, "stack_bytes": 25_165_824,
        },
        "incidents": [incident("a1", &one_sided()), incident("b2", &accumulating()), incident("c3", &odd())],
        "sources": [
            source(WORKER, 88, "order/worker.go", "go w.process(order)"),
            source(WORKER, 93, "order/worker.go", "w.results <- result"),
            source("/build/shop/main.go", 20, "main.go", "http.HandleFunc(\"/order\", order)"),
        ],
        "groups": [],
        "not_listed": {
            "young_groups": 0, "young_live": 0, "ended_groups": 0, "further_groups": 0, "further_live": 0,
        },
        "completeness": {
            "produced": 0, "decoded": 0, "dropped": {}, "undecodable": 0, "in_flight": 0, "ghosts_removed": 0,
            "births_recovered": 0, "ends_unmatched": 0, "untracked": 0, "snapshots": 2, "unreadable": 0,
        },
        "overhead": {
            "events_per_second": 0.0, "target_cpu_percent_estimate": null, "own_cpu_percent": null, "shed": [],
        },
        "notices": [],
    }))
    .unwrap()
}

/// An incident of one verdict.
pub(crate) fn incident(id: &str, verdict: &Value) -> Value {
    json!({
        "id": id, "severity": verdict["severity"], "own_line": verdict["own_line"], "live": verdict["live"],
        "net_per_minute": verdict["net_per_minute"], "oldest_age_ns": verdict["oldest_age_ns"],
        "age_is_lower_bound": false, "stack_bytes": verdict["stack_bytes"], "shared": [], "verdicts": [verdict],
    })
}

fn source(file: &str, line: u32, path: &str, text: &str) -> Value {
    json!({ "file": file, "line": line, "path": path, "text": text, "blame": null })
}

fn frame(function: &str, file: &str, line: u32) -> Value {
    json!({ "function": function, "file": file, "line": line })
}

fn one_sided() -> Value {
    let mut verdict = verdict("LT003", "one-sided-channel", "certain", 3_104);
    verdict["created_by"] =
        json!({ "function": "order.(*Worker).process", "file": WORKER, "line": 88, "pc": "0x4a2b10" });
    verdict["start_function"] = json!("order.(*Worker).process.func1");
    verdict["wait_reason"] = json!("chan send");
    let sends = frame("order.(*Worker).process.func1", WORKER, 93);
    verdict["blocked_at"] = json!([{
        "count": 3_104, "wait_reason": "chan send", "function": sends["function"], "file": WORKER, "line": 93,
        "stack": [sends],
    }]);
    verdict["creation_stack"] = json!([
        frame("order.(*Worker).process", WORKER, 88),
        frame("net/http.HandlerFunc.ServeHTTP", SERVER, 2_358),
        frame("main.serve", "/build/shop/main.go", 31),
    ]);
    verdict["evidence"] = json!({ "capacity": 100, "queued": 100, "receivers": 0 });
    verdict
}

/// Its `go` statement is not in the repository, but what led to it is.
fn accumulating() -> Value {
    let mut verdict = verdict("LT001", "growing-site", "likely", 12);
    verdict["created_by"] =
        json!({ "function": "net/http.(*Server).Serve", "file": SERVER, "line": 3_454, "pc": "0x66" });
    verdict["creation_stack"] = json!([
        frame("net/http.(*Server).Serve", SERVER, 3_454),
        frame("main.main", "/build/shop/main.go", 20),
    ]);
    verdict
}

fn odd() -> Value {
    let mut verdict = verdict("LT001", "growing-site", "watch", 3);
    verdict["created_by"] =
        json!({ "function": "main.<\"&\">", "file": "example.com/a,b: c/x.go", "line": 7, "pc": "0x77" });
    verdict["summary"] = json!("3 goroutines, 100% of them\r\nat \u{1b}[31m::error::");
    verdict
}

fn verdict(code: &str, name: &str, severity: &str, live: u64) -> Value {
    json!({
        "code": code, "name": name, "severity": severity,
        "created_by": { "function": null, "file": null, "line": null, "pc": "0x1" },
        "start_function": null, "live": live, "net_per_minute": 41.0, "oldest_age_ns": 518_400_000_000_000_u64,
        "age_is_lower_bound": false, "wait_reason": "", "blocked_at": [], "creation_stack": [], "stack_bytes": 0,
        "evidence": {}, "summary": format!("{live} goroutines, +41/min"),
        "cause": "Nobody receives from the channel any more.",
        "remedy": "Let the sender give up when the receiver has gone.",
    })
}

/// The same, and an incident that shows at three `go` statements, of a library two of them.
pub(crate) fn together() -> Report {
    let mut all = serde_json::to_value(report()).unwrap();
    let fetch =
        |line, by| json!({ "function": "main.fetch", "file": "/build/shop/main.go", "line": line, "by": by });
    let mut hung = verdict("LT001", "growing-site", "likely", 40);
    hung["created_by"] =
        json!({ "function": "main.fetch", "file": "/build/shop/main.go", "line": 20, "pc": "0x88" });
    hung["own_line"] = fetch(20, "go_statement");
    let [reads, writes] = ["readLoop", "writeLoop"].map(|loops| {
        let mut dial = verdict("LT001", "growing-site", "watch", 38);
        dial["created_by"] = json!({
            "function": "net/http.(*Transport).dialConn", "file": "/usr/local/go/src/net/http/transport.go",
            "line": 1944, "pc": "0x99",
        });
        dial["start_function"] = json!(format!("net/http.(*persistConn).{loops}"));
        dial["own_line"] = fetch(21, "ancestor");
        dial
    });
    let mut one = incident("d4", &reads);
    one["verdicts"].as_array_mut().unwrap().extend([writes, hung]);
    one["shared"] = json!(["own_line", "lineage"]);
    all["incidents"].as_array_mut().unwrap().push(one);
    let mut report: Report = serde_json::from_value(all).unwrap();
    settle(&mut report.incidents);
    report
}

/// A group of which nothing is known but these.
pub(crate) fn group(created_by: &str, started: &str, live: u64) -> Group {
    serde_json::from_value(json!({
        "created_by": { "function": created_by, "file": WORKER, "line": 88, "pc": "0x1" },
        "start_function": started, "live": live, "long_lived": live, "born": live, "ended": 0, "before_attach": 0,
        "net_per_minute": null, "oldest_age_ns": 1, "median_age_ns": 1, "age_is_lower_bound": false,
        "median_is_lower_bound": false, "longest_wait_ns": null, "longest_wait_is_lower_bound": false,
        "wait_reasons": { "chan send": live }, "blocked_at": [], "blocked_elsewhere": live, "creation_stack": [],
        "other_creation_stacks": 0, "stack_bytes": 0,
    }))
    .unwrap()
}
