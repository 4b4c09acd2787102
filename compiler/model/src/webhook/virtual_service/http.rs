//! What is refused of `http[]`: what a rule does with requests.

use super::{
    Judge, Place,
    forward::{judge_destination, judge_weights},
    given,
    matching::judge_match,
    policy::{judge_cors, judge_fault, judge_percent, judge_retries, judge_status},
};
use crate::{
    istio::{
        VirtualService,
        virtual_service::{HttpDirectResponse, HttpRedirect, HttpRewrite, HttpRoute, StringMatch},
    },
    read::shorten,
    rules::{EXCLUSIVE_FIELDS, INVALID_TEXT, MISSING_FIELD, OUT_OF_RANGE},
    webhook::{durations::check_duration, headers::is_authority, ports::check_port_number},
};

/// Most bytes of the body of a fixed response.
const LARGEST_BODY: usize = 1024 * 1024;

/// Judges the rule at `place`.
pub(super) fn judge_rule(place: &Place<'_>, rule: &HttpRoute, service: &VirtualService, judge: &mut Judge<'_, '_>) {
    judge_action(place, rule, service, judge);
    for (index, condition) in rule.matches.iter().enumerate() {
        judge_match(&place.key("match").item(index), condition, service, judge);
    }
    if let Some(headers) = &rule.headers {
        judge.headers(&place.key("headers"), headers);
    }
    if let Some(redirect) = &rule.redirect {
        judge_redirect(&place.key("redirect"), redirect, judge);
        judge_redirected_prefix(place, rule, redirect, judge);
    }
    if let Some(response) = &rule.direct_response {
        judge_response(&place.key("directResponse"), response, judge);
    }
    if let Some(rewrite) = &rule.rewrite {
        judge_rewrite(&place.key("rewrite"), rewrite, judge);
    }
    judge_authority(place, rule, judge);
    judge_forwarding(place, rule, judge);
    judge_mirrors(place, rule, judge);
    if let Some(policy) = &rule.cors_policy {
        judge_cors(&place.key("corsPolicy"), policy, judge);
    }
    if let Some(fault) = &rule.fault {
        judge_fault(&place.key("fault"), fault, judge);
    }
    if let Some(retries) = &rule.retries {
        judge_retries(&place.key("retries"), retries, judge);
    }
    check_duration(rule.timeout.as_ref(), format_args!("{}", place.key("timeout")), judge);
}

/// A rule does exactly one thing with requests.
fn judge_action(place: &Place<'_>, rule: &HttpRoute, service: &VirtualService, judge: &mut Judge<'_, '_>) {
    if rule.delegate.is_some() && service.hosts.is_empty() {
        let message = "this VirtualService is delegated to (it has no `hosts`), and cannot delegate further";
        judge.refuse_at(&EXCLUSIVE_FIELDS, &place.key("delegate"), message, "write the rules here, or add `hosts`");
    } else if rule.delegate.is_some() {
        let why = "what happens with requests is for the other VirtualService to say";
        for (field, there) in [("redirect", rule.redirect.is_some()), ("route", !rule.route.is_empty())] {
            if there {
                judge.refuse_both(place, ["delegate", field], why);
            }
        }
        return;
    }
    let (route, redirect, response) = (!rule.route.is_empty(), rule.redirect.is_some(), rule.direct_response.is_some());
    if !route && !redirect && !response && rule.delegate.is_none() {
        let message = "this rule does nothing with requests: it neither forwards them nor answers";
        let help = "add `route`, `redirect` or `directResponse`";
        judge.refuse_at(&MISSING_FIELD, place, message, help);
    }
    let answer = match (redirect, response) {
        (true, _) => Some("redirect"),
        (false, true) => Some("directResponse"),
        (false, false) => None,
    };
    if let Some(answer) = answer {
        let others = [
            ("directResponse", redirect && response, "a request has one answer"),
            ("route", route, "what is answered here is not forwarded"),
            ("fault", rule.fault.is_some(), "faults are put into what is forwarded"),
            ("rewrite", rule.rewrite.is_some(), "what is answered here is not rewritten"),
        ];
        for (field, _, why) in others.into_iter().filter(|(_, there, _)| *there) {
            judge.refuse_both(place, [answer, field], why);
        }
    }
    if rule.mirror.is_some() && !rule.mirrors.is_empty() {
        judge.refuse_both(place, ["mirror", "mirrors"], "`mirrors` is the newer form of `mirror`");
    }
}

