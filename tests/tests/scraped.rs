//! Ring 2: Debian's Prometheus scrapes an agent by the configuration in `deploy`, and its rules alert on a leak and on
//! nothing else.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use leaktrace_tests::agent::{Agent, PATIENCE, STUDY};
use leaktrace_tests::go::build_as;
use leaktrace_tests::held::Held;
use leaktrace_tests::http::{free_port, get};
use leaktrace_tests::packages::Package;
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::privilege::skip;
use leaktrace_tests::{Mode, Program, Target, Version};
use serde_json::Value;
use tempfile::TempDir;

/// Prometheus; killed when dropped.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    /// Starts it with the files of `deploy`, but that it asks this agent, every second, and that nothing has to last.
    fn start(binary: &Path, folder: &TempDir, agent: u16) -> Self {
        let deployed = |file: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus").join(file);
            fs::read_to_string(path).expect("it is there")
        };
        let config = deployed("prometheus.yml").replace("9464", &agent.to_string()).replace("30s", "1s");
        let rules: String = deployed("leaktrace.rules.yml")
            .lines()
            .map(|line| if line.trim_start().starts_with("for: ") { "        for: 2s" } else { line })
            .flat_map(|line| [line, "\n"])
            .collect();
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            fs::write(&path, text).expect("it can be written");
            path
        };
        write("leaktrace.rules.yml", &rules);
        let config = write("prometheus.yml", &config);
        let port = free_port().expect("there is one");
        let mut command = Command::new(binary);
        command.arg("--config.file").arg(config).arg("--storage.tsdb.path").arg(folder.path().join("data"));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).stderr(Stdio::null());
        let prometheus = Self { child: command.spawn().expect("it starts"), port };
        poll_until(PATIENCE, "Prometheus listens", || get(port, "/-/ready").ok());
        prometheus
    }

    fn data(&self, path: &str) -> Value {
        let answer = get(self.port, path).unwrap_or_else(|error| panic!("{error:#}"));
        let mut answer: Value = serde_json::from_str(&answer).expect("it is JSON");
        answer["data"].take()
    }

    /// The names of the alerts on this executable that fire.
    fn firing(&self, exe: &str) -> Vec<String> {
        let data = self.data("/api/v1/alerts");
        let alerts = data["alerts"].as_array().expect("a list").iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing" && alert["labels"]["exe"] == exe);
        firing.map(|alert| alert["labels"]["alertname"].as_str().expect("a text").to_owned()).collect()
    }

    /// What a query without brackets finds.
    fn query(&self, query: &str) -> Option<String> {
        let data = self.data(&format!("/api/v1/query?query={query}"));
        Some(data["result"].as_array()?.first()?["value"][1].as_str()?.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }
}

#[test]
fn prometheus_alerts_on_the_leak_and_not_on_the_ramp() {
    let fetched = Package::Debian("prometheus").fetch(&mut |what| eprintln!("{what}"));
    let binary = match fetched {
        Ok(folder) => folder.join("usr/bin/prometheus"),
        Err(error) => return skip(&format!("no Prometheus: {error:#}")),
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let ramps = build_as(folder.path(), "scraped-ramps", Program::Healthy, Version::NEWEST, Mode::Stripped);
    let ramps = Held::start(Command::new(&ramps).arg("growing_pool")).expect("it starts");
    let leaks = build_as(folder.path(), "scraped-leaks", Program::Service, Version::NEWEST, Mode::Stripped);
    let mut command = Command::new(&leaks);
    command.args(["-control", "-slow", "4"]);
    let mut leaks = Target::spawn(command, &leaks);
    leaks.command("order 80");

    let agent = Agent::start("--exe scraped-* --max-cpu off");
    let prometheus = Prometheus::start(&binary, &folder, agent.port());
    agent.once(ramps.pid(), "watched");
    poll_until(PATIENCE, "the rules record", || {
        prometheus
            .query("sum(workload:leaktrace_goroutines:sum)")
            .filter(|sum| sum.parse::<f64>().is_ok_and(|sum| sum > 80.0))
    });
    poll_until(STUDY, "the leak fires an alert", || {
        prometheus.firing("scraped-leaks").into_iter().find(|name| name == "LeaktraceIncident")
    });
    assert_eq!(prometheus.firing("scraped-ramps"), Vec::<String>::new());
}
