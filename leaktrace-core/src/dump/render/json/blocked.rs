//! What a goroutine is blocked on, as JSON.

use serde::Serialize;

use crate::dump::Dump;
use crate::dump::model::{BlockedOn, Channel, ChannelId, SelectCase};

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum BlockedJson<'d> {
    Channel(CaseJson<'d>),
    NilChannel { operation: &'static str },
    Select { cases: Vec<CaseJson<'d>> },
    NoCases,
    Lock { lock: &'static str, address: String, waiters: Option<u32> },
    Sleep { remaining_ns: i64 },
    Io { fd: i32, description: Option<&'d str> },
}

impl<'d> BlockedJson<'d> {
    pub(super) fn of(dump: &'d Dump, blocked: &BlockedOn) -> Self {
        match blocked {
            BlockedOn::Channel { operation, channel } => {
                Self::Channel(CaseJson::of(dump, operation.as_str(), *channel))
            }
            BlockedOn::NilChannel { operation } => Self::NilChannel { operation: operation.as_str() },
            BlockedOn::Select { cases } => {
                let case = |case: &SelectCase| CaseJson::of(dump, case.operation.as_str(), case.channel);
                Self::Select { cases: cases.iter().map(case).collect() }
            }
            BlockedOn::NoCases => Self::NoCases,
            BlockedOn::Lock { kind, address, waiters } => {
                let (lock, address) = (kind.as_str(), kind.beginning(*address).to_string());
                Self::Lock { lock, address, waiters: *waiters }
            }
            BlockedOn::Sleep { remaining_ns } => Self::Sleep { remaining_ns: *remaining_ns },
            BlockedOn::Io { fd, description } => {
                Self::Io { fd: *fd, description: description.map(|id| dump.string(id)) }
            }
        }
    }
}

#[derive(Serialize)]
pub(super) struct CaseJson<'d> {
    operation: &'static str,
    channel: Option<ChannelJson<'d>>,
}

impl<'d> CaseJson<'d> {
    fn of(dump: &'d Dump, operation: &'static str, channel: ChannelId) -> Self {
        Self {
            operation,
            channel: dump.tables.channel(channel).map(|channel| ChannelJson::of(dump, channel)),
        }
    }
}

#[derive(Serialize)]
struct ChannelJson<'d> {
    address: String,
    element: Option<&'d str>,
    len: u64,
    cap: u64,
    closed: bool,
    timer: bool,
    receivers: u32,
    senders: u32,
}

impl<'d> ChannelJson<'d> {
    fn of(dump: &'d Dump, channel: &Channel) -> Self {
        Self {
            address: channel.address.to_string(),
            element: channel.element.map(|id| dump.string(id)),
            len: channel.length,
            cap: channel.capacity,
            closed: channel.closed,
            timer: channel.timer,
            receivers: channel.receivers,
            senders: channel.senders,
        }
    }
}
