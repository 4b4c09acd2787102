//! Listeners that come and go, and those that Envoy would refuse to load.

use super::{ANY_CONNECTION, Class, Detail, Difference, Frame};
use crate::program::{Fallback, Listener, ProxyProgram, Role};
use malha_table::{Protocol, Request};

/// Tells what becomes of connections to ports that no listener has, if that differs.
pub(super) fn compare_others(old: &ProxyProgram, new: &ProxyProgram, frame: &mut Frame<'_>) {
    let said = |program: &ProxyProgram| match program.fallback {
        Fallback::EgressProxy => format!("sent to the egress proxy {}", egress_proxy(program)),
        other => of_fallback(other).to_owned(),
    };
    let (before, after) = (said(old), said(new));
    if before == after {
        return;
    }
    let details = vec![Detail { what: "other connections".to_owned(), before, after }];
    let (host, region) = (ANY_CONNECTION.to_owned(), "connections to ports that no service has".to_owned());
    frame.tell(Class::Rerouted, Difference { host, region, details, ..Difference::default() });
}

fn of_fallback(fallback: Fallback) -> &'static str {
    match fallback {
        Fallback::Close => "closed",
        Fallback::Passthrough => "passed on to where they were meant to go",
        Fallback::Blackhole => "refused: the mesh knows no such place",
        Fallback::EgressProxy => "sent to the egress proxy",
    }
}

/// The egress proxy of a program, as decisions name destinations.
pub(super) fn egress_proxy(program: &ProxyProgram) -> String {
    let destination = program.egress_proxy.as_ref().and_then(|proxy| proxy.bytes.destinations.first());
    destination
        .map(|to| {
            let subset = to.subset.as_ref().map(|subset| format!(" subset {subset}")).unwrap_or_default();
            format!("{}:{}{subset}", to.host, to.port)
        })
        .unwrap_or_default()
}

/// Tells a listener that comes or goes; says whether that is all there is to tell of its port.
pub(super) fn compare(old: Option<&Listener>, new: Option<&Listener>, frame: &mut Frame<'_>) -> bool {
    let is_loaded = |listener: Option<&Listener>| listener.is_some_and(|listener| listener.rejected.is_none());
    let class = match (is_loaded(old), is_loaded(new)) {
        (false, true) => Class::Added,
        (true, false) => Class::Removed,
        (true, true) => return false,
        (false, false) => return true,
    };
    // What a sidecar has no listener for goes where it was meant to go: what of it changes is told host by host.
    let is_passed_on = frame.role == Role::Sidecar && !frame.listener.is_of_its_own();
    if is_passed_on && (old.is_none() || new.is_none()) {
        return false;
    }
    let said = |listener: Option<&Listener>| match listener.map(|listener| &listener.rejected) {
        Some(Some(reason)) => format!("refused: {reason}"),
        Some(None) => "loaded".to_owned(),
        None => "none".to_owned(),
    };
    let request = Request {
        via: Some(if frame.role == Role::Sidecar { "mesh" } else { "gateway" }.to_owned()),
        proxy: Some(frame.proxy.clone()),
        port: Some(frame.listener.port),
        authority: frame.authority(),
        destination: frame.address(),
        protocol: Some(Protocol::Tcp),
        ..Request::default()
    };
    let details = vec![Detail { what: "the listener".to_owned(), before: said(old), after: said(new) }];
    let (host, region) = (ANY_CONNECTION.to_owned(), "every connection to the port".to_owned());
    frame.tell(class, Difference { host, region, request: Some(request), details, ..Difference::default() });
    old.is_some() && new.is_some()
}
