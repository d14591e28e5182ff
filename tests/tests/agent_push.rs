//! Ring 2: what the agent pushes to Pyroscope, Parca and OpenTelemetry, and what servers that do not behave cost it.

use std::path::Path;
use std::process::Command;

use leaktrace_core::node::push::otlp::proto::{
    ExportMetricsServiceRequest, KeyValue, ResourceMetrics, Value,
};
use leaktrace_tests::agent::{Agent, PATIENCE};
use leaktrace_tests::go::{Toolchain, build_as};
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::receiver::{Answer, Posted, Receiver};
use leaktrace_tests::{Mode, Program, Target, Version};
use prost::Message;
use rustix::process::Signal;

const TAKEN: Answer = Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
/// The same of gRPC-Web: an empty message, and the status behind it.
const TAKEN_BY_GRPC: Answer =
    Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n\0\0\0\0\0\x80\0\0\0\x10grpc-status: 0\r\n");
const PYROSCOPE: &str = "/push.v1.PusherService/Push";
const PARCA: &str = "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw";
const OTLP: &str = "/v1/metrics";

/// A request to either of them.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    series: Vec<PyroscopeSeries>,
    #[prost(message, repeated, tag = "2")]
    series_of_parca: Vec<ParcaSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct PyroscopeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct ParcaSeries {
    #[prost(message, optional, tag = "1")]
    labels: Option<Labels>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Labels {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(bytes = "vec", tag = "1")]
    raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    id: String,
}

/// A profile that was pushed.
struct Pushed {
    labels: Vec<Label>,
    sample: Sample,
}

impl Pushed {
    /// What a request has, if it is one with a profile.
    fn of(posted: &Posted) -> Option<Self> {
        let (labels, mut samples) = match posted.path.as_str() {
            PYROSCOPE => {
                assert_eq!(posted.header("content-type"), Some("application/proto"));
                let mut all = Request::decode(posted.body.as_slice()).expect("it is a message").series;
                let PyroscopeSeries { labels, samples } = all.remove(0);
                (labels, samples)
            }
            PARCA => {
                assert_eq!(posted.header("content-type"), Some("application/grpc-web+proto"));
                let (head, message) = posted.body.split_first_chunk::<5>().expect("it is a frame");
                assert_eq!(head[0], 0);
                assert_eq!(head[1..], u32::try_from(message.len()).expect("it is short").to_be_bytes());
                let mut all = Request::decode(message).expect("it is a message").series_of_parca;
                let ParcaSeries { labels, samples } = all.remove(0);
                (labels.expect("there are labels").labels, samples)
            }
            _ => return None,
        };
        assert_eq!(samples.len(), 1);
        Some(Self { labels, sample: samples.remove(0) })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
    }
}

/// Starts a program under a name that no other test's process has.
fn start(folder: &Path, name: &str) -> Target {
    let binary = build_as(folder, name, Program::Scenarios, Version::NEWEST, Mode::Stripped);
    let mut command = Command::new(&binary);
    command.args(["leak_chan_send=9"]);
    Target::spawn(command, &binary)
}

fn answers(path: &str) -> Answer {
    if path == PARCA { TAKEN_BY_GRPC } else { TAKEN }
}

/// What `go tool pprof` says of a profile.
fn pprof(folder: &Path, profile: &[u8]) -> String {
    let file = folder.join("profile.pb.gz");
    std::fs::write(&file, profile).expect("it is written");
    let go = Toolchain::find(Version::NEWEST).expect("it is here");
    let output = go.go().args(["tool", "pprof", "-raw"]).arg(&file).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn texts(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    let shown = |one: &KeyValue| match one.value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::String(text)) => text,
        Some(Value::Int(number)) => number.to_string(),
        None => panic!("{} has no value", one.key),
    };
    attributes.iter().map(|one| (one.key.as_str(), shown(one))).collect()
}

/// What is told of the process with this pid, if it is.
fn resource(posted: &[Posted], pid: u32) -> Option<ResourceMetrics> {
    let requests = posted.iter().filter(|posted| posted.path == OTLP);
    let mut resources = requests.flat_map(|posted| {
        assert_eq!(posted.header("content-type"), Some("application/x-protobuf"));
        let request = ExportMetricsServiceRequest::decode(posted.body.as_slice());
        request.expect("it is a message").resource_metrics
    });
    let pid = ("process.pid", pid.to_string());
    resources.find(|one| texts(&one.resource.as_ref().expect("there is one").attributes).contains(&pid))
}

