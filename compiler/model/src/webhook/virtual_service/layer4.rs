//! What is refused of `tls[]` and `tcp[]`.

use super::{Judge, Place, client::Client, forward::judge_destination, forward::judge_weights, is_generated};
use crate::{
    Spanned,
    istio::{
        VirtualService,
        virtual_service::{RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute},
    },
    read::shorten,
    rules::{INVALID_TEXT, MISSING_FIELD},
    webhook::hosts::covers,
};

/// Judges the rule of `tls[]` at `place`.
pub(super) fn judge_tls(place: &Place<'_>, rule: &TlsRoute, service: &VirtualService, judge: &mut Judge<'_, '_>) {
    if rule.matches.is_empty() {
        let message = "this rule has no match, and connections are told apart by their server name alone";
        judge.refuse_at(&MISSING_FIELD, &place.key("match"), message, "add a match with `sniHosts`");
    }
    for (index, condition) in rule.matches.iter().enumerate() {
        let list = place.key("match");
        let place = &list.item(index);
        judge_server_names(place, condition, service, judge);
        let client = Client {
            labels: &condition.source_labels,
            gateways: &condition.gateways,
            port: condition.port.as_ref(),
            subnets: &condition.destination_subnets,
        };
        client.judge(place, judge);
    }
    judge_routes(place, &rule.route, judge);
}

/// Judges the rule of `tcp[]` at `place`.
pub(super) fn judge_tcp(place: &Place<'_>, rule: &TcpRoute, judge: &mut Judge<'_, '_>) {
    for (index, condition) in rule.matches.iter().enumerate() {
        let client = Client {
            labels: &condition.source_labels,
            gateways: &condition.gateways,
            port: condition.port.as_ref(),
            subnets: &condition.destination_subnets,
        };
        client.judge(&place.key("match").item(index), judge);
    }
    judge_routes(place, &rule.route, judge);
}

fn judge_routes(place: &Place<'_>, routes: &[Spanned<RouteDestination>], judge: &mut Judge<'_, '_>) {
    let list = place.key("route");
    if routes.is_empty() {
        let message = "this rule sends connections nowhere, and there is nothing else that it could do with them";
        judge.refuse_at(&MISSING_FIELD, &list, message, "add a destination to `route`");
    }
    for (index, route) in routes.iter().enumerate() {
        if let Some(destination) = &route.destination {
            judge_destination(&list.item(index).key("destination"), destination, judge);
        }
    }
    judge_weights(&list, routes.iter().map(|route| route.weight.as_ref()), judge);
}

/// Server names must be those of the VirtualService's hosts.
fn judge_server_names(
    place: &Place<'_>,
    condition: &TlsMatchAttributes,
    service: &VirtualService,
    judge: &mut Judge<'_, '_>,
) {
    let list = place.key("sniHosts");
    if condition.sni_hosts.is_empty() {
        let message = "this match has no server name, without which no connection matches";
        judge.refuse_at(&MISSING_FIELD, &list, message, "add the server names to `sniHosts`");
    }
    for (index, name) in condition.sni_hosts.iter().enumerate() {
        let place = list.item(index);
        if !is_generated(name, service) && !judge.host(&place, name, true) {
            continue;
        }
        // One that has no hosts is refused for that.
        if !service.hosts.is_empty() && !service.hosts.iter().any(|host| covers(host, name)) {
            let message = format!("no host of this VirtualService covers the server name `{}`", shorten(name));
            judge.refuse(&INVALID_TEXT, &place, name.span, message, "add it to `spec.hosts`, or name one of those");
        }
    }
}
