//! Listeners that come and go, and those that Envoy would refuse to load.

use super::{ANY_CONNECTION, Class, Detail, Difference, Frame, Side, effect::Effect};
use crate::program::{Fallback, Listener, Role};
use malha_table::{Protocol, Request};

/// Tells what becomes of connections to ports that no listener has, if that differs.
pub(super) fn compare_others(old: Side<'_>, new: Side<'_>, frame: &mut Frame<'_>) {
    let [before, after] = [old, new].map(|side| {
        let mut effect = Effect::default();
        effect.target = match side.proxy.map(|proxy| proxy.program.fallback) {
            Some(Fallback::EgressProxy) => egress_proxy(side, &mut effect),
            other => of_fallback(other.unwrap_or_default()).to_owned(),
        };
        effect
    });
    if before == after {
        return;
    }
    let class = Effect::class(Some(&before), Some(&after));
    let mut details = Effect::details(Some(&before), Some(&after));
    if before.target != after.target {
        let (before, after) = (before.target, after.target);
        details.insert(0, Detail { what: "other connections".to_owned(), before, after });
    }
    let (host, region) = (ANY_CONNECTION.to_owned(), "connections to ports that no service has".to_owned());
    frame.tell(class, Difference { host, region, details, ..Difference::default() });
}

fn of_fallback(fallback: Fallback) -> &'static str {
    match fallback {
        Fallback::Close => "closed",
        Fallback::Passthrough => "passed on to where they were meant to go",
        Fallback::Blackhole => "refused: the mesh knows no such place",
        Fallback::EgressProxy => "sent to the egress proxy",
    }
}

/// What is done with connections that go to the egress proxy, in words; where its cluster leads is noted.
pub(super) fn egress_proxy(side: Side<'_>, effect: &mut Effect) -> String {
    let proxy = side.proxy.and_then(|proxy| proxy.program.egress_proxy.as_ref());
    let Some(to) = proxy.and_then(|proxy| proxy.bytes.destinations.first()) else {
        return of_fallback(Fallback::EgressProxy).to_owned();
    };
    effect.destination(side, to);
    let subset = to.subset.as_ref().map(|subset| format!(" subset {subset}")).unwrap_or_default();
    format!("{} {}:{}{subset}", of_fallback(Fallback::EgressProxy), to.host, to.port)
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
