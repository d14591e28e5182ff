//! Debian's Chromium without a window, steered through chromedriver (the W3C's `WebDriver` protocol: JSON over HTTP).

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::go::prerequisites::apt_install;
use crate::http;
use crate::poll::{PATIENCE, poll_until};

/// The name under which `WebDriver` hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What keeps the browser from everything but the page.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--no-default-browser-check",
    "--no-first-run",
    "--window-size=1400,1000",
];

/// Installs the browser if it is missing and we may.
pub fn ensure(say: &mut dyn FnMut(&str)) -> Result<()> {
    let runs = |program| Command::new(program).arg("--version").output().is_ok();
    if runs("chromium") && runs("chromedriver") {
        return Ok(());
    }
    apt_install(&["chromium", "chromium-driver"], say)
}

/// A browser with one page; closed when this is dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: TempDir,
}

impl Browser {
    /// Starts a browser that knows nothing of earlier ones.
    pub fn start() -> Result<Self> {
        let port = http::free_port()?;
        let profile = tempfile::tempdir()?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null());
        let driver = command.stderr(Stdio::null()).spawn().context("cannot run chromedriver")?;
        let mut browser = Self { driver, port, session: String::new(), profile };
        poll_until(PATIENCE, "chromedriver answers", || http::get(port, "/status").ok());
        browser.open_session()?;
        Ok(browser)
    }

    fn open_session(&mut self) -> Result<()> {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([profile.as_str()]).collect();
        let options = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let wish = json!({"capabilities": {"alwaysMatch": options}});
        let session = self.send("POST", "/session", &wish)?;
        self.session = text(&session["sessionId"]).context("chromedriver opens no session")?;
        Ok(())
    }

    /// Opens a file.
    pub fn open(&self, file: &Path) -> Result<()> {
        self.post("url", &json!({"url": format!("file://{}", file.display())})).map(drop)
    }

    /// Runs a script and returns what it returns.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Clicks on the element that a CSS selector finds.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.post(&format!("element/{element}/click"), &json!({})).map(drop)
    }

    /// Types into the element that a CSS selector finds.
    pub fn type_into(&self, selector: &str, keys: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.post(&format!("element/{element}/value"), &json!({"text": keys})).map(drop)
    }

    /// What the page has written to the console, and what the browser has to say of it.
    pub fn console(&self) -> Result<Vec<String>> {
        self.log("browser")
    }

    /// The addresses that a page has asked for since this was called last.
    pub fn requests(&self, page: &str) -> Result<Vec<String>> {
        let asked = |line: &String| {
            let event: Value = serde_json::from_str(line).ok()?;
            let message = &event["message"];
            // The browser's own pages ask for things too.
            let is_request = message["method"] == "Network.requestWillBeSent";
            let is_ours = message["params"]["documentURL"] == page;
            (is_request && is_ours).then(|| text(&message["params"]["request"]["url"]))?
        };
        Ok(self.log("performance")?.iter().filter_map(asked).collect())
    }

    /// The page as PNG in base64.
    pub fn screenshot(&self) -> Result<String> {
        let shot = self.send("GET", &format!("/session/{}/screenshot", self.session), &Value::Null)?;
        text(&shot).context("there is no picture")
    }

    fn log(&self, kind: &str) -> Result<Vec<String>> {
        let entries = self.post("se/log", &json!({"type": kind}))?;
        Ok(entries.as_array().into_iter().flatten().filter_map(|entry| text(&entry["message"])).collect())
    }

    fn find(&self, selector: &str) -> Result<String> {
        let found = self.post("element", &json!({"using": "css selector", "value": selector}))?;
        text(&found[ELEMENT]).with_context(|| format!("no element is {selector}"))
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        self.send("POST", &format!("/session/{}/{what}", self.session), body)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = ["Content-Type: application/json; charset=utf-8"];
        let answer = http::request(self.port, method, path, &headers, &body)?;
        let mut answer: Value = serde_json::from_str(&answer)?;
        let value = answer["value"].take();
        if !value["error"].is_null() {
            bail!("{path}: {value}");
        }
        Ok(value)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closing the session ends the browser, which is not our child; without one there is none.
        drop(self.send("DELETE", &format!("/session/{}", self.session), &Value::Null));
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
