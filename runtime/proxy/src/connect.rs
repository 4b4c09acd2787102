//! CONNECT to a sidecar: "the connection that I would open to HOST:PORT". After the answer, the bytes of the tunnel are a
//! connection of which it is known where it was meant to go.

use crate::{
    connection::{Client, Held},
    flags::Flags,
    idle::Activity,
    local_reply::LocalReply,
    original::OriginalDestination,
    outside,
    plan::Place,
    reply::Reply,
    running::Running,
    sidecar,
    worker::Local,
};
use bytes::Bytes;
use http::{
    Method, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use malha_table::{Role, view::Fallback};
use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

/// Where a request asks to be connected to, or why it is not; none where it asks for something else. In a tunnel CONNECT
/// is a request as others are, and in a gateway too (semantics A65, B10).
pub(crate) fn asked(
    local: &Local,
    running: &Running,
    place: &Place,
    client: &Client,
    parts: &Parts,
) -> Option<Result<OriginalDestination, LocalReply>> {
    if parts.method != Method::CONNECT || place.role != Role::Sidecar || place.is_egress() || client.original.is_some()
    {
        return None;
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    Some(destination(authority, parts).and_then(|original| admit(local, running, place, original)))
}

fn destination(authority: Option<&str>, parts: &Parts) -> Result<OriginalDestination, LocalReply> {
    // What could be read as a body, or as the first bytes of the tunnel.
    if parts.headers.contains_key(CONTENT_LENGTH) || parts.headers.contains_key(TRANSFER_ENCODING) {
        return Err(refuse(StatusCode::BAD_REQUEST, "CONNECT has no body\n".to_owned(), "connect_with_body"));
    }
    let parsed = authority.unwrap_or_default().parse();
    parsed.map_err(|problem| refuse(StatusCode::BAD_REQUEST, format!("{problem}\n"), "connect_to_no_address"))
}

/// What would only be closed without a word is refused in words, where a sidecar in a cluster could not be meant at all:
/// this proxy itself, what is outside of this machine, what Envoy would not load.
fn admit(
    local: &Local,
    running: &Running,
    place: &Place,
    original: OriginalDestination,
) -> Result<OriginalDestination, LocalReply> {
    let proxy = running.table.proxies().get(place.proxy);
    let listener = proxy.as_ref().and_then(|proxy| original.listener(proxy));
    if let Some(reason) = listener.and_then(|listener| listener.rejected()) {
        let body = format!("the listener of {original} is left out, since Envoy would refuse it: {reason}\n");
        return Err(refuse(StatusCode::BAD_GATEWAY, body, "listener_rejected"));
    }
    let is_let_go = proxy.is_some_and(|proxy| !matches!(proxy.fallback(), Fallback::Blackhole | Fallback::EgressProxy));
    if listener.is_none() && is_let_go {
        outside::allowed(local, original.endpoint(), &original.to_string())?;
    }
    Ok(original)
}

fn refuse(status: StatusCode, body: String, details: &'static str) -> LocalReply {
    LocalReply::new(status, body, Flags::default(), details)
}

/// Says yes, unless there are too many, and serves what comes through the tunnel.
pub(crate) fn open(
    local: &Rc<Local>,
    share: &Rc<Held>,
    client: &Client,
    original: OriginalDestination,
    parts: &mut Parts,
    changes: OnUpgrade,
) -> Response<Reply> {
    // HTTP/2 lets go of the answer at once: the connection must not be taken for idle.
    let busy = parts.extensions.remove::<Arc<Activity>>().map(|activity| activity.begin());
    // One of HTTP/1 is its client's whole connection, which is counted already.
    let share = if parts.version == Version::HTTP_2 {
        let Some(own) = Held::new(&local.shared, &share.listener, local.shared.options.limits.connections) else {
            local.metrics().refused_connections.fetch_add(1, Ordering::Relaxed);
            let mut response =
                Response::new(Reply::own("the listener has as many connections as it may\n".into(), |_| {}));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        };
        Rc::new(own)
    } else {
        Rc::clone(share)
    };
    let client = Client::of_mesh(client.peer, client.local, original);
    let local = Rc::clone(local);
    tokio::task::spawn_local(async move {
        // Otherwise the client left before it had the answer.
        if let Ok(tunnel) = changes.await {
            sidecar::serve(&local, &share, client, TokioIo::new(tunnel)).await;
        }
        drop(busy);
    });
    Response::new(Reply::own(Bytes::new(), |_| {}))
}
