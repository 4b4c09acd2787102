//! What the webhook refuses of a traffic policy: of a whole one, of one for a port, and of its smaller parts.

use super::{Judge, addresses, client_tls, connection_pool, durations, hosts, load_balancer, ports};
use crate::{
    Metadata, Spanned,
    istio::destination_rule::{OutlierDetection, PortTrafficPolicy, TrafficPolicy, TunnelSettings},
    read::shorten,
    rules::{EXCLUSIVE_FIELDS, INVALID_TEXT, MISSING_FIELD, OUT_OF_RANGE, UNKNOWN_ENUM_VALUE},
};
use malha_syntax::Finding;
use std::fmt;

/// Judges the policy at `path`.
pub(super) fn check(
    policy: &Spanned<TrafficPolicy>,
    metadata: &Metadata,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    let says_nothing = policy.load_balancer.is_none()
        && policy.connection_pool.is_none()
        && policy.outlier_detection.is_none()
        && policy.tls.is_none()
        && policy.port_level_settings.is_empty()
        && policy.tunnel.is_none()
        && policy.proxy_protocol.is_none()
        && policy.retry_budget.is_none();
    if says_nothing {
        refuse_empty(policy, "a traffic policy", path, judge);
        return;
    }
    if let (Some(tunnel), Some(proxy_protocol)) = (&policy.tunnel, &policy.proxy_protocol) {
        let message = "`tunnel` and `proxyProtocol` cannot stand together: both would begin the connection";
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(proxy_protocol.key), message)
            .field(format!("{path}.proxyProtocol"))
            .related(judge.reader.location(tunnel.key), "`tunnel` is here")
            .help("keep one of them");
        judge.report(finding);
    }
    if let Some(outlier) = &policy.outlier_detection {
        check_outlier_detection(outlier, format_args!("{path}.outlierDetection"), judge);
    }
    if let Some(pool) = &policy.connection_pool {
        connection_pool::check(pool, format_args!("{path}.connectionPool"), judge);
    }
    if let Some(balancer) = &policy.load_balancer {
        load_balancer::check(balancer, format_args!("{path}.loadBalancer"), judge);
    }
    if let Some(tls) = &policy.tls {
        client_tls::check(tls, metadata, format_args!("{path}.tls"), judge);
    }
    if let Some(tunnel) = &policy.tunnel {
        check_tunnel(tunnel, format_args!("{path}.tunnel"), judge);
    }
    for (index, port) in policy.port_level_settings.iter().enumerate() {
        check_port_policy(port, metadata, format_args!("{path}.portLevelSettings[{index}]"), judge);
    }
}

fn check_port_policy(
    policy: &Spanned<PortTrafficPolicy>,
    metadata: &Metadata,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    let says_nothing = policy.load_balancer.is_none()
        && policy.connection_pool.is_none()
        && policy.outlier_detection.is_none()
        && policy.tls.is_none();
    if says_nothing {
        refuse_empty(policy, "a policy for a port", path, judge);
    }
    if policy.port.is_none() {
        judge.refuse(
            &MISSING_FIELD,
            format!("{path}.port"),
            Judge::head(policy),
            "this policy does not say which port it is for",
            "add `port: {number: ...}`, or move it up into the policy for all ports",
        );
    }
    if let Some(outlier) = &policy.outlier_detection {
        check_outlier_detection(outlier, format_args!("{path}.outlierDetection"), judge);
    }
    if let Some(pool) = &policy.connection_pool {
        connection_pool::check(pool, format_args!("{path}.connectionPool"), judge);
    }
    if let Some(balancer) = &policy.load_balancer {
        load_balancer::check(balancer, format_args!("{path}.loadBalancer"), judge);
    }
    if let Some(tls) = &policy.tls {
        client_tls::check(tls, metadata, format_args!("{path}.tls"), judge);
    }
}

fn refuse_empty<T>(policy: &Spanned<T>, what: &str, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let message = format!("{what} must say something, and this one is empty");
    let help = "add `loadBalancer`, `connectionPool`, `outlierDetection` or `tls`, or leave the policy out";
    judge.refuse(&MISSING_FIELD, path.to_string(), Judge::head(policy), message, help);
}

fn check_outlier_detection(outlier: &OutlierDetection, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    durations::check_duration(outlier.interval.as_ref(), format_args!("{path}.interval"), judge);
    durations::check_duration(outlier.base_ejection_time.as_ref(), format_args!("{path}.baseEjectionTime"), judge);
    for (name, percent) in
        [("maxEjectionPercent", &outlier.max_ejection_percent), ("minHealthPercent", &outlier.min_health_percent)]
    {
        let Some(percent) = percent.as_ref().filter(|percent| !(0..=100).contains(&percent.value)) else { continue };
        judge.refuse(
            &OUT_OF_RANGE,
            format!("{path}.{name}"),
            percent.span,
            format!("{} is no percentage: `{name}` goes from 0 to 100", percent.value),
            "write a number from 0 to 100",
        );
    }
    let split = outlier.split_external_local_origin_errors.as_ref().is_some_and(|split| split.value);
    let local = outlier.consecutive_local_origin_failures.as_ref().filter(|failures| failures.value > 0);
    if let Some(local) = local.filter(|_| !split) {
        judge.refuse(
            &EXCLUSIVE_FIELDS,
            format!("{path}.consecutiveLocalOriginFailures"),
            local.span,
            "`consecutiveLocalOriginFailures` counts failures on the way, which nobody tells apart here",
            "add `splitExternalLocalOriginErrors: true`, or remove this",
        );
    }
}

fn check_tunnel(tunnel: &TunnelSettings, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    if let Some(protocol) = tunnel.protocol.as_ref().filter(|it| !["", "CONNECT", "POST"].contains(&it.as_str())) {
        judge.refuse(
            &UNKNOWN_ENUM_VALUE,
            format!("{path}.protocol"),
            protocol.span,
            format!("\"{}\" is no way to ask for a tunnel", shorten(protocol)),
            "its values are `CONNECT` and `POST`",
        );
    }
    if let Some(host) = tunnel.target_host.as_ref().filter(|host| !addresses::is_ip(host))
        && let Some(problem) = hosts::domain_fault(host)
    {
        judge.refuse(
            &INVALID_TEXT,
            format!("{path}.targetHost"),
            host.span,
            format!("`{}` is neither an IP address nor a DNS name: {problem}", shorten(host)),
            hosts::NAME_HELP,
        );
    }
    ports::check_port_number(tunnel.target_port.as_ref(), format_args!("{path}.targetPort"), judge);
}
