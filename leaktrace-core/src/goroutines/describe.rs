//! The words in which groups, tables and pictures speak of goroutines.

use super::Dump;
use super::model::{
    BlockedOn, Channel, ChannelId, DumpGoroutine, FunctionKind, LocationId, NamedFrame, SelectCase, StackId,
    StrId,
};
use super::text_rules::TextRules;
use crate::base::human;
use crate::base::path::base_name;
use crate::go::names::Status;
use crate::go::symbolize::with_import_path;
use crate::go::traceback::innermost_own;

impl Dump {
    /// What the goroutine does in one phrase: its wait reason, else its state.
    pub fn doing(&self, goroutine: &DumpGoroutine) -> &str {
        self.doing_what(goroutine.status, goroutine.wait_reason)
    }

    /// The same of one in this state that waits for this reason.
    pub(super) fn doing_what(&self, status: Status, reason: Option<StrId>) -> &str {
        match (status, reason.map_or("", |reason| self.string(reason))) {
            (Status::Waiting | Status::Leaked, reason) if !reason.is_empty() => reason,
            (status, _) => status.as_str(),
        }
    }

    /// Where in the program's own code the stack stands: the innermost frame that is shown and not of the
    /// standard library. If there is none, the innermost that is shown, or the innermost.
    pub(crate) fn standing_at(&self, stack: StackId) -> Option<NamedFrame<'_>> {
        let own = innermost_own(self.shown_frames(stack), |frame| Some(frame.function));
        own.or_else(|| self.shown_frames(stack).next()).or_else(|| self.frames(stack).next())
    }

    /// The frames of the stack that the target's own tracebacks show, innermost first, however many there are.
    pub(crate) fn shown_frames(&self, stack: StackId) -> impl Iterator<Item = NamedFrame<'_>> {
        let rules = TextRules::of(&self.target.go_version);
        let (mut callee, mut first) = (FunctionKind::Normal, true);
        self.frames(stack).filter(move |frame| {
            let shown = rules.shows(frame, callee, first);
            callee = frame.kind;
            first &= !shown;
            shown
        })
    }

    /// The name of a function as the target's own tracebacks print it, but with its import path as sources write it.
    pub fn printed_name(&self, function: &str) -> String {
        if function.is_empty() {
            return "(unknown)".to_owned();
        }
        let printed = TextRules::of(&self.target.go_version).printed_name(function).concat();
        with_import_path(&printed).into_owned()
    }

    /// `main.worker (worker.go:88)`
    pub fn place(&self, frame: &NamedFrame<'_>) -> String {
        let name = self.printed_name(frame.function);
        if frame.kind == FunctionKind::Cut {
            let file =
                if frame.file.is_empty() { String::new() } else { format!(" ({})", base_name(frame.file)) };
            return format!("{name} at {:#x}{file}", frame.pc);
        }
        if frame.file.is_empty() {
            return format!("{name} at {:#x}", frame.pc);
        }
        format!("{name} ({}:{})", base_name(frame.file), frame.line)
    }

    /// Where the `go` statement is that started the goroutine.
    pub fn creator(&self, created_by: Option<LocationId>) -> String {
        created_by.map_or_else(|| "(unknown)".to_owned(), |at| self.place(&self.frame(at)))
    }

    /// What a goroutine is blocked on in one line, without what changes from one to the next of a group.
    pub(crate) fn blocked_title(&self, blocked: &BlockedOn) -> String {
        match blocked {
            BlockedOn::Channel { operation, channel } => {
                format!("chan {} on {}", operation.as_str(), self.channel_title(*channel))
            }
            BlockedOn::NilChannel { operation } => format!("chan {} on a nil channel", operation.as_str()),
            BlockedOn::Select { cases } => {
                let cases: Vec<_> = cases.iter().map(|case| self.case_title(*case)).collect();
                format!("select: {}", cases.join(" | "))
            }
            BlockedOn::NoCases => "select without cases".to_owned(),
            BlockedOn::Lock { kind, address, waiters } => {
                let waiters = waiters
                    .map(|count| format!(", {} waiting", human::count(count.into())))
                    .unwrap_or_default();
                format!("{} {}{waiters}", kind.as_str(), kind.beginning(*address))
            }
            BlockedOn::Sleep { .. } => "sleep".to_owned(),
            BlockedOn::Io { fd, description } => self.io_title(*fd, *description),
        }
    }

    fn case_title(&self, case: SelectCase) -> String {
        format!("{} {}", case.operation.as_str(), self.channel_title(case.channel))
    }

    fn io_title(&self, fd: i32, description: Option<StrId>) -> String {
        let description = description.map(|id| format!(" {}", self.string(id))).unwrap_or_default();
        format!("fd {fd}{description}")
    }

    fn channel_title(&self, channel: ChannelId) -> String {
        self.tables.channel(channel).map_or_else(|| "?".to_owned(), |channel| self.describe_channel(channel))
    }

    /// Whether a timer sends on it. Up to Go 1.22, and with `GODEBUG=asynctimerchan=1` up to Go 1.26, channels do not know
    /// that; what they carry tells, and that they have room for one.
    pub(crate) fn is_timers(&self, channel: &Channel) -> bool {
        let carries_times = || channel.element.is_some_and(|element| self.string(element) == "time.Time");
        channel.timer || channel.capacity == 1 && carries_times()
    }

    /// Whether a timer is going to send on it, unless somebody stops that.
    pub(crate) fn is_running_timers(&self, channel: &Channel) -> bool {
        self.is_timers(channel) && !channel.stopped
    }

    /// `chan int 0xc000012345 (len 0, cap 10, closed, 0 receiving, 3100 sending)`
    pub(crate) fn describe_channel(&self, channel: &Channel) -> String {
        let element = channel.element.map_or("?", |id| self.string(id));
        let closed = if channel.closed { ", closed" } else { "" };
        let timer = match (channel.timer, channel.stopped) {
            (_, true) => ", of a stopped timer",
            (true, false) => ", of a timer",
            (false, false) => "",
        };
        format!(
            "chan {element} {} (len {}, cap {}{closed}{timer}, {} receiving, {} sending)",
            channel.address,
            human::count(channel.length),
            human::count(channel.capacity),
            human::count(channel.receivers.into()),
            human::count(channel.senders.into())
        )
    }
}
