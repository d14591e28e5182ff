//! The answers to what was asked.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Request, Response, StatusCode};
use leaktrace_core::schema::{MetricFamily, Node, NodeProcess, ProcessId};
use serde::Serialize;

use super::asks::{Answers, ProfileKind, Wish};
use super::deadline::{Deadline, Patience, Whole};
use super::doors::Doors;
use super::guard::Refused;
use super::kept::Kept;
use super::routes::{Part, Route, Unclear, is_change, route};
use super::{Listen, later, page, process_metrics, targets};
use crate::agent::metrics::{self, Format};
use crate::agent::tls::Identity;

const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const PROFILE: &str = "application/octet-stream";
/// Go's tools show the text of an answer that failed only if it has this.
const X_GO_PPROF: HeaderName = HeaderName::from_static("x-go-pprof");
/// No page of another origin may use what is ours.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Whom we speak to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Our own address, as they have it.
    pub(super) local: Option<SocketAddr>,
    /// Whether they came through a socket file.
    pub(super) is_by_file: bool,
}

/// Answers everybody.
pub(super) struct Answerer {
    answers: Arc<dyn Answers>,
    doors: Doors,
    patience: Patience,
    address: Option<SocketAddr>,
    advertise: Option<String>,
    node: Option<String>,
    scheme: &'static str,
    open_metrics: Kept<Vec<MetricFamily>>,
    prometheus: Kept<Vec<MetricFamily>>,
    page: Kept<Node>,
    processes: Kept<Node>,
    /// With the address that they have.
    targets: RefCell<(Option<String>, Kept<Node>)>,
}

impl Answerer {
    pub(super) fn new(
        answers: Arc<dyn Answers>,
        doors: Doors,
        patience: Patience,
        address: Option<SocketAddr>,
        listen: &Listen,
    ) -> Self {
        Self {
            answers,
            doors,
            patience,
            address,
            advertise: listen.advertise.clone(),
            node: listen.node.clone(),
            scheme: listen.scheme(),
            open_metrics: Kept::default(),
            prometheus: Kept::default(),
            page: Kept::default(),
            processes: Kept::default(),
            targets: RefCell::default(),
        }
    }

    /// What TLS begins with, if it does.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.doors.identity()
    }

    /// Answers one request.
    pub(super) async fn answer<B: Body>(
        &self,
        request: Request<B>,
        peer: Peer,
        deadline: &Rc<Deadline>,
    ) -> Response<Whole> {
        deadline.asked(Duration::ZERO);
        // What comes has to be taken, too, before the time is over.
        let usual = self.patience.answer * 3 / 4;
        let answer = match self.understand(request, peer) {
            Ok((Route::Process(id, Part::Profile(wish)), _)) => {
                let longer = Duration::from_secs(wish.seconds.unwrap_or(0).into());
                deadline.asked(longer);
                later::profile(self.answers.goroutines(id, wish), wish, usual + longer).await
            }
            Ok((Route::NodeProfile, _)) => {
                later::profile(self.answers.node_profile(), Wish::PROFILE, usual).await
            }
            Ok((Route::Process(id, Part::Level(wish)), _)) => {
                later::watch(self.answers.watch(id, wish), usual).await
            }
            Ok((Route::Entry(name, part), _)) => {
                later::entry(self.answers.black_box(name, part), part, usual).await
            }
            Ok((route, headers)) => {
                if !matches!(route, Route::Alive | Route::Ready) {
                    self.answers.news().await;
                }
                self.at_once(route, &headers, peer)
            }
            Err(answer) => answer,
        };
        answer.into_response(deadline)
    }

    fn understand<B: Body>(&self, request: Request<B>, peer: Peer) -> Result<(Route, HeaderMap), Answer> {
        let has_body = !request.body().is_end_stream();
        let methods = if is_change(request.uri().path()) { "POST" } else { "GET, HEAD" };
        let refused = |refused: Refused| {
            let answer = Answer::error(refused.0, refused.1);
            let is_other = refused.0 == StatusCode::METHOD_NOT_ALLOWED;
            let answer = if is_other { answer.with(ALLOW, methods) } else { answer };
            // Nobody waits for what we will not read.
            if has_body { answer.with(CONNECTION, "close") } else { answer }
        };
        let guard = self.doors.guard();
        guard.admit(&request, peer.is_by_file).map_err(refused)?;
        let (head, _) = request.into_parts();
        let route = route(head.uri.path(), head.uri.query().unwrap_or_default());
        // They say one word, and whoever asks for it keeps no secrets.
        if !matches!(route, Ok(Route::Alive | Route::Ready)) {
            guard.authenticate(&head).map_err(refused)?;
        }
        let route = route.map_err(|unclear| match unclear {
            Unclear::NoSuchPath => Answer::error(StatusCode::NOT_FOUND, "there is nothing at this path"),
            Unclear::BadQuery(why) => Answer::error(StatusCode::BAD_REQUEST, why),
        })?;
        Ok((route, head.headers))
    }

    fn at_once(&self, route: Route, headers: &HeaderMap, peer: Peer) -> Answer {
        match route {
            Route::Page => {
                Answer::ok(HTML, self.page.of(self.answers.node(), |node| page::node(node).into()))
            }
            Route::Processes => {
                Answer::ok(JSON, self.processes.of(self.answers.node(), |node| json(&**node)))
            }
            Route::BlackBox => Answer::ok(JSON, json(&self.answers.node().black_box)),
            Route::Metrics => self.metrics(format(headers)),
            Route::Targets => self.targets(peer),
            Route::Alive => Answer::health(self.answers.health().is_alive, "ok", "stuck"),
            Route::Ready => Answer::health(self.answers.health().is_ready, "ready", "not ready"),
            // It takes time, and was answered before.
            Route::Entry(..) => no_entry(),
            // Answered later, where it is understood.
            Route::NodeProfile => no_process(),
            Route::Process(id, part) => {
                let node = self.answers.node();
                let process = node.processes.iter().find(|process| process.id == id);
                match (process, part) {
                    (Some(_), Part::Report) => self.report(id),
                    (Some(process), part) => of_process(process, part, headers),
                    (None, _) => no_process(),
                }
            }
        }
    }

    fn report(&self, id: ProcessId) -> Answer {
        let none = || Answer::error(StatusCode::NOT_FOUND, "this process has not been studied yet");
        self.answers.report(id).map_or_else(none, |report| Answer::ok(JSON, json(&*report)))
    }

    fn metrics(&self, format: Format) -> Answer {
        let kept = match format {
            Format::OpenMetrics => &self.open_metrics,
            Format::Prometheus => &self.prometheus,
        };
        let bytes = kept.of(self.answers.metrics(), |families| metrics::encode(families, format).into());
        Answer::ok(format.content_type(), bytes)
    }

    fn targets(&self, peer: Peer) -> Answer {
        // Never what the request calls us: whoever reads the list would go there.
        let own = peer.local.or(self.address).filter(|address| !address.ip().is_unspecified());
        let own = own.map(|own| SocketAddr::new(own.ip().to_canonical(), own.port()).to_string());
        let target = self.advertise.clone().or(own);
        let mut kept = self.targets.borrow_mut();
        if kept.0 != target {
            *kept = (target, Kept::default());
        }
        let (target, kept) = &*kept;
        let at = target.as_deref().map(|target| (self.scheme, target));
        let made = |node: &Arc<Node>| json(&targets::targets(node, at, self.node.as_deref()));
        Answer::ok(JSON, kept.of(self.answers.node(), made))
    }
}

