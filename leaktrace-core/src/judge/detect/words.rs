//! A verdict in one line.

use super::findings::LineOf;
use super::observation::{Object, Wait};
use super::watched::{Cohort, Holder};
use crate::base::human;
use crate::base::path::base_name;
use crate::goroutines::model::{Channel, ChannelOperation};
use crate::schema::Frame;
use crate::schema::{Route, Verdict};

/// What is said of the goroutines of a cohort beside their numbers and where they come from.
#[derive(Clone, Debug)]
pub(super) struct Words {
    is_main: bool,
    /// `all blocked sending on one channel (cap 100, full, 0 receivers) at worker.go:93`
    doing: String,
}

impl Words {
    pub(super) fn of(cohort: &Cohort) -> Self {
        Self { is_main: cohort.standing.is_main, doing: doing(cohort) + &place(cohort) }
    }

    /// `3,104 goroutines, +41/min, created by order.(*Worker).process (worker.go:88), all blocked sending on one channel
    /// (cap 100, full, 0 receivers) at worker.go:93 · oldest 6d 4h · 24 MiB of stacks`
    pub(super) fn summary(&self, verdict: &Verdict, line: Option<&LineOf>) -> String {
        let growth = verdict.net_per_minute.filter(|net| *net != 0.0);
        let growth = growth.map_or_else(String::new, |net| format!(", {}", human::rate(net)));
        let bound = if verdict.age_is_lower_bound { "≥ " } else { "" };
        let oldest = verdict.oldest_age_ns.map(|age| format!(" · oldest {bound}{}", human::duration(age)));
        let origin = if self.is_main { "which runs main.main".to_owned() } else { origin(verdict, line) };
        format!(
            "{}{growth}, {origin}, {}{} · {} of stacks",
            human::some(verdict.live, "goroutine"),
            self.doing,
            oldest.unwrap_or_default(),
            human::bytes(verdict.stack_bytes)
        )
    }
}

/// `created for main.fetch (main.go:85) by net/http.(*Transport).dialConn (transport.go:1944)`
fn origin(verdict: &Verdict, line: Option<&LineOf>) -> String {
    let at = &verdict.created_by;
    let statement = named(at.function.as_deref(), at.file.as_deref(), at.line, Some(&at.pc));
    let Some(of) = line else { return format!("created by {statement}") };
    let own = &of.line;
    let line = named(Some(&own.function), own.file.as_deref(), own.line, None);
    match own.by {
        Route::GoStatement => format!("created by {statement}"),
        Route::Caller | Route::Ancestor if of.is_of_some() => {
            format!("created for {line}, as far as was seen, by {statement}")
        }
        Route::Caller | Route::Ancestor => format!("created for {line} by {statement}"),
        Route::ParentStack => format!("created for {line}, where their creator is now, by {statement}"),
        Route::Runs => format!("running {line}, created by {statement}"),
    }
}

/// `main.fetch (main.go:85)`
fn named(function: Option<&str>, file: Option<&str>, line: Option<u32>, pc: Option<&str>) -> String {
    let function = function.unwrap_or("unknown code");
    match (file.zip(line), pc) {
        (Some((file, line)), _) => format!("{function} ({}:{line})", base_name(file)),
        (None, Some(pc)) => format!("{function} ({pc})"),
        (None, None) => function.to_owned(),
    }
}

/// What they wait for, and whether it is the same for all.
fn doing(cohort: &Cohort) -> String {
    let all = if cohort.live == 1 { "" } else { "all " };
    match (cohort.standing.wait, cohort.objects.top) {
        (Wait::Channel(operation), Some(Object::Channel(channel))) => {
            format!("{all}blocked {} {}", verb(operation), channels(cohort, &channel, operation))
        }
        (Wait::Lock(kind), Some(Object::Lock { waiters, .. })) if cohort.one_object() => {
            format!("{all}blocked on one {} ({} waiting)", kind.as_str(), human::count(waiters.into()))
        }
        (Wait::NoCases, _) => format!("{all}blocked in a select without cases"),
        (Wait::Nothing, _) => format!("{all}{}", cohort.standing.doing),
        _ => format!("{all}blocked: {}", cohort.standing.doing),
    }
}

const fn verb(operation: ChannelOperation) -> &'static str {
    match operation {
        ChannelOperation::Receive => "receiving",
        ChannelOperation::Send => "sending",
    }
}

fn channels(cohort: &Cohort, channel: &Channel, operation: ChannelOperation) -> String {
    let with = match operation {
        ChannelOperation::Receive => "from",
        ChannelOperation::Send => "on",
    };
    if cohort.live == 1 || cohort.one_object() {
        let one = if cohort.live == 1 { "a" } else { "one" };
        return format!("{with} {one} channel ({})", state(channel, operation));
    }
    let many = human::count(cohort.objects.distinct);
    if cohort.own_objects() {
        return format!("{with} channels of their own");
    }
    format!("{with} {many} channels")
}

/// `cap 100, full, 0 receivers`
fn state(channel: &Channel, operation: ChannelOperation) -> String {
    let fill = match (channel.capacity, channel.length) {
        (0, _) => "unbuffered".to_owned(),
        (capacity, 0) => format!("cap {}, empty", human::count(capacity)),
        (capacity, length) if length >= capacity => format!("cap {}, full", human::count(capacity)),
        (capacity, length) => format!("cap {}, {} in it", human::count(capacity), human::count(length)),
    };
    let other_side = match operation {
        ChannelOperation::Send => human::some(channel.receivers.into(), "receiver"),
        ChannelOperation::Receive => human::some(channel.senders.into(), "sender"),
    };
    format!("{fill}, {other_side}")
}

fn place(cohort: &Cohort) -> String {
    let line = |frame: &Frame| Some(format!(" at {}:{}", base_name(frame.file.as_deref()?), frame.line?));
    cohort.standing.own_frame().and_then(line).unwrap_or_default()
}

/// `goroutine 17 in main.flush (flush.go:40)`
pub(super) fn holder(holder: &Holder) -> String {
    let Some(frame) = holder.standing.own_frame() else { return format!("goroutine {}", holder.goid) };
    let function = frame.function.as_deref().unwrap_or("unknown code");
    let place = named(Some(function), frame.file.as_deref(), frame.line, None);
    format!("goroutine {} in {place}", holder.goid)
}
