//! What a path and its query ask for.

use std::borrow::Cow;

use leaktrace_core::schema::{BlackBoxName, Level, ProcessId};

use super::asks::{BlackBoxPart, LevelWish, ProfileKind, Wish};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The page of all processes.
    Page,
    /// All processes, as data.
    Processes,
    /// All metrics.
    Metrics,
    /// The processes as targets of scrapers.
    Targets,
    /// Whether the agent is alive.
    Alive,
    /// Whether it is ready.
    Ready,
    /// One profile of all processes.
    NodeProfile,
    /// Something of one process.
    Process(ProcessId, Part),
    /// All entries of the black box, as data.
    BlackBox,
    /// Something of one entry.
    Entry(BlackBoxName, BlackBoxPart),
}

/// What there is of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Its page.
    Page,
    /// The same as data.
    Data,
    /// Its metrics.
    Metrics,
    /// The report of its last study.
    Report,
    /// Which profiles there are.
    Index,
    /// The same without the slash behind which their names are looked for.
    IndexElsewhere,
    /// A profile.
    Profile(Wish),
    /// To be watched more closely.
    Level(LevelWish),
}

/// Why nothing is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unclear {
    /// Nothing has that path.
    NoSuchPath,
    /// Its query cannot be understood.
    BadQuery(&'static str),
}

/// Whether whatever is at this path changes something when it is asked.
pub(super) fn is_change(path: &str) -> bool {
    path.starts_with("/processes/") && path.ends_with("/level")
}

/// What is meant by a path and its query. No path of ours has anything in it that would have to be encoded.
pub(super) fn route(path: &str, query: &str) -> Result<Route, Unclear> {
    let route = match path {
        "/" => Route::Page,
        "/processes" => Route::Processes,
        "/metrics" => Route::Metrics,
        "/sd" => Route::Targets,
        "/healthz" => Route::Alive,
        "/readyz" => Route::Ready,
        "/blackbox" => Route::BlackBox,
        _ if path.starts_with("/blackbox/") => entry(path)?,
        _ => return process(path, query),
    };
    Query::parse(query)?;
    Ok(route)
}

fn entry(path: &str) -> Result<Route, Unclear> {
    let name = path.strip_prefix("/blackbox/").ok_or(Unclear::NoSuchPath)?;
    let (name, part) = match name.strip_suffix(".ltr") {
        Some(name) => (name, BlackBoxPart::Snapshot),
        None => (name, BlackBoxPart::Event),
    };
    Ok(Route::Entry(name.parse().map_err(|_| Unclear::NoSuchPath)?, part))
}

fn process(path: &str, query: &str) -> Result<Route, Unclear> {
    let query = || Query::parse(query);
    if let Some(kind) = path.strip_prefix("/debug/pprof/").and_then(profile) {
        let query = query()?;
        let wish = wish(kind, &query)?;
        let unclear = match query.get("process").map(str::parse) {
            Some(Ok(id)) => return Ok(Route::Process(id, Part::Profile(wish))),
            None if wish == Wish::PROFILE => return Ok(Route::NodeProfile),
            None => "of all processes there is only the profile: add ?process=ID; /processes has the ids",
            Some(Err(_)) => "\"process\" is an id such as 4711-88123; /processes has the ids",
        };
        return Err(Unclear::BadQuery(unclear));
    }
    let rest = path.strip_prefix("/processes/").ok_or(Unclear::NoSuchPath)?;
    let (id, part) = rest.split_once('/').map_or((rest, None), |(id, part)| (id, Some(part)));
    let (id, part) = match (id.strip_suffix(".json"), part) {
        (Some(id), None) => (id, Part::Data),
        (_, None) => (id, Part::Page),
        (_, Some("metrics")) => (id, Part::Metrics),
        (_, Some("report")) => (id, Part::Report),
        (_, Some("level")) => (id, Part::Level(level(&query()?)?)),
        (_, Some("debug/pprof")) => (id, Part::IndexElsewhere),
        (_, Some("debug/pprof/")) => (id, Part::Index),
        (_, Some(part)) => {
            let kind = part.strip_prefix("debug/pprof/").and_then(profile).ok_or(Unclear::NoSuchPath)?;
            (id, Part::Profile(wish(kind, &query()?)?))
        }
    };
    query()?;
    Ok(Route::Process(id.parse().map_err(|_| Unclear::NoSuchPath)?, part))
}

