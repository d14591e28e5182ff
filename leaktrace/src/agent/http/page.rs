//! What people see: pages without scripts, of which a browser loads nothing else.

mod gone;

use std::fmt::Write as _;

use leaktrace_core::base::{escape, human};
use leaktrace_core::schema::{Level, Location, Node, NodeProcess, NodeSite, NodeState, PodPlace};

use super::asks::ProfileKind;

/// How many processes the page shows: more make no page, and are in the data.
const PROCESSES: usize = 1_000;

/// How all pages look. [`SECURITY_POLICY`] has its hash.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.5 system-ui,sans-serif;margin:1rem auto;max-width:80rem;padding:0 1rem}\
h1{font-size:1.3rem;overflow-wrap:anywhere}\
table{border-collapse:collapse;width:100%}\
th,td{border-bottom:1px solid #8885;padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
.n{text-align:right;white-space:nowrap}\
.bad{color:#c22;font-weight:600}\
.dim{opacity:.7;font-size:.9em}\
dt{float:left;clear:left;width:11rem}\
dd{margin:0 0 0 11rem;overflow-wrap:anywhere}\
@media(max-width:45rem){\
thead{display:none}\
tr{display:block;border-bottom:1px solid #8885;padding:.4rem 0}\
td{display:block;border:0;padding:0;text-align:left}\
td.n{text-align:left}\
td[data-n]::before{content:attr(data-n) ' ';opacity:.7}\
td:empty{display:none}\
dt{float:none;width:auto;opacity:.7}\
dd{margin:0}}";

/// Nothing is loaded, sent or framed, and only [`STYLE`] applies.
pub(super) const SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-UC0qlDPW6L/gqrR5Y9o1iOEqD79Z08eC5XyKXkzZUpA='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page of all processes.
pub(super) fn node(node: &Node) -> String {
    let all = node.processes.len();
    let mut body = format!(
        "<p>{}, worst first. <a href=\"processes\">As data</a>, <a href=\"metrics\">metrics</a>.</p>\
         <table><thead><tr><th>Process<th>What is conspicuous<th class=n>Goroutines<th class=n>Made<th class=n>Ended\
         <th class=n>Oldest<th class=n>Looked at</thead><tbody>\n",
        processes(all)
    );
    for process in node.processes.iter().take(PROCESSES) {
        row(process, &mut body);
    }
    body.push_str("</tbody></table>\n");
    if all > PROCESSES {
        push(&mut body, format_args!("<p>{} more are in the data.</p>\n", processes(all - PROCESSES)));
    }
    gone::table(node, &mut body);
    document("Go processes", &body)
}

/// The page of one process.
pub(super) fn process(process: &NodeProcess) -> String {
    let id = process.id;
    let mut body = String::from("<p><a href=\"../\">All processes</a></p>\n<dl>");
    for (name, value) in facts(process) {
        push(&mut body, format_args!("<dt>{name}<dd>{}\n", escape::html(&value)));
    }
    push(
        &mut body,
        format_args!(
            "</dl>\n<p><a href=\"{id}/debug/pprof/goroutine?debug=2\">Stacks of all goroutines</a>, \
             <a href=\"{id}/debug/pprof/goroutine?debug=1\">by stack</a>, \
             <a href=\"{id}/debug/pprof/\">profiles</a>, <a href=\"{id}.json\">as data</a></p>\n"
        ),
    );
    incidents(process, &mut body);
    push(
        &mut body,
        format_args!(
            "<table><thead><tr><th><code>go</code> statement<th>Why it looks as if it leaked<th class=n>Alive\
             <th class=n>Old<th class=n>Oldest<th class=n>Growth</thead><tbody>\n"
        ),
    );
    for site in &process.sites {
        site_row(site, &mut body);
    }
    body.push_str("</tbody></table>\n");
    if process.other_sites > 0 {
        push(
            &mut body,
            format_args!("<p>{} of others.</p>\n", human::some(process.other_sites, "goroutine")),
        );
    }
    document(&format!("{} ({})", process.exe, id.pid), &body)
}

/// The page that Go has at `/debug/pprof/`, as far as that can be known from outside.
pub(super) fn profiles(process: &NodeProcess) -> String {
    let mut body = String::from(
        "<p>Set debug=1 as a query parameter to export in legacy text format</p>\n<p>Types of profiles available:</p>\n<ul>\n",
    );
    push(
        &mut body,
        format_args!(
            "<li><a href=\"{0}?debug=1\">{0}</a>: stack traces of all current goroutines\n",
            ProfileKind::Goroutine.name()
        ),
    );
    body.push_str("</ul>\n<p><a href=\"goroutine?debug=2\">full goroutine stack dump</a></p>\n");
    document(&format!("/debug/pprof/ of {} ({})", process.exe, process.id.pid), &body)
}

fn document(title: &str, body: &str) -> String {
    let title = escape::html(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}</body></html>\n"
    )
}

fn row(process: &NodeProcess, out: &mut String) {
    let pod = process.kubernetes.as_ref().map(PodPlace::to_string);
    let place = pod.as_deref().or(process.unit.as_deref());
    let place = place.or_else(|| process.container_id.as_deref().map(short));
    push(
        out,
        format_args!(
            "<tr><td><a href=\"processes/{}\">{}</a> <span class=dim>{} {}</span><td>{}",
            process.id,
            escape::html(&process.exe),
            process.id.pid,
            escape::html(place.unwrap_or_default()),
            conspicuous(process),
        ),
    );
    number(out, "goroutines", process.goroutines.map(human::count));
    number(out, "made", process.created.map(human::count));
    number(out, "ended", process.ended.map(human::count));
    number(out, "oldest", process.oldest_ns.map(human::duration));
    number(out, "looked at", process.look_age_ns.map(ago));
    out.push_str("</tr>\n");
}

/// What the last study has found, and when that was.
fn incidents(process: &NodeProcess, out: &mut String) {
    let Some(age) = process.study_age_ns else { return };
    let found = human::some(process.incidents.len() as u64, "incident");
    push(
        out,
        format_args!(
            "<p>{found} in the <a href=\"{}/report\">last study</a>, {}.</p>\n",
            process.id,
            ago(age)
        ),
    );
    if process.incidents.is_empty() {
        return;
    }
    out.push_str("<table><thead><tr><th>Line to look at<th>Incident<th class=n>Alive<th class=n>Growth</thead><tbody>\n");
    for incident in &process.incidents {
        push(
            out,
            format_args!(
                "<tr><td>{}<td class=bad>{} {} <span class=dim>{}</span>",
                escape::html(&place(&incident.at)),
                incident.severity.as_str(),
                escape::html(&incident.name),
                escape::html(&incident.code),
            ),
        );
        number(out, "alive", Some(human::count(incident.live)));
        number(out, "growth", incident.per_minute.map(human::rate));
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
}

fn conspicuous(process: &NodeProcess) -> String {
    if let Some(incident) = process.incidents.first() {
        let at = escape::html(&place(&incident.at));
        return format!(
            "<span class=bad>{} {at}</span> {}",
            incident.severity.as_str(),
            escape::html(&incident.name)
        );
    }
    let suspect = process.sites.iter().find_map(|site| Some((site, site.suspect.as_deref()?)));
    match (suspect, process.state) {
        (Some((site, why)), _) => {
            format!("<span class=bad>{}</span> {}", escape::html(&place(&site.created_by)), escape::html(why))
        }
        (None, NodeState::Watched) => process.reason.as_deref().map(escape::html).unwrap_or_default(),
        (None, _) => format!("<span class=dim>{}</span>", escape::html(&state(process))),
    }
}

fn site_row(site: &NodeSite, out: &mut String) {
    let at = &site.created_by;
    let file = at.file.as_deref().map(|file| match at.line {
        Some(line) => format!("{file}:{line}"),
        None => file.to_owned(),
    });
    push(
        out,
        format_args!(
            "<tr><td>{} <span class=dim>{}</span><td class=bad>{}",
            escape::html(at.function.as_deref().unwrap_or(&at.pc)),
            escape::html(&file.unwrap_or_default()),
            escape::html(site.suspect.as_deref().unwrap_or_default()),
        ),
    );
    number(out, "alive", Some(human::count(site.live)));
    number(out, "old", Some(human::count(site.old)));
    number(out, "oldest", Some(human::duration(site.oldest_ns)));
    number(out, "growth", site.per_minute.map(human::rate));
    out.push_str("</tr>\n");
}

fn facts(process: &NodeProcess) -> Vec<(&'static str, String)> {
    let facts = [
        ("Process", Some(process.id.to_string())),
        ("State", Some(state(process))),
        ("Unit", process.unit.clone()),
        ("Container", process.container_id.clone()),
        ("Pod", process.kubernetes.as_ref().map(PodPlace::to_string)),
        ("Built with", process.go_version.clone()),
        ("Version", process.version.clone()),
        ("Goroutines", process.goroutines.map(human::count)),
        ("Made", process.created.map(human::count)),
        ("Ended", process.ended.map(human::count)),
        ("Oldest", process.oldest_ns.map(human::duration)),
        ("Looked at", process.look_age_ns.map(ago)),
        ("Level", Some(level(process))),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn level(process: &NodeProcess) -> String {
    let level = match process.level {
        Level::Memory => "0, from memory alone",
        Level::Site => "1, the suspected go statement is probed",
        Level::Lives => "2, births and ends are probed",
        Level::All => "3, all events are probed",
    };
    process.level_reason.as_ref().map_or_else(|| level.to_owned(), |reason| format!("{level}: {reason}"))
}

fn state(process: &NodeProcess) -> String {
    let state = match process.state {
        NodeState::Waiting => "not looked at yet",
        NodeState::Watched => "watched",
        NodeState::Refused => "not watched",
        NodeState::Blocked => "its memory cannot be read at present",
    };
    process.reason.as_ref().map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"))
}

/// A cell, empty where the number is not known.
fn number(out: &mut String, name: &str, text: Option<String>) {
    match text {
        Some(text) => push(out, format_args!("<td class=n data-n=\"{name}\">{}", escape::html(&text))),
        None => out.push_str("<td class=n>"),
    }
}

fn place(at: &Location) -> String {
    let function = at.function.as_deref().unwrap_or(&at.pc);
    at.line.map_or_else(|| function.to_owned(), |line| format!("{function}:{line}"))
}

fn processes(number: usize) -> String {
    let noun = if number == 1 { "Go process" } else { "Go processes" };
    format!("{} {noun}", human::count(number as u64))
}

fn ago(ns: u64) -> String {
    format!("{} ago", human::duration(ns))
}

/// As much of a container's id as others show.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A string takes everything.
    _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::agent::http::tests::made_up;

    #[test]
    fn the_policy_has_the_hash_of_the_style() {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        assert!(SECURITY_POLICY.contains(&format!("'sha256-{hash}'")), "the style has the hash {hash}");
    }

    #[test]
    fn no_name_becomes_markup() {
        let mut hostile = made_up::process(4711);
        let name = "<script>alert('1')</script>\"&\n\u{202e}";
        for text in
            [&mut hostile.container_id, &mut hostile.unit, &mut hostile.go_version, &mut hostile.version]
        {
            *text = Some(name.to_owned());
        }
        hostile.kubernetes = Some(made_up::pod(name));
        (hostile.exe, hostile.reason) = (name.to_owned(), Some(name.to_owned()));
        hostile.level_reason = Some(name.to_owned());
        for site in &mut hostile.sites {
            site.suspect = Some(name.to_owned());
            let at = &mut site.created_by;
            (at.function, at.file, at.pc) = (Some(name.to_owned()), Some(name.to_owned()), name.to_owned());
        }
        let pages = [process(&hostile), profiles(&hostile), node(&made_up::node(vec![hostile]))];
        for page in pages {
            assert!(
                page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;\\n\\u202e"),
                "{page}"
            );
            assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
        }
    }

    #[test]
    fn a_thousand_processes_are_a_page_and_no_more() {
        let processes = (1..=1_500).map(made_up::process).collect();
        let page = node(&made_up::node(processes));
        assert_eq!(page.matches("<tr><td>").count(), PROCESSES);
        assert!(page.contains("1,500 Go processes, worst first") && page.contains("500 Go processes more"));
        assert!(page.len() < 1_000_000, "{}", page.len());
    }
}