fn format(headers: &HeaderMap) -> Format {
    let all: Vec<&str> =
        headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok()).collect();
    Format::accepted(&all.join(","))
}

fn of_process(process: &NodeProcess, part: Part, headers: &HeaderMap) -> Answer {
    match part {
        Part::Page => Answer::ok(HTML, page::process(process)),
        Part::Data => Answer::ok(JSON, json(process)),
        Part::Metrics => {
            let format = format(headers);
            let families = Arc::new(process_metrics::families(process));
            Answer::ok(format.content_type(), metrics::encode(&families, format))
        }
        Part::Index => Answer::ok(HTML, page::profiles(process)),
        Part::IndexElsewhere => {
            Answer::error(StatusCode::PERMANENT_REDIRECT, "see pprof/").with(LOCATION, "pprof/")
        }
        Part::Profile(_) | Part::Report | Part::Level(_) => no_process(),
    }
}

pub(super) fn no_process() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "there is no such process any more, or there never was")
}

pub(super) fn no_entry() -> Answer {
    Answer::error(
        StatusCode::NOT_FOUND,
        "the black box has no such entry any more, or never had, or it has no snapshot",
    )
}

fn json(what: &impl Serialize) -> Vec<u8> {
    // All keys are strings, and nothing in it refuses to be written.
    serde_json::to_vec(what).unwrap_or_default()
}

/// An answer, before it has the headers that all have.
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    headers: Vec<(HeaderName, &'static str)>,
}

impl Answer {
    pub(super) fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type, body: body.into(), headers: Vec::new() }
    }

    /// What was asked for is begun.
    pub(super) fn accepted(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::ok(JSON, body) }
    }

    pub(super) fn error(status: StatusCode, why: &str) -> Self {
        let answer = Self { status, ..Self::ok(TEXT, format!("{why}\n")) }.with(X_GO_PPROF, "1");
        match status {
            StatusCode::UNAUTHORIZED => answer.with(WWW_AUTHENTICATE, "Bearer"),
            _ => answer,
        }
    }

    fn health(is_well: bool, well: &str, unwell: &str) -> Self {
        let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Self { status, ..Self::ok(TEXT, format!("{}\n", if is_well { well } else { unwell })) }
    }

    /// Named as Go names it.
    pub(super) fn profile(wish: Wish, bytes: Bytes) -> Self {
        if wish.debug != 0 {
            return Self::ok(TEXT, bytes);
        }
        let name = match (wish.kind, wish.seconds) {
            (ProfileKind::Goroutine, None) => "attachment; filename=\"goroutine\"",
            (ProfileKind::Goroutine, Some(_)) => "attachment; filename=\"goroutine-delta\"",
            (ProfileKind::GoroutineLeak, None) => "attachment; filename=\"goroutineleak\"",
            (ProfileKind::GoroutineLeak, Some(_)) => "attachment; filename=\"goroutineleak-delta\"",
        };
        Self::ok(PROFILE, bytes).with(CONTENT_DISPOSITION, name)
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn into_response(self, deadline: &Rc<Deadline>) -> Response<Whole> {
        let mut response = Response::new(Whole::new(self.body, Rc::clone(deadline)));
        *response.status_mut() = self.status;
        let all = [
            (CONTENT_TYPE, self.content_type),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CACHE_CONTROL, "no-store"),
            (CONTENT_SECURITY_POLICY, page::SECURITY_POLICY),
            (REFERRER_POLICY, "no-referrer"),
            (RESOURCE_POLICY, "same-origin"),
        ];
        for (name, value) in all.into_iter().chain(self.headers) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
