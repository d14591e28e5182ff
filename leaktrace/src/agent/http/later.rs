//! Answers that take time, and what is said where they do not come.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, RETRY_AFTER};
use leaktrace_core::base::escape;
use tokio::time::timeout;

use super::answer::{Answer, JSON, PROFILE, no_entry, no_process};
use super::asks::{BlackBoxPart, Dumped, Refusal, Wish};

/// A part of an entry of the black box.
pub(super) async fn entry(read: Dumped, part: BlackBoxPart, within: Duration) -> Answer {
    match (timeout(within, read).await, part) {
        (Ok(Ok(bytes)), BlackBoxPart::Event) => Answer::ok(JSON, bytes),
        (Ok(Ok(bytes)), BlackBoxPart::Snapshot) => {
            Answer::ok(PROFILE, bytes).with(CONTENT_DISPOSITION, "attachment; filename=\"snapshot.ltr\"")
        }
        (Ok(Err(Refusal::NoProcess | Refusal::NotEnabled)), _) => no_entry(),
        (Ok(Err(Refusal::Unsupported(why))), _) => Answer::error(StatusCode::NOT_IMPLEMENTED, why),
        (Ok(Err(Refusal::Busy | Refusal::UnderWay)), _) => {
            let why = "too much is to be written or read; try again in a second";
            Answer::error(StatusCode::SERVICE_UNAVAILABLE, why).with(RETRY_AFTER, "1")
        }
        (Ok(Err(Refusal::Failed(why))), _) => Answer::error(StatusCode::BAD_GATEWAY, &escape::line(&why)),
        (Err(_), _) => Answer::error(StatusCode::GATEWAY_TIMEOUT, "the disk takes too long"),
    }
}

/// A profile.
pub(super) async fn profile(dumped: Dumped, wish: Wish, within: Duration) -> Answer {
    match timeout(within, dumped).await {
        Ok(Ok(bytes)) => Answer::profile(wish, bytes),
        Ok(Err(Refusal::NoProcess)) => no_process(),
        Ok(Err(Refusal::Busy)) => {
            let why = "too many dumps are under way; try again in a second";
            Answer::error(StatusCode::SERVICE_UNAVAILABLE, why).with(RETRY_AFTER, "1")
        }
        Ok(Err(Refusal::UnderWay)) => {
            let why =
                "a profile with seconds of this process is under way, or of as many others as there may be";
            Answer::error(StatusCode::SERVICE_UNAVAILABLE, why).with(RETRY_AFTER, "10")
        }
        Ok(Err(Refusal::NotEnabled)) => {
            let why = "a profile of all processes takes --node-profile; add ?process=ID for one of them";
            Answer::error(StatusCode::FORBIDDEN, why)
        }
        Ok(Err(Refusal::Unsupported(why))) => Answer::error(StatusCode::NOT_IMPLEMENTED, why),
        Ok(Err(Refusal::Failed(why))) => Answer::error(StatusCode::BAD_GATEWAY, &escape::line(&why)),
        Err(_) => Answer::error(StatusCode::GATEWAY_TIMEOUT, "the dump takes too long"),
    }
}

/// That a process is watched more closely.
pub(super) async fn watch(begun: Dumped, within: Duration) -> Answer {
    let unavailable = |why: &str| Answer::error(StatusCode::SERVICE_UNAVAILABLE, why);
    match timeout(within, begun).await {
        Ok(Ok(bytes)) => Answer::accepted(bytes),
        Ok(Err(Refusal::NoProcess)) => no_process(),
        Ok(Err(Refusal::NotEnabled)) => Answer::error(StatusCode::FORBIDDEN, "this takes --allow-probes"),
        Ok(Err(Refusal::UnderWay)) => {
            let why = "the process is watched more closely already, because somebody has asked for that";
            Answer::error(StatusCode::CONFLICT, why)
        }
        Ok(Err(Refusal::Busy)) => {
            unavailable("too much is asked for; try again in a second").with(RETRY_AFTER, "1")
        }
        Ok(Err(Refusal::Failed(why))) => unavailable(&escape::line(&why)),
        Ok(Err(Refusal::Unsupported(why))) => Answer::error(StatusCode::NOT_IMPLEMENTED, why),
        Err(_) => Answer::error(StatusCode::GATEWAY_TIMEOUT, "the agent takes too long"),
    }
}