fn judge_redirect(place: &Place<'_>, redirect: &HttpRedirect, judge: &mut Judge<'_, '_>) {
    let uri = given(redirect.uri.as_ref());
    let prefix = given(redirect.prefix_rewrite.as_ref());
    let scheme = given(redirect.scheme.as_ref());
    if uri.is_some() && prefix.is_some() {
        judge.refuse_both(place, ["uri", "prefixRewrite"], "one replaces the path, the other only its beginning");
    }
    let to_port = redirect.port.is_some() || redirect.derive_port.is_some();
    let somewhere = uri.or(prefix).or(scheme).or(given(redirect.authority.as_ref())).is_some();
    if !somewhere && !to_port {
        let message = "this redirect leads to where the client is already: nothing of the URL changes";
        let help = "add `uri`, `prefixRewrite`, `authority`, `port`, `derivePort` or `scheme`";
        judge.refuse_at(&MISSING_FIELD, place, message, help);
    }
    if let Some(code) = redirect.redirect_code.as_ref().filter(|code| !matches!(code.value, 0 | 300..=399)) {
        let message = format!("{} is not a status of redirects, which lie between 300 and 399", code.value);
        judge.refuse(&OUT_OF_RANGE, &place.key("redirectCode"), code.span, message, "use 301, 302, 303, 307 or 308");
    }
    if let Some(scheme) = scheme.filter(|scheme| !matches!(scheme.as_str(), "http" | "https")) {
        let message = format!("\"{}\" is no scheme to redirect to", shorten(scheme));
        judge.refuse(&INVALID_TEXT, &place.key("scheme"), scheme.span, message, "use `http` or `https`");
    }
    let port = redirect.port.as_ref().filter(|port| port.value != 0);
    check_port_number(port, format_args!("{}", place.key("port")), judge);
}

/// Only the prefix that a match asked for can be replaced.
fn judge_redirected_prefix(place: &Place<'_>, rule: &HttpRoute, redirect: &HttpRedirect, judge: &mut Judge<'_, '_>) {
    if given(redirect.prefix_rewrite.as_ref()).is_none() {
        return;
    }
    for (index, condition) in rule.matches.iter().enumerate() {
        let Some(uri) = condition.uri.as_ref().filter(|uri| !matches!(uri.value, StringMatch::Prefix(_))) else {
            continue;
        };
        let message = "`redirect.prefixRewrite` replaces the prefix that was matched, and here is none";
        let help = "match a `prefix`, or redirect with `uri`";
        judge.refuse(&EXCLUSIVE_FIELDS, &place.key("match").item(index).key("uri"), uri.span, message, help);
    }
}

fn judge_response(place: &Place<'_>, response: &HttpDirectResponse, judge: &mut Judge<'_, '_>) {
    if let Some(status) = &response.status {
        judge_status(&place.key("status"), i64::from(status.value), status.span, judge);
    }
    let Some(body) = &response.body else { return };
    let place = place.key("body");
    let texts = [
        ("string", body.string.as_ref().map(|text| (text.len(), text.span))),
        ("bytes", body.bytes.as_ref().map(|bytes| (bytes.0.len(), bytes.span))),
    ];
    for (field, text) in texts {
        let Some((length, span)) = text.filter(|(length, _)| *length > LARGEST_BODY) else { continue };
        let message = format!("this body has {length} bytes, and Istio takes no more than {LARGEST_BODY} (1 MiB)");
        let help = "forward to a service that serves it, or shorten it";
        judge.refuse(&OUT_OF_RANGE, &place.key(field), span, message, help);
    }
}

