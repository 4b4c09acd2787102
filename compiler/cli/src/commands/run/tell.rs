//! What a running mesh says on the terminal.

use super::{Built, Source, example::example};
use crate::report::count;
use malha_proxy::{EgressAddress, Handle, ListenerAddress, SwapReport};
use malha_table::{
    Role, Table,
    view::{Chain, Filter, Listener, Proxy},
};
use std::{fmt::Write as _, net::SocketAddr, time::Duration};

/// What is served, where, and how to try it; `notes` come first.
pub(super) fn started(handle: &Handle, built: &Built, source: &Source, notes: &[String]) -> String {
    let mut page = String::new();
    for line in notes {
        let _ = writeln!(page, "{line}");
    }
    for listener in handle.listeners() {
        // The sidecars of stand-ins are for them alone.
        if source.is_for_stand_in(&listener) {
            continue;
        }
        let ListenerAddress { role, proxy, port, protocol, address, .. } = &listener;
        if *role == "gateway" {
            let _ = writeln!(
                page,
                "gateway {proxy} port {port} {protocol} on {}{address}",
                scheme(&listener, &built.table)
            );
        } else if listener.is_forward {
            let _ = writeln!(page, "sidecar {proxy} forwards {address} to {}", listener.name);
            continue;
        } else {
            let _ = writeln!(page, "sidecar {proxy} on http://{address}, as http_proxy, https_proxy or by Host");
        }
        if let Some(example) = example(&listener, built) {
            let _ = writeln!(page, "  {example}");
        }
    }
    for listener in handle.egress() {
        let _ = writeln!(page, "{}", egress(&listener));
    }
    if let Some(admin) = handle.admin() {
        let _ = writeln!(page, "admin on http://{admin} (/status, /findings, /metrics, /route, /mock)");
    }
    if let Some(stand_ins) = source.stand_ins() {
        let _ = writeln!(
            page,
            "{}, one for each workload without an address on this machine and each host outside the mesh",
            count(stand_ins.iter().count(), "stand-in")
        );
    }
    let wrong = built.summary.found();
    if !wrong.is_empty() {
        let _ = writeln!(page, "{}", found(&wrong));
    }
    page.push_str("malha: ready");
    page
}

/// Where an egress listener of a Sidecar is.
fn egress(listener: &EgressAddress) -> String {
    let EgressAddress { name, proxy, port, protocol, address } = listener;
    if protocol == "HTTP_PROXY" && *port != 0 {
        return format!("sidecar {proxy} port {port} {protocol} on http://{address}, as http_proxy");
    }
    // A socket may be elsewhere than it is written.
    let written = name.strip_suffix("_0").unwrap_or(name);
    let moved = if written == address { String::new() } else { format!(", for {written}") };
    format!("sidecar {proxy} {protocol} on {address}{moved}")
}

/// Why an object takes no part.
pub(super) fn left_out(line: &str) -> String {
    format!("left out: {line}")
}

/// What is worth a line.
pub(super) fn note(line: &str) -> String {
    format!("note: {line}")
}

/// How much is wrong with the mesh.
pub(super) fn found(found: &str) -> String {
    if found.is_empty() {
        "`malha check` finds nothing any more".to_owned()
    } else {
        format!("{found}: `malha check` names them")
    }
}

/// What it means that a process that stands for a workload has come or gone.
pub(super) fn listening(address: SocketAddr, is_there: bool, has_stand_ins: bool) -> String {
    match (is_there, has_stand_ins) {
        (true, _) => format!("{address} is there: it gets the requests of its workload"),
        (false, true) => format!("{address} is gone: a stand-in answers in its place"),
        (false, false) => format!("{address} is gone: requests to it fail"),
    }
}

/// What a reload came to; `notes` come first.
pub(super) fn reloaded(built: &Built, report: &SwapReport, is_other: bool, took: Duration, notes: &[String]) -> String {
    let mut page = String::new();
    for line in notes {
        let _ = writeln!(page, "{line}");
    }
    for (listeners, what) in [(&report.added, "opened"), (&report.removed, "closed")] {
        for ListenerAddress { role, proxy, name, address, is_forward, .. } in listeners {
            let _ = if *is_forward {
                writeln!(page, "forward of {proxy} to {name} {what} on {address}")
            } else {
                writeln!(page, "{role} {proxy} {what} on http://{address}")
            };
        }
    }
    for listener in &report.egress {
        let _ = writeln!(page, "{}", egress(listener));
    }
    let _ = write!(
        page,
        "malha: {} in {:.1} ms: {} read, {} compiled again",
        if is_other { "reloaded" } else { "no request is treated otherwise" },
        took.as_secs_f64() * 1e3,
        count(built.work.files_read, "file"),
        count(built.work.virtual_hosts_lowered, "virtual host"),
    );
    page
}

/// What an address is written with: clients of TCP have no scheme.
fn scheme(listener: &ListenerAddress, table: &Table) -> &'static str {
    let known = table_listeners(listener, table);
    let is_http = |chain: &Chain<'_>| matches!(chain.filter(), Some(Filter::Http(_)));
    let http: Vec<Chain<'_>> = known.iter().flat_map(|(_, listener)| listener.chains()).filter(is_http).collect();
    match http.first() {
        None => "",
        Some(_) if http.iter().any(|chain| chain.termination().is_some()) => "https://",
        Some(_) => "http://",
    }
}

/// The listeners of a table that an open one stands for, each with its proxy.
pub(super) fn table_listeners<'t>(listener: &ListenerAddress, table: &'t Table) -> Vec<(Proxy<'t>, Listener<'t>)> {
    let role = if listener.role == "gateway" { Role::Gateway } else { Role::Sidecar };
    let is_proxy =
        |proxy: &Proxy<'_>| proxy.role() == role && format!("{}/{}", proxy.namespace(), proxy.name()) == listener.proxy;
    let is_this = |known: &Listener<'_>| role == Role::Sidecar || known.port() == u32::from(listener.port);
    let listeners_of = |proxy: Proxy<'t>| proxy.listeners().filter(is_this).map(move |known| (proxy, known));
    table.proxies().filter(is_proxy).flat_map(listeners_of).collect()
}
