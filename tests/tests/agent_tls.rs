//! Ring 2: the agent over TLS, asked by curl, which has another TLS.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use leaktrace_tests::agent::PATIENCE;
use leaktrace_tests::certificates::{Certificates, Kind};
use leaktrace_tests::go::prerequisites;
use leaktrace_tests::http::{free_port, get};
use leaktrace_tests::leaktrace::{Running, command, leaktrace};
use leaktrace_tests::poll::poll_until;
use rustix::process::Signal;

/// What curl says to a server that it does not trust.
const UNTRUSTED: i32 = 60;

fn curl(port: u16, path: &str, authority: &Path, options: &[&str]) -> Output {
    prerequisites::ensure_curl(&mut |_| {}).expect("curl is there");
    let mut curl = Command::new("curl");
    // Whoever tests this may have a proxy.
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "20", "--cacert"]);
    curl.arg(authority).args(options).arg(format!("https://localhost:{port}{path}"));
    curl.output().expect("it runs")
}

fn start(folder: &Path) -> (Running, u16) {
    let port = free_port().expect("there is one");
    let (certificate, key) = (folder.join("cert"), folder.join("key"));
    let tls = format!("--tls-cert {} --tls-key {}", certificate.display(), key.display());
    (Running::start(command(&format!("agent --listen 127.0.0.1:{port} {tls}"))), port)
}

/// Puts a certificate and its key where the agent reads them.
fn give(certificates: &Certificates, folder: &Path) {
    fs::copy(certificates.certificate(), folder.join("cert")).expect("it is copied");
    fs::copy(certificates.key(), folder.join("key")).expect("it is copied");
}

#[test]
fn curl_is_answered_and_shown_a_new_certificate_on_a_hangup() {
    let (first, second) = (Certificates::make(Kind::Ecdsa), Certificates::make(Kind::Rsa));
    let folder = tempfile::tempdir().expect("it is made");
    give(&first, folder.path());
    let (mut agent, port) = start(folder.path());
    let is_answered = |by: &Certificates, options: &[&str]| {
        curl(port, "/healthz", &by.authority(), options).status.success()
    };
    poll_until(PATIENCE, "it answers", || {
        assert!(agent.is_running(), "the agent has ended");
        is_answered(&first, &[]).then_some(())
    });
    for options in [["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3", "--tls-max", "1.3"]] {
        assert!(is_answered(&first, &options), "{options:?}");
    }
    assert!(!is_answered(&first, &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]));
    let targets = curl(port, "/metrics", &first.authority(), &[]);
    assert!(String::from_utf8_lossy(&targets.stdout).contains("leaktrace_processes"));
    assert_eq!(curl(port, "/", &second.authority(), &[]).status.code(), Some(UNTRUSTED));
    assert!(format!("{:#}", get(port, "/healthz").expect_err("it is not HTTP")).contains("status 400"));

    // A key that does not fit changes nothing, and the next hangup finds one that does.
    fs::copy(second.certificate(), folder.path().join("cert")).expect("it is copied");
    agent.signal(Signal::HUP);
    assert!(is_answered(&first, &[]));
    give(&second, folder.path());
    poll_until(PATIENCE, "it has the new certificate", || {
        agent.signal(Signal::HUP);
        is_answered(&second, &[]).then_some(())
    });
    assert_eq!(curl(port, "/", &first.authority(), &[]).status.code(), Some(UNTRUSTED));
    let outcome = agent.stop();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains(&format!("listening on https://127.0.0.1:{port}/")),
        "{}",
        outcome.stderr
    );
    let kept = "the settings stay as they were: cannot use the TLS certificate";
    assert!(outcome.stderr.contains(kept), "{}", outcome.stderr);
}

#[test]
fn what_is_no_certificate_and_key_is_refused_at_the_start() {
    let ours = Certificates::make(Kind::Ecdsa);
    let folder = tempfile::tempdir().expect("it is made");
    give(&ours, folder.path());
    let (certificate, key) = (folder.path().join("cert"), folder.path().join("key"));
    let refused = |options: &str, words: &str| {
        let port = free_port().expect("there is one");
        leaktrace(&format!("agent --listen 127.0.0.1:{port} {options}")).refused(2, words);
    };
    let both = format!("--tls-cert {} --tls-key {}", certificate.display(), key.display());
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("it is set");
    refused(&both, "can be read or written by every user");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("it is set");
    fs::write(&key, "nothing").expect("it is written");
    refused(&both, "has no private key");
    fs::write(&certificate, "nothing").expect("it is written");
    refused(&both, "has no certificate");
    fs::remove_file(&certificate).expect("it is removed");
    refused(&both, "cannot read the TLS file");
    for (options, words) in [
        (format!("--tls-cert {}", certificate.display()), "--tls-cert needs --tls-key FILE"),
        (format!("--tls-key {}", key.display()), "--tls-key needs --tls-cert FILE"),
    ] {
        let outcome = leaktrace(&format!("agent {options}"));
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}
