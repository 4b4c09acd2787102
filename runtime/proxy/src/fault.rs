//! Injected faults: a delay, then an answer in the upstream's stead (semantics C.8).

use crate::{flags::Flags, local_reply::LocalReply, random::Random};
use http::StatusCode;
use malha_table::view::{Abort, Fault};

/// What happened to a request.
#[derive(Debug, Default)]
pub(crate) struct Injected {
    pub(crate) is_delayed: bool,
    /// What it is answered.
    pub(crate) abort: Option<LocalReply>,
}

/// Waits and decides, each by a draw of its own (C64). Time that is spent here is no part of the route's timeout (C68).
pub(crate) async fn inject(fault: &Fault<'_>, random: &Random) -> Injected {
    let delay = fault.delay().filter(|delay| random.is_drawn(delay.per_million));
    if let Some(delay) = &delay {
        tokio::time::sleep(delay.duration).await;
    }
    let abort = fault.abort().filter(|abort| random.is_drawn(abort.per_million));
    Injected { is_delayed: delay.is_some(), abort: abort.map(|abort| reply(&abort)) }
}

/// A gRPC status is of no effect on requests that are not gRPC's, but for the 200 (C67).
fn reply(abort: &Abort<'_>) -> LocalReply {
    let status = abort.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    let reply = LocalReply::new(status, "fault filter abort", Flags::FAULT_INJECTED, "fault_filter_abort");
    LocalReply { grpc_status: abort.grpc_status.and_then(grpc_status), ..reply }
}

/// The number of a gRPC status.
fn grpc_status(name: &str) -> Option<u16> {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.iter().position(|known| *known == name).and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_statuses_have_their_numbers() {
        assert_eq!((grpc_status("OK"), grpc_status("UNAVAILABLE")), (Some(0), Some(14)));
        assert_eq!((grpc_status("UNAUTHENTICATED"), grpc_status("14")), (Some(16), None));
    }
}
