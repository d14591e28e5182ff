//! Ring 2: the agent beside many processes, of which some come, end, exec, stop or block whoever reads them.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leaktrace_tests::agent::{Agent, PATIENCE, STUDY, series};
use leaktrace_tests::blocking::Blocking;
use leaktrace_tests::go::{Toolchain, build_as};
use leaktrace_tests::http::{free_port, get, request};
use leaktrace_tests::leaktrace::{Running, command};
use leaktrace_tests::matrix::each;
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::text::assert_untouched;
use leaktrace_tests::{Mode, Program, Target, Version};
use rustix::process::Signal;
use serde_json::Value;

/// The processes that this one has started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn quiet(version: Version, goroutines: usize) -> Target {
    Target::start(version, Mode::Stripped, &format!("leak_chan_send={goroutines}"))
}

#[test]
fn every_go_process_is_counted_as_it_counts_itself() {
    let agent = Agent::start("");
    each(
        [Mode::Plain, Mode::Stripped, Mode::Pie]
            .into_iter()
            .flat_map(|mode| Version::ALL.map(|version| (version, mode))),
        |version, mode| {
            let mut target = Target::start(version, mode, "leak_chan_send=7");
            let own = target.state().num_goroutine;
            let told = agent.once(target.pid(), "watched");
            assert_eq!(told["goroutines"], own, "{told}");
            let site = told["sites"].as_array().expect("a list").iter().find(|site| site["live"] == 7);
            let site = site.unwrap_or_else(|| panic!("{told}"));
            assert_eq!(site["created_by"]["function"], "main.leakChanSend", "{site}");
            assert_untouched(target.pid());
        },
    );
}

#[test]
fn series_come_and_go_with_their_process() {
    let agent = Agent::start("");
    // Under a name that no other test's process has.
    let folder = tempfile::tempdir().expect("it is made");
    let binary = build_as(folder.path(), "alone", Program::Scenarios, Version::NEWEST, Mode::Stripped);
    let mut own = Command::new(&binary);
    own.arg("leak_chan_send=5");
    let mut target = Target::spawn(own, &binary);
    agent.once(target.pid(), "watched");
    let label = "exe=\"alone\"".to_owned();
    let goroutines = || agent.series("leaktrace_goroutines{", &label);
    poll_until(PATIENCE, "its series is there", || goroutines().filter(|count| *count >= 5.0));
    target.kill();
    poll_until(PATIENCE, "its series is gone", || goroutines().is_none().then_some(()));
    assert!(agent.find(target.pid()).is_none());
}