fn profile(name: &str) -> Option<ProfileKind> {
    [ProfileKind::Goroutine, ProfileKind::GoroutineLeak].into_iter().find(|kind| kind.name() == name)
}

fn wish(kind: ProfileKind, query: &Query<'_>) -> Result<Wish, Unclear> {
    let debug = match query.get("debug") {
        None | Some("" | "0") => 0,
        Some("1") => 1,
        Some("2") => 2,
        Some(_) => return Err(Unclear::BadQuery("\"debug\" is 0, 1 or 2")),
    };
    let seconds = query.get("seconds").filter(|seconds| !seconds.is_empty());
    let is_possible = |seconds: &u32| (1..=Wish::MAX_SECONDS).contains(seconds);
    let seconds = match seconds.map(|seconds| seconds.parse().ok().filter(is_possible)) {
        None => None,
        Some(Some(_)) if debug != 0 => {
            return Err(Unclear::BadQuery("seconds and debug params are incompatible"));
        }
        Some(Some(seconds)) => Some(seconds),
        Some(None) => return Err(Unclear::BadQuery("\"seconds\" is a whole number from 1 to 300")),
    };
    Ok(Wish { kind, debug, seconds, has_labels: true })
}

fn level(query: &Query<'_>) -> Result<LevelWish, Unclear> {
    let level = match query.get("level") {
        Some("2") => Level::Lives,
        Some("3") => Level::All,
        _ => return Err(Unclear::BadQuery("\"level\" is 2, for births and ends, or 3, for all events")),
    };
    let seconds = query.get("seconds").and_then(|seconds| seconds.parse().ok());
    let seconds = seconds.filter(|seconds| LevelWish::SECONDS.contains(seconds));
    let seconds = seconds.ok_or(Unclear::BadQuery("\"seconds\" is a whole number from 5 to 3600"))?;
    Ok(LevelWish { level, seconds })
}

