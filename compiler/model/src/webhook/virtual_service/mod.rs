//! What the webhook refuses of a VirtualService.

mod client;
mod forward;
mod http;
mod layer4;
mod matching;
mod policy;

use super::{Judge, hosts::covers, place::Place};
use crate::{
    Metadata, Spanned,
    istio::VirtualService,
    read::{list, shorten},
    rules::{DUPLICATE_ITEM, INVALID_TEXT, MISSING_FIELD},
};
use smol_str::SmolStr;

/// The name that stands for all sidecars among gateways.
const MESH: &str = "mesh";

pub(super) fn judge(metadata: &Metadata, service: &VirtualService, judge: &mut Judge<'_, '_>) {
    let spec = Place::SPEC;
    let namespace = metadata.namespace.as_ref().filter(|name| !name.is_empty());
    judge.gateways(&spec.key("gateways"), &service.gateways);
    judge_hosts(service, judge);
    if service.hosts.is_empty() {
        judge_delegate(service, judge);
    }
    if service.http.is_empty() && service.tls.is_empty() && service.tcp.is_empty() {
        let message = "this VirtualService has no rules, and so nothing to say about its hosts";
        judge.refuse_at(&MISSING_FIELD, &spec, message, "add rules: `http`, `tls` or `tcp`");
    }
    for (index, rule) in service.http.iter().enumerate() {
        http::judge_rule(&spec.key("http").item(index), rule, service, judge);
    }
    for (index, rule) in service.tls.iter().enumerate() {
        layer4::judge_tls(&spec.key("tls").item(index), rule, service, judge);
    }
    for (index, rule) in service.tcp.iter().enumerate() {
        layer4::judge_tcp(&spec.key("tcp").item(index), rule, judge);
    }
    judge.export_to(&service.export_to, namespace.map_or("default", |name| name), false);
}

/// Whether sidecars obey this, beside gateways or alone.
fn applies_to_mesh(service: &VirtualService) -> bool {
    service.gateways.is_empty() || service.gateways.iter().any(|gateway| gateway.value == MESH)
}

/// A text that says something: an empty one is none to Istio.
fn given(text: Option<&Spanned<SmolStr>>) -> Option<&Spanned<SmolStr>> {
    text.filter(|text| !text.is_empty())
}

/// A VirtualService without hosts refines the rules of others, for which it has no use of the rest.
fn judge_delegate(service: &VirtualService, judge: &mut Judge<'_, '_>) {
    let lists = [
        ("gateways", !service.gateways.is_empty()),
        ("tls", !service.tls.is_empty()),
        ("tcp", !service.tcp.is_empty()),
    ];
    let idle: Vec<&str> = lists.into_iter().filter(|(_, there)| *there).map(|(field, _)| field).collect();
    if !idle.is_empty() {
        let message = format!(
            "`hosts` is missing, without which this VirtualService only refines `http` rules that delegate to it, and \
            cannot have {}",
            list(&idle, "and")
        );
        let help = format!("add `hosts`, or remove {}", list(&idle, "and"));
        judge.refuse_at(&MISSING_FIELD, &Place::SPEC.key("hosts"), message, help);
    }
}

fn judge_hosts(service: &VirtualService, judge: &mut Judge<'_, '_>) {
    let hosts = Place::SPEC.key("hosts");
    let mesh = applies_to_mesh(service);
    let mut all_good = true;
    for (index, host) in service.hosts.iter().enumerate() {
        let place = hosts.item(index);
        if mesh && host.value == "*" {
            all_good = false;
            let message = "`*` cannot be a host for sidecars: it would take the place of every service in the mesh";
            let help = "name the hosts, or list gateways in `gateways` without `mesh`";
            judge.refuse(&INVALID_TEXT, &place, host.span, message, help);
        } else if !is_generated(host, service) {
            all_good &= judge.host(&place, host, true);
        }
    }
    if all_good {
        judge_overlaps(service, judge);
    }
}

/// No two hosts may have a name in common.
fn judge_overlaps(service: &VirtualService, judge: &mut Judge<'_, '_>) {
    let hosts = Place::SPEC.key("hosts");
    for (index, host) in service.hosts.iter().enumerate() {
        let earlier = service.hosts.iter().take(index).find(|other| covers(other, host) || covers(host, other));
        let Some(earlier) = earlier else { continue };
        let message = if earlier.value == host.value {
            format!("the host `{}` stands in this list twice", shorten(host))
        } else {
            format!("`{}` overlaps with `{}`, and Istio takes no overlap in one list", shorten(host), shorten(earlier))
        };
        judge.refuse(&DUPLICATE_ITEM, &hosts.item(index), host.span, message, "keep one of them");
    }
}

/// Whether `host` is a server name that sidecars make up for a cluster, `outbound_.80_._.reviews.shop`: what is passed
/// through gateways may be routed by it.
fn is_generated(host: &str, service: &VirtualService) -> bool {
    let parts: Vec<&str> = host.splitn(4, '.').collect();
    let &["outbound_", port, _, name] = parts.as_slice() else { return false };
    let is_port = port.strip_suffix('_').is_some_and(|port| port.parse::<u16>().is_ok());
    let by_server_name = || service.tls.iter().flat_map(|rule| &rule.matches).any(|it| !it.sni_hosts.is_empty());
    is_port && super::hosts::wildcard_fault(name).is_none() && !applies_to_mesh(service) && by_server_name()
}