#[test]
fn a_process_that_has_no_profile_gets_one() {
    let agent = Agent::start("");
    let target = quiet(Version::NEWEST, 9);
    let id = agent.once(target.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    let text = agent.get(&format!("/processes/{id}/debug/pprof/goroutine?debug=2"));
    assert_eq!(text.matches("created by main.leakChanSend").count(), 9, "{text}");
    let go = Toolchain::find(Version::NEWEST).expect("it is here");
    let url = format!("http://127.0.0.1:{}/processes/{id}/debug/pprof/goroutine", agent.port());
    let top = go
        .go()
        .args(["tool", "pprof", "-top", "-show", "main.leakChanSend", &url])
        .output()
        .expect("it runs");
    let top = String::from_utf8_lossy(&top.stdout).into_owned();
    assert!(top.lines().any(|line| line.trim_start().starts_with('9')), "{top}");
}

#[test]
fn a_process_that_blocks_reads_costs_its_neighbours_nothing() {
    let blocking = Blocking::start();
    let agent = Agent::start("");
    let target = quiet(Version::NEWEST, 3);
    let id = agent.once(target.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    // Its headers can be read, its stacks cannot: a dump of it does not return.
    let stuck = agent.once(blocking.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    let refused =
        request(agent.port(), "GET", &format!("/processes/{stuck}/debug/pprof/goroutine?debug=1"), &[], "");
    assert!(format!("{:#}", refused.expect_err("it does not return")).contains("502"));
    let text = agent.get(&format!("/processes/{id}/debug/pprof/goroutine?debug=1"));
    assert!(text.starts_with("goroutine profile: total "), "{text}");
    assert!(agent.get("/healthz").contains("ok"));
    // It is counted all the same.
    poll_until(PATIENCE, "it is looked at again", || {
        let told = agent.find(blocking.pid()).expect("it runs");
        assert_eq!(told["state"], "watched", "{told}");
        told["look_age_ns"].as_u64().filter(|age| *age < 5_000_000_000)
    });
}

#[test]
fn whoever_becomes_another_program_is_looked_at_anew() {
    let agent = Agent::start("");
    let binary = quiet(Version::NEWEST, 1).binary().to_owned();
    let mut shell = Command::new("sh");
    let script = format!("read line; exec {} leak_chan_send=4", binary.display());
    let mut child =
        shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    // Whoever has come later is known: so is the shell.
    let later = quiet(Version::NEWEST, 1);
    agent.once(later.pid(), "watched");
    assert!(agent.find(child.id()).is_none(), "a shell is no Go program");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"\n").expect("it reads");
    let told = agent.once(child.id(), "watched");
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
    assert_eq!(told["sites"][0]["created_by"]["function"], "main.leakChanSend", "{told}");
    drop(stdin);
}

#[test]
fn what_a_study_finds_is_told_and_nothing_is_left_at_the_end() {
    let service =
        Target::start_program(Program::Service, Version::NEWEST, Mode::Stripped, "-control -slow 4");
    let exe = service.binary().file_name().expect("it has a name").to_string_lossy().into_owned();
    // Nobody else comes before, and the next turn soon after.
    let agent = Agent::start(&format!("--exe {exe} --max-cpu off"));
    let mut service = service;
    service.command("order 80");
    let found = poll_until(STUDY, "a study finds the leak", || {
        let told = agent.find(service.pid())?;
        let is_leak = |incident: &&Value| incident["severity"] != "watch";
        Some((told["id"].clone(), told["incidents"].as_array()?.iter().find(is_leak)?.clone()))
    });
    let (id, incident) = found;
    assert_eq!(incident["at"]["function"], "main.(*shop).priceWithin", "{incident}");
    let id = id.as_str().expect("a text");
    let report: Value =
        serde_json::from_str(&agent.get(&format!("/processes/{id}/report"))).expect("it is JSON");
    assert_eq!(report["target"]["pid"], service.pid(), "{report}");
    assert!(agent.get(&format!("/processes/{id}")).contains("main.(*shop).priceWithin"));
    poll_until(PATIENCE, "it is in the metrics", || {
        let severity = incident["severity"].as_str().expect("a text");
        agent.series("leaktrace_incidents{", &format!("severity=\"{severity}\"")).filter(|count| *count > 0.0)
    });
    let studies = poll_until(STUDY, "a study is under way", || {
        Some(children(agent.pid())).filter(|studies| !studies.is_empty())
    });
    let outcome = agent.stop();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    poll_until(PATIENCE, "no study is left", || {
        let is_left = |pid: &u32| Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok();
        (!studies.iter().any(is_left)).then_some(())
    });
}

#[test]
fn whoever_is_beyond_the_limit_is_listed() {
    let agent = Agent::start("--max-processes 1");
    let targets = [quiet(Version::NEWEST, 1), quiet(Version::NEWEST, 1)];
    let beyond = poll_until(PATIENCE, "one is refused", || {
        let all: Vec<Value> = targets.iter().filter_map(|target| agent.find(target.pid())).collect();
        all.into_iter().find(|told| told["state"] == "refused")
    });
    let reason = beyond["reason"].as_str().expect("a text");
    assert!(reason.contains("which is the limit"), "{reason}");
}

/// What systemd is told, by the socket that it gives a service.
struct Manager {
    socket: UnixDatagram,
    all: String,
}

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("it is made");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is set");
        Self { socket, all: String::new() }
    }

    /// Waits until it is told something that begins like this.
    fn hear(&mut self, begins: &str) {
        let mut bytes = vec![0; 4096];
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let length = self.socket.recv(&mut bytes).expect("it is told something in time");
            let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let is_it = said.lines().any(|line| line.starts_with(begins));
            self.all.push_str(&said);
            if is_it {
                return;
            }
        }
        panic!("{begins} is not told: {}", self.all);
    }
}