/// The keys of a query, none of them twice: two programs would not agree on which of them counts.
struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Result<Self, Unclear> {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(key).zip(decode(value));
            let (key, value) =
                decoded.ok_or(Unclear::BadQuery("a percent sign without what belongs to it"))?;
            if pairs.iter().any(|(other, _)| *other == key) {
                return Err(Unclear::BadQuery("one of the parameters is there twice"));
            }
            pairs.push((key, value));
        }
        Ok(Self(pairs))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_ref())
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProcessId = ProcessId { pid: 4711, start_ticks: 88_123 };
    const NAME: BlackBoxName = BlackBoxName { unix_s: 1_796_064_863, id: ID };

    fn of(target: &str) -> Result<Route, Unclear> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        route(path, query)
    }

    fn profile(kind: ProfileKind, debug: u8, seconds: Option<u32>) -> Route {
        Route::Process(ID, Part::Profile(Wish { kind, debug, seconds, has_labels: true }))
    }

    #[test]
    fn every_path_means_one_thing() {
        let routes = [
            ("/", Route::Page),
            ("/?utm=1", Route::Page),
            ("/processes", Route::Processes),
            ("/metrics", Route::Metrics),
            ("/sd", Route::Targets),
            ("/healthz", Route::Alive),
            ("/readyz", Route::Ready),
            ("/blackbox", Route::BlackBox),
            ("/blackbox/4711-88123-1796064863", Route::Entry(NAME, BlackBoxPart::Event)),
            ("/blackbox/4711-88123-1796064863.ltr", Route::Entry(NAME, BlackBoxPart::Snapshot)),
            ("/processes/4711-88123", Route::Process(ID, Part::Page)),
            ("/processes/4711-88123.json", Route::Process(ID, Part::Data)),
            ("/processes/4711-88123/metrics?process=4711-88123", Route::Process(ID, Part::Metrics)),
            ("/processes/4711-88123/debug/pprof", Route::Process(ID, Part::IndexElsewhere)),
            ("/processes/4711-88123/debug/pprof/", Route::Process(ID, Part::Index)),
        ];
        for (target, route) in routes {
            assert_eq!(of(target), Ok(route), "{target}");
        }
    }

    #[test]
    fn profiles_have_the_parameters_of_go() {
        let (all, leaked) = (ProfileKind::Goroutine, ProfileKind::GoroutineLeak);
        let base = "/processes/4711-88123/debug/pprof";
        assert_eq!(of(&format!("{base}/goroutine")).unwrap(), profile(all, 0, None));
        assert_eq!(of(&format!("{base}/goroutine?debug=2&gc=1")).unwrap(), profile(all, 2, None));
        assert_eq!(of(&format!("{base}/goroutine?debug=0&seconds=300")).unwrap(), profile(all, 0, Some(300)));
        assert_eq!(of(&format!("{base}/goroutineleak?%64ebug=1")).unwrap(), profile(leaked, 1, None));
        assert_eq!(of(&format!("{base}/goroutine?process=1-1")).unwrap(), profile(all, 0, None));
        assert_eq!(of("/debug/pprof/goroutine?process=4711%2D88123").unwrap(), profile(all, 0, None));
        assert_eq!(
            of("/debug/pprof/goroutineleak?seconds=&process=4711-88123").unwrap(),
            profile(leaked, 0, None)
        );
        for query in [
            "seconds=0",
            "seconds=301",
            "seconds=-1",
            "seconds=1.5",
            "seconds=99999999999999999999",
            "debug=1&seconds=1",
            "debug=3",
            "debug=x",
            "debug=1&debug=1",
            "x&x",
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%+1",
            "%ff=1",
            "debug=%F1",
        ] {
            let found = of(&format!("{base}/goroutine?{query}"));
            assert!(matches!(found, Err(Unclear::BadQuery(_))), "{query}: {found:?}");
        }
        assert_eq!(of("/debug/pprof/goroutine?gc=1&debug=0"), Ok(Route::NodeProfile));
        for query in ["goroutine?debug=1", "goroutine?seconds=1", "goroutineleak"] {
            assert!(matches!(of(&format!("/debug/pprof/{query}")), Err(Unclear::BadQuery(_))), "{query}");
        }
        assert!(matches!(of("/debug/pprof/goroutine?process=1"), Err(Unclear::BadQuery(_))));
        assert!(matches!(of("/?a=1&a=2"), Err(Unclear::BadQuery(_))));
    }

    #[test]
    fn a_level_is_for_a_time() {
        let of_query = |query: &str| of(&format!("/processes/4711-88123/level?{query}"));
        let wish = |level, seconds| Ok(Route::Process(ID, Part::Level(LevelWish { level, seconds })));
        assert_eq!(of_query("level=2&seconds=5"), wish(Level::Lives, 5));
        assert_eq!(of_query("seconds=3600&level=3"), wish(Level::All, 3_600));
        for query in [
            "",
            "level=2",
            "level=1&seconds=60",
            "level=4&seconds=60",
            "level=2&seconds=4",
            "level=2&seconds=3601",
        ] {
            assert!(matches!(of_query(query), Err(Unclear::BadQuery(_))), "{query}");
        }
        assert!(is_change("/processes/4711-88123/level") && !is_change("/processes/4711-88123"));
    }

    #[test]
    fn nothing_else_means_anything() {
        for target in [
            "",
            "*",
            "//",
            "/processes/",
            "/processes/1",
            "/processes/4711-88123/",
            "/processes/4711-88123/x",
            "/processes/4711-88123.json/metrics",
            "/processes/4711-88123/debug/pprof/heap",
            "/processes/4711-88123/debug/pprof/goroutine/",
            "/processes/../etc/passwd",
            "/processes/..%2f..%2fetc%2fpasswd",
            "/processes/%00",
            "/processes/4711-88123%",
            "/debug/pprof/",
            "/debug/pprof/../../metrics",
            "/metrics/",
            "/METRICS",
            "/%6detrics",
        ] {
            assert_eq!(of(target), Err(Unclear::NoSuchPath), "{target}");
        }
    }
}
