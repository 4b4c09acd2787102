//! What is refused of `http[].match[]`.

use super::{Judge, MESH, Place, applies_to_mesh, client::Client, given};
use crate::{
    Spanned,
    istio::{
        VirtualService,
        virtual_service::{HttpMatchRequest, StringMatch},
    },
    read::shorten,
    rules::{EXCLUSIVE_FIELDS, INVALID_TEXT},
    webhook::headers::is_claim,
};
use smol_str::SmolStr;

/// Judges the match at `place`. Regular expressions have been judged already, when they were read.
pub(super) fn judge_match(
    place: &Place<'_>,
    condition: &HttpMatchRequest,
    service: &VirtualService,
    judge: &mut Judge<'_, '_>,
) {
    for (field, entries) in [("headers", &condition.headers), ("withoutHeaders", &condition.without_headers)] {
        let list = place.key(field);
        for (name, text) in entries {
            let place = list.key(name);
            judge.matched_header(&place, name);
            judge_claim(&place, name, service, judge);
            judge_text(&place, text, judge);
        }
    }
    let texts = [("scheme", &condition.scheme), ("method", &condition.method), ("authority", &condition.authority)];
    for (field, text) in texts {
        if let Some(text) = text {
            judge_text(&place.key(field), text, judge);
        }
    }
    for (name, text) in &condition.query_params {
        judge_text(&place.key("queryParams").key(name), text, judge);
    }
    if let Some(namespace) = given(condition.source_namespace.as_deref()) {
        judge.label(&place.key("sourceNamespace"), namespace, "a namespace");
    }
    let client = Client {
        labels: &condition.source_labels,
        gateways: &condition.gateways,
        port: condition.port.as_ref(),
        subnets: &[],
    };
    client.judge(place, judge);
}

/// An empty prefix is none to Envoy, except of a path.
fn judge_text(place: &Place<'_>, text: &StringMatch, judge: &mut Judge<'_, '_>) {
    let StringMatch::Prefix(prefix) = text else { return };
    if prefix.is_empty() {
        let message = "an empty `prefix` says nothing, and Envoy does not take it here";
        let help = "leave the condition out, or write `regex: \".*\"` for any value";
        judge.refuse(&INVALID_TEXT, &place.key("prefix"), prefix.span, message, help);
    }
}

/// Only gateways know the claims of a token when they route.
fn judge_claim(place: &Place<'_>, name: &Spanned<SmolStr>, service: &VirtualService, judge: &mut Judge<'_, '_>) {
    if !is_claim(name) || !applies_to_mesh(service) {
        return;
    }
    let message = format!("`{}` asks for a claim of a token, and sidecars do not route by claims", shorten(name));
    let help = format!("list gateways in `gateways`, without `{MESH}`");
    judge.refuse(&EXCLUSIVE_FIELDS, place, name.span, message, help);
}