#[test]
fn the_service_manager_is_told_what_becomes_of_the_agent() {
    let folder = tempfile::tempdir().expect("it is made");
    let (path, config) = (folder.path().join("notify"), folder.path().join("agent.toml"));
    let mut manager = Manager::listen(&path);
    std::fs::write(&config, "max-series = 5000").expect("it is written");
    let port = free_port().expect("there is one");
    let mut agent = command(&format!("agent --listen 127.0.0.1:{port} --config {}", config.display()));
    agent.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000000");
    let agent = Running::start(agent);
    manager.hear("WATCHDOG=1");
    manager.hear("READY=1");
    assert!(get(port, "/readyz").expect("it answers").contains("ready"));
    assert!(manager.all.contains("STATUS=Go processes: "), "{}", manager.all);
    manager.hear("WATCHDOG=1");
    let limit = || series(&get(port, "/metrics").expect("it answers"), "leaktrace_series_limit", "");
    assert_eq!(limit(), Some(5_000.0));
    // What is wrong changes nothing, and what is right is there at once.
    for (text, series) in [("max-serie = 6000", 5_000.0), ("max-series = 7000", 7_000.0)] {
        std::fs::write(&config, text).expect("it is written");
        agent.signal(Signal::HUP);
        manager.hear("RELOADING=1");
        manager.hear("READY=1");
        poll_until(PATIENCE, "the limit is that of the file", || (limit() == Some(series)).then_some(()));
    }
    let outcome = agent.stop();
    manager.hear("STOPPING=1");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let refused = "the settings stay as they were: ";
    assert!(
        outcome.stderr.contains(refused) && outcome.stderr.contains("did you mean max-series?"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("the settings have been read again"), "{}", outcome.stderr);
}

#[test]
fn whoever_wants_to_be_left_alone_is() {
    let agent = Agent::start("--exclude-exe alone* --min-age 4s");
    let binary = quiet(Version::NEWEST, 1).binary().to_owned();
    let folder = tempfile::tempdir().expect("it is made");
    let excluded = folder.path().join("alone-1");
    std::fs::copy(&binary, &excluded).expect("it is copied");
    let start = |binary: &Path, value: &str| {
        let mut own = Command::new(binary);
        own.arg("leak_chan_send=2").env("LEAKTRACE", value);
        Target::spawn(own, binary)
    };
    let left_alone = [start(&binary, "off"), start(&excluded, "on")];
    let watched = start(&binary, "on");
    let began = Instant::now();
    agent.once(watched.pid(), "watched");
    assert!(began.elapsed() > Duration::from_secs(2), "it was too young: {:?}", began.elapsed());
    for target in left_alone {
        assert!(agent.find(target.pid()).is_none());
    }
}

#[test]
fn a_profile_over_some_seconds_has_what_came_and_went() {
    let agent = Agent::start("");
    let mut service =
        Target::start_program(Program::Service, Version::NEWEST, Mode::Stripped, "-control -slow 4");
    let id = agent.once(service.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    let path = format!("/processes/{id}/debug/pprof/goroutine?seconds=10");
    let url = format!("http://127.0.0.1:{}{path}", agent.port());
    let go = Toolchain::find(Version::NEWEST).expect("it is here");
    let start = || {
        let mut pprof = go.go();
        pprof.args(["tool", "pprof", "-raw", &url]).stdout(Stdio::piped()).stderr(Stdio::null());
        pprof.spawn().expect("it runs")
    };
    let (mut pprof, mut began) = (start(), Instant::now());
    // It is under way when another one is refused. Which may happen to it as well, so it gets time to begin.
    let one_second = format!("/processes/{id}/debug/pprof/goroutine?seconds=1");
    poll_until(PATIENCE, "it is under way", || {
        if pprof.try_wait().expect("it is ours").is_some() {
            (pprof, began) = (start(), Instant::now());
        }
        if began.elapsed() < Duration::from_secs(3) {
            return None;
        }
        let refused = request(agent.port(), "GET", &one_second, &[], "").err()?;
        format!("{refused:#}").contains("is under way").then_some(())
    });
    service.command("order 80");
    let output = pprof.wait_with_output().expect("it ends");
    let raw = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && raw.contains("main.(*shop).priceWithin"), "{raw}");
    assert!(raw.contains("Duration: 1"), "{raw}");
    // Whoever stands where they stood is in neither.
    assert!(!raw.contains("main.main"), "{raw}");
}

#[test]
fn whoever_goes_away_does_not_keep_a_profile_under_way() {
    let agent = Agent::start("");
    let target = quiet(Version::NEWEST, 1);
    let id = agent.once(target.pid(), "watched")["id"].as_str().expect("a text").to_owned();
    let path = format!("/processes/{id}/debug/pprof/goroutine?seconds");
    let mut client = TcpStream::connect(("127.0.0.1", agent.port())).expect("it listens");
    write!(client, "GET {path}=300 HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
    let one_second = || request(agent.port(), "GET", &format!("{path}=1"), &[], "");
    poll_until(PATIENCE, "it is under way", || {
        format!("{:#}", one_second().err()?).contains("is under way").then_some(())
    });
    drop(client);
    poll_until(PATIENCE, "there is room for another one", || one_second().ok());
}

#[test]
fn a_profile_of_all_processes_says_whose_each_goroutine_is() {
    let agent = Agent::start("");
    let refused = agent.try_get("/debug/pprof/goroutine").expect_err("nobody has allowed it");
    assert!(format!("{refused:#}").contains("403"), "{refused:#}");
    drop(agent);

    let blocking = Blocking::start();
    let agent = Agent::start("--node-profile");
    let folder = tempfile::tempdir().expect("it is made");
    let targets: Vec<Target> = ["first", "second"]
        .into_iter()
        .map(|name| {
            let binary = build_as(folder.path(), name, Program::Scenarios, Version::NEWEST, Mode::Stripped);
            let mut own = Command::new(&binary);
            own.arg("leak_chan_send=6");
            Target::spawn(own, &binary)
        })
        .collect();
    for pid in targets.iter().map(Target::pid).chain([blocking.pid()]) {
        agent.once(pid, "watched");
    }
    let go = Toolchain::find(Version::NEWEST).expect("it is here");
    let url = format!("http://127.0.0.1:{}/debug/pprof/goroutine", agent.port());
    let output = go.go().args(["tool", "pprof", "-raw", &url]).output().expect("it runs");
    let raw = String::from_utf8_lossy(&output.stdout).into_owned();
    for exe in ["first", "second"] {
        let label = format!("exe:[{exe}]");
        assert!(raw.contains(&label) && raw.contains("go_version:[go1."), "{label}: {raw}");
    }
    let own = go.go().args(["tool", "pprof", "-comments", &url]).output().expect("it runs");
    let comments = String::from_utf8_lossy(&own.stdout).into_owned();
    assert!(comments.contains("leaktrace: ") && comments.contains("left out: "), "{comments}");
}
