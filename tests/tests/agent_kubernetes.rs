//! Ring 2: the agent beside a made-up kubelet, which is OpenSSL's own server.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use leaktrace_tests::agent::{Agent, PATIENCE, series};
use leaktrace_tests::certificates::{Certificates, Kind};
use leaktrace_tests::cgroup::Container;
use leaktrace_tests::go::build_as;
use leaktrace_tests::http::free_port;
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::privilege::skip;
use leaktrace_tests::{Mode, Program, Target, Version};
use serde_json::{Value, json};

/// A kubelet that has files to serve; ended when dropped.
struct Kubelet {
    server: Child,
    port: u16,
}

impl Kubelet {
    fn start(folder: &Path, certificates: &Certificates) -> Self {
        let port = free_port().expect("there is one");
        let mut server = Command::new("openssl");
        server.args(["s_server", "-quiet", "-WWW", "-accept", &format!("127.0.0.1:{port}"), "-cert"]);
        server.arg(certificates.certificate()).arg("-key").arg(certificates.key()).current_dir(folder);
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().expect("openssl starts");
        poll_until(PATIENCE, "the kubelet listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { server, port }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.server.kill();
        _ = self.server.wait();
    }
}

/// The list of a node on which this container runs.
fn list(container_id: &str) -> Value {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [{
        "metadata": {
            "name": "order-5bd7f9c6d4-x7k2p",
            "namespace": "shop",
            "labels": {"pod-template-hash": "5bd7f9c6d4"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "order-5bd7f9c6d4", "controller": true}],
        },
        "spec": {"nodeName": "n1"},
        "status": {"containerStatuses": [{"name": "app", "containerID": format!("containerd://{container_id}")}]},
    }]})
}

/// A process in the cgroup of this container.
fn start_in(container: &Container, folder: &Path) -> Target {
    let binary = build_as(folder, "in-a-pod", Program::Scenarios, Version::NEWEST, Mode::Stripped);
    let mut own = Command::new("sh");
    let script = "echo 0 > \"$0\" && exec \"$@\"";
    own.args(["-c", script]).arg(container.door()).arg(&binary).arg("leak_chan_send=5");
    Target::spawn(own, &binary)
}

#[test]
fn a_process_in_a_pod_has_the_names_that_the_kubelet_tells() {
    let Some(container) = Container::new() else { return skip("no cgroup can be made") };
    let certificates = Certificates::make(Kind::Ecdsa);
    let folder = tempfile::tempdir().expect("it is made");
    // At first nobody knows the container.
    let write =
        |list: Value| std::fs::write(folder.path().join("pods"), list.to_string()).expect("it is written");
    write(json!({"items": null}));
    std::fs::write(folder.path().join("token"), "secret").expect("it is written");
    std::fs::copy(certificates.authority(), folder.path().join("ca.crt")).expect("it is copied");
    let kubelet = Kubelet::start(folder.path(), &certificates);
    let options = format!(
        "--kubernetes kubelet --kubelet 127.0.0.1:{} --kubernetes-account {} --exe in-a-pod",
        kubelet.port,
        folder.path().display()
    );
    let agent = Agent::start(&options);
    let mut target = start_in(&container, folder.path());
    let told = agent.once(target.pid(), "watched");
    assert_eq!(
        (&told["container_id"], &told["kubernetes"]),
        (&json!(container.id()), &Value::Null),
        "{told}"
    );

    write(list(container.id()));
    let names = poll_until(PATIENCE, "it has names", || {
        let told = agent.find(target.pid()).expect("it runs");
        told.get("kubernetes").cloned()
    });
    let expected = json!({
        "namespace": "shop", "pod": "order-5bd7f9c6d4-x7k2p", "container": "app",
        "workload": "order", "workload_kind": "Deployment",
    });
    assert_eq!(names, expected);
    let labels = format!(
        "container_id=\"{}\",unit=\"\",namespace=\"shop\",pod=\"order-5bd7f9c6d4-x7k2p\",container=\"app\",workload=\"order\"",
        container.id()
    );
    poll_until(PATIENCE, "its series have them", || {
        series(&agent.get("/metrics"), "leaktrace_goroutines{", &labels).filter(|count| *count >= 5.0)
    });
    let target_labels = agent.json("/sd");
    let of_pod = |target: &Value| target["labels"]["pod"] == "order-5bd7f9c6d4-x7k2p";
    let found = target_labels.as_array().expect("a list").iter().find(|target| of_pod(target));
    assert_eq!(found.expect("it is a target")["labels"]["service_name"], "shop/order");
    assert!(agent.get("/").contains("shop/order-5bd7f9c6d4-x7k2p/app"));

    // A kubelet that is away takes no names with it.
    drop(kubelet);
    assert_eq!(agent.find(target.pid()).expect("it runs")["kubernetes"], expected);
    target.kill();
    poll_until(PATIENCE, "it is gone", || agent.find(target.pid()).is_none().then_some(()));
    let outcome = agent.stop();
    let said = "leaktrace: names of pods come from the kubelet's /pods";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
}