fn judge_rewrite(place: &Place<'_>, rewrite: &HttpRewrite, judge: &mut Judge<'_, '_>) {
    let uri = given(rewrite.uri.as_ref());
    if uri.is_none() && rewrite.uri_regex_rewrite.is_none() && given(rewrite.authority.as_ref()).is_none() {
        let message = "this `rewrite` rewrites nothing: it is empty";
        let help = "add `uri`, `uriRegexRewrite` or `authority`, or leave it out";
        judge.refuse_at(&MISSING_FIELD, place, message, help);
    }
    let Some(regex) = &rewrite.uri_regex_rewrite else { return };
    if uri.is_some() {
        judge.refuse_both(place, ["uri", "uriRegexRewrite"], "a path is rewritten once");
    }
    let place = place.key("uriRegexRewrite");
    // An empty expression has its finding from reading.
    let parts = [("match", regex.matches.is_some()), ("rewrite", given(regex.rewrite.as_ref()).is_some())];
    for (field, _) in parts.into_iter().filter(|(_, there)| !*there) {
        let message = format!("`{field}` is missing, without which the other half means nothing");
        judge.refuse_at(&MISSING_FIELD, &place.key(field), message, format!("add `{field}`"));
    }
}

/// The authority can be rewritten in one place only.
fn judge_authority(place: &Place<'_>, rule: &HttpRoute, judge: &mut Judge<'_, '_>) {
    let Some(request) = rule.headers.as_ref().and_then(|headers| headers.request.as_ref()) else { return };
    let rewrite = rule.rewrite.as_ref().and_then(|rewrite| given(rewrite.authority.as_ref()));
    let mut current = rewrite.map(|_| "rewrite.authority".to_owned());
    for (field, entries) in [("set", &request.set), ("add", &request.add)] {
        for (name, value) in entries.iter().filter(|(name, _)| is_authority(name)) {
            if let Some(current) = &current {
                let message =
                    format!("`{name}` is the authority, which `{current}` rewrites already", name = name.value);
                let place = place.key("headers");
                let place = place.key("request");
                judge.refuse(&EXCLUSIVE_FIELDS, &place.key(field).key(name), name.span, message, "keep one of them");
            } else if !value.is_empty() {
                current = Some(format!("headers.request.{field}"));
            }
        }
    }
}

fn judge_forwarding(place: &Place<'_>, rule: &HttpRoute, judge: &mut Judge<'_, '_>) {
    let list = place.key("route");
    for (index, route) in rule.route.iter().enumerate() {
        let place = list.item(index);
        if let Some(destination) = &route.destination {
            judge_destination(&place.key("destination"), destination, judge);
        }
        if let Some(headers) = &route.headers {
            judge.headers(&place.key("headers"), headers);
        }
    }
    judge_weights(&list, rule.route.iter().map(|route| route.weight.as_ref()), judge);
}

fn judge_mirrors(place: &Place<'_>, rule: &HttpRoute, judge: &mut Judge<'_, '_>) {
    if let Some(mirror) = &rule.mirror {
        judge_destination(&place.key("mirror"), mirror, judge);
    }
    if let Some(percentage) = &rule.mirror_percentage {
        judge_percent(&place.key("mirrorPercentage"), percentage, 0.0, judge);
    }
    for (field, percent) in
        [("mirrorPercent", &rule.mirror_percent), ("mirror_percent", &rule.mirror_percent_snake_case)]
    {
        let Some(percent) = percent.as_ref().filter(|percent| percent.value > 100) else { continue };
        let message = format!("{} percent are more than all requests", percent.value);
        judge.refuse(&OUT_OF_RANGE, &place.key(field), percent.span, message, "use 100 or less");
    }
    for (index, mirror) in rule.mirrors.iter().enumerate() {
        let place = place.key("mirrors");
        let place = place.item(index);
        if let Some(destination) = &mirror.destination {
            judge_destination(&place.key("destination"), destination, judge);
        }
        if let Some(percentage) = &mirror.percentage {
            judge_percent(&place.key("percentage"), percentage, 0.0, judge);
        }
    }
}