#[test]
fn profiles_and_metrics_come_by_themselves() {
    let folder = tempfile::tempdir().expect("it is made");
    let receiver = Receiver::start(answers);
    let (url, token) = (receiver.url(), folder.path().join("token"));
    std::fs::write(&token, "0123456789abcdef\n").expect("it is written");
    let agent = Agent::start(&format!(
        "--exe pushed --push-pyroscope {url} --push-parca {url} --otlp-endpoint {url} --push-interval 10s \
         --push-tenant shop --push-token-file {}",
        token.display()
    ));
    let mut target = start(folder.path(), "pushed");
    let told = agent.once(target.pid(), "watched");
    let targets = agent.json("/sd");
    for path in [PYROSCOPE, PARCA] {
        let posted = poll_until(PATIENCE, &format!("a profile is pushed to {path}"), || {
            receiver.posted().into_iter().find(|posted| posted.path == path)
        });
        assert_eq!(posted.header("authorization"), Some("Bearer 0123456789abcdef"));
        assert_eq!(posted.header("x-scope-orgid"), (path == PYROSCOPE).then_some("shop"));
        let pushed = Pushed::of(&posted).expect("it has a profile");
        for (name, value) in [("__name__", "goroutine"), ("service_name", "pushed"), ("exe", "pushed")] {
            assert_eq!(pushed.label(name), Some(value), "{:?}", pushed.labels);
        }
        assert_eq!(pushed.label("instance"), targets[0]["labels"]["instance"].as_str());
        assert_eq!(pushed.sample.id.len(), if path == PYROSCOPE { 36 } else { 0 });
        let raw = pprof(folder.path(), &pushed.sample.raw_profile);
        assert!(raw.contains("main.leakChanSend") && raw.contains("goroutine/count"), "{raw}");
    }
    let metrics = poll_until(PATIENCE, "metrics are pushed", || resource(&receiver.posted(), target.pid()));
    let resource = metrics.resource.as_ref().expect("there is one");
    let attributes = texts(&resource.attributes);
    for (name, value) in [
        ("process.executable.name", "pushed"),
        ("process.runtime.name", "go"),
        ("process.runtime.version", told["go_version"].as_str().expect("a text")),
        ("service.name", "pushed"),
    ] {
        assert!(attributes.contains(&(name, value.to_owned())), "{name}: {attributes:?}");
    }
    let count = &metrics.scope_metrics[0].metrics[0];
    assert_eq!(count.name, "go.goroutine.count");
    let points = &count.sum.as_ref().expect("it is a sum").data_points;
    assert_eq!(points[0].as_int, Some(i64::try_from(target.state().num_goroutine).expect("they are few")));
    for server in ["pyroscope", "parca", "otlp"] {
        poll_until(PATIENCE, &format!("{server} is counted"), || {
            let sent = agent.series("leaktrace_push_total{", &format!("to=\"{server}\",result=\"sent\""));
            sent.filter(|count| *count >= 1.0)
        });
    }
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn servers_that_do_not_behave_cost_nobody_anything() {
    let folder = tempfile::tempdir().expect("it is made");
    let hangs = Receiver::start(|_| Answer::Nothing);
    let busy =
        Receiver::start(|_| Answer::Bytes(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"));
    let endless = Receiver::start(|_| Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n"));
    let agent = Agent::start(&format!(
        "--exe pushed-to-nobody --push-pyroscope {} --push-parca {} --otlp-endpoint {} --push-interval 10s",
        hangs.url(),
        busy.url(),
        endless.url()
    ));
    let target = start(folder.path(), "pushed-to-nobody");
    let id = agent.once(target.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    for server in ["pyroscope", "parca", "otlp"] {
        poll_until(PATIENCE, &format!("{server} has failed"), || {
            let failed = agent.series("leaktrace_push_total{", &format!("to=\"{server}\",result=\"failed\""));
            // Others are served meanwhile.
            agent.get(&format!("/processes/{id}/debug/pprof/goroutine?debug=1"));
            failed.filter(|count| *count >= 1.0)
        });
        let sent = agent.series("leaktrace_push_total{", &format!("to=\"{server}\",result=\"sent\""));
        assert_eq!(sent, Some(0.0));
    }
    assert!(agent.get("/healthz").contains("ok"));
    let outcome = agent.stop();
    assert_eq!(outcome.code, Some(0));
    for server in ["pyroscope", "parca", "otlp"] {
        let told = outcome.stderr.matches(&format!("cannot push to {server} at http://")).count();
        assert_eq!(told, 1, "it is said once: {}", outcome.stderr);
    }
}

#[test]
fn whom_to_push_to_can_change_while_the_agent_runs() {
    let folder = tempfile::tempdir().expect("it is made");
    let (first, second) = (Receiver::start(answers), Receiver::start(answers));
    let config = folder.path().join("agent.toml");
    let write = |text: &str| std::fs::write(&config, text).expect("it is written");
    write("exe = \"pushed-anew\"");
    let agent = Agent::start(&format!("--config {}", config.display()));
    let target = start(folder.path(), "pushed-anew");
    agent.once(target.pid(), "watched");
    assert_eq!(agent.series("leaktrace_push_total", ""), None, "nothing is pushed unless somebody says so");
    for receiver in [&first, &second] {
        let url = receiver.url();
        write(&format!("exe = \"pushed-anew\"\npush-pyroscope = \"{url}\"\npush-interval = \"10s\""));
        agent.signal(Signal::HUP);
        poll_until(PATIENCE, "a profile comes", || receiver.posted().iter().find_map(Pushed::of));
    }
    // What is wrong changes nothing.
    write("push-pyroscope = \"ftp://127.0.0.1:1\"");
    agent.signal(Signal::HUP);
    let before = second.posted().len();
    poll_until(PATIENCE, "it goes on", || (second.posted().len() > before + 1).then_some(()));
    write("exe = \"pushed-anew\"");
    agent.signal(Signal::HUP);
    poll_until(PATIENCE, "it ends", || agent.series("leaktrace_push_total", "").is_none().then_some(()));
    let outcome = agent.stop();
    assert!(outcome.stderr.contains("not the URL of a server"), "{}", outcome.stderr);
}
