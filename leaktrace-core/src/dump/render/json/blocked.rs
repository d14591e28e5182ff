//! What a goroutine is blocked on, as JSON. Each may have a channel of its own, so those are written as bytes.

use std::io;

use serde::Serialize;

use crate::dump::render::bytes::{push_decimal, push_hex};
use crate::goroutines::Dump;
use crate::goroutines::model::{BlockedOn, Channel, ChannelId, ChannelOperation};

/// Writes the value of `blocked_on`.
pub(super) fn push(dump: &Dump, blocked: &BlockedOn, out: &mut Vec<u8>) -> io::Result<()> {
    match blocked {
        BlockedOn::Channel { operation, channel } => {
            out.extend_from_slice(b"{\"kind\":\"channel\",");
            push_case(dump, *operation, *channel, out)
        }
        BlockedOn::Select { cases } => {
            out.extend_from_slice(b"{\"kind\":\"select\",\"cases\":[");
            for (index, case) in cases.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b",{" } else { b"{" });
                push_case(dump, case.operation, case.channel, out)?;
            }
            out.extend_from_slice(b"]}");
            Ok(())
        }
        BlockedOn::NilChannel { operation } => {
            push_other(&OtherJson::NilChannel { operation: operation.as_str() }, out)
        }
        BlockedOn::NoCases => push_other(&OtherJson::NoCases, out),
        BlockedOn::Lock { kind, address, waiters } => {
            let (lock, address) = (kind.as_str(), kind.beginning(*address).to_string());
            push_other(&OtherJson::Lock { lock, address, waiters: *waiters }, out)
        }
        BlockedOn::Sleep { remaining_ns } => {
            push_other(&OtherJson::Sleep { remaining_ns: *remaining_ns }, out)
        }
        BlockedOn::Io { fd, description } => {
            let description = description.map(|id| dump.string(id));
            push_other(&OtherJson::Io { fd: *fd, description }, out)
        }
    }
}

/// What is not of a channel.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum OtherJson<'d> {
    NilChannel {
        operation: &'static str,
    },
    NoCases,
    Lock {
        lock: &'static str,
        address: String,
        waiters: Option<u32>,
    },
    Sleep {
        #[serde(skip_serializing_if = "Option::is_none")]
        remaining_ns: Option<i64>,
    },
    Io {
        fd: i32,
        description: Option<&'d str>,
    },
}

fn push_other(other: &OtherJson<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(out, other).map_err(io::Error::from)
}

/// Writes what is to be done on a channel, and the end of the object that it is in.
fn push_case(
    dump: &Dump,
    operation: ChannelOperation,
    channel: ChannelId,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    out.extend_from_slice(b"\"operation\":\"");
    out.extend_from_slice(operation.as_str().as_bytes());
    out.extend_from_slice(b"\",\"channel\":");
    match dump.tables.channel(channel) {
        Some(channel) => push_channel(dump, channel, out)?,
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(())
}

fn push_channel(dump: &Dump, channel: &Channel, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(b"{\"address\":\"");
    push_hex(channel.address.0, out);
    out.extend_from_slice(b"\",\"element\":");
    serde_json::to_writer(&mut *out, &channel.element.map(|id| dump.string(id)))?;
    push_number(b",\"len\":", channel.length, out);
    push_number(b",\"cap\":", channel.capacity, out);
    push_flag(b",\"closed\":", channel.closed, out);
    push_flag(b",\"timer\":", channel.timer, out);
    push_flag(b",\"stopped\":", channel.stopped, out);
    push_number(b",\"receivers\":", channel.receivers.into(), out);
    push_number(b",\"senders\":", channel.senders.into(), out);
    out.push(b'}');
    Ok(())
}

/// Writes a field that is a number.
pub(super) fn push_number(name: &[u8], number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    push_decimal(number, out);
}

fn push_flag(name: &[u8], flag: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}
