//! `/metrics`, in Prometheus' text format.

use super::istio;
use crate::{flags::Flags, histogram::Histogram, metrics::SECONDS, proxy::Handle, running::Running};
use std::{collections::BTreeMap, fmt::Write, sync::atomic::Ordering};

/// Everything that is counted.
pub(super) fn render(handle: &Handle) -> String {
    let mut out = String::new();
    let shared = handle.shared();
    let metrics = &shared.metrics;
    let running = shared.running();
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);

    let counts = metrics.counts();
    head(
        &mut out,
        "malha_requests_total",
        "counter",
        "Requests answered, by listener, status code and response flags.",
    );
    // By name: one that came back is another listener, and goes on counting where it was.
    let mut requests: BTreeMap<(String, u16, Flags), u64> = BTreeMap::new();
    for (key, tally) in &counts.requests {
        *requests.entry((running.listener_name(key.listener), key.code, key.flags)).or_default() += tally.count;
    }
    for ((listener, code, flags), count) in requests {
        let listener = escape(&listener);
        line(
            &mut out,
            format_args!("malha_requests_total{{listener=\"{listener}\",code=\"{code}\",flags=\"{flags}\"}} {count}"),
        );
    }
    let name = "malha_request_duration_seconds";
    head(&mut out, name, "histogram", "From a request's head to the end of its answer.");
    let mut by_name: BTreeMap<String, Histogram<{ SECONDS.len() }>> = BTreeMap::new();
    for (&listener, durations) in &counts.durations {
        by_name.entry(running.listener_name(listener)).or_default().merge(durations);
    }
    for (listener, durations) in by_name {
        let labels = format!("listener=\"{}\"", escape(&listener));
        histogram(&mut out, name, &labels, &SECONDS, &durations);
    }
    istio::render(&mut out, &counts, &metrics.parties);
    head(&mut out, "malha_rule_hits_total", "counter", "Requests that each rule of the running table took.");
    for (rule, hits) in metrics.rule_hits() {
        line(&mut out, format_args!("malha_rule_hits_total{{rule=\"{}\"}} {hits}", escape(&rule)));
    }
    for (name, kind, help, value) in [
        ("malha_reloads_total", "counter", "Tables put into force after the first.", load(&metrics.reloads)),
        ("malha_reload_failures_total", "counter", "Reloads that kept the table.", load(&metrics.reload_failures)),
        ("malha_retries_total", "counter", "Tries after the first.", load(&metrics.retries)),
        ("malha_mirrored_requests_total", "counter", "Copies of requests sent.", load(&metrics.copies)),
        (
            "malha_mirrored_requests_left_out_total",
            "counter",
            "Copies not sent, since too many were under way.",
            load(&metrics.copies_left_out),
        ),
        ("malha_panics_total", "counter", "Requests answered with 500 by a defect.", load(&metrics.panics)),
        (
            "malha_connections_refused_total",
            "counter",
            "Connections closed at once, over the limit.",
            load(&metrics.refused_connections),
        ),
        ("malha_connections", "gauge", "Open client connections.", shared.connections() as u64),
        ("malha_upstream_connections", "gauge", "Open upstream connections.", load(&metrics.pool.open)),
        ("malha_upstream_connections_idle", "gauge", "Those that wait in a pool.", load(&metrics.pool.idle)),
        ("malha_upstream_connects_total", "counter", "Upstream connections tried.", load(&metrics.pool.connects)),
        (
            "malha_upstream_connect_failures_total",
            "counter",
            "Those that failed.",
            load(&metrics.pool.connect_failures),
        ),
        (
            "malha_access_log_lost_total",
            "counter",
            "Lines that the access log's writer did not take.",
            shared.options.access_log.as_ref().map_or(0, crate::AccessLog::lost),
        ),
        (
            "malha_spans_sent_total",
            "counter",
            "Spans that the collector of traces took.",
            shared.options.tracing.as_ref().map_or(0, crate::Tracing::sent),
        ),
        (
            "malha_spans_lost_total",
            "counter",
            "Spans that it did not take.",
            shared.options.tracing.as_ref().map_or(0, crate::Tracing::lost),
        ),
    ] {
        head(&mut out, name, kind, help);
        line(&mut out, format_args!("{name} {value}"));
    }
    breakers(&mut out, &running);
    ejections(&mut out, &running);
    head(&mut out, "malha_table_info", "gauge", "The running table, by the hash of its program.");
    line(&mut out, format_args!("malha_table_info{{program=\"{:016x}\"}} 1", running.table.program_hash()));
    head(&mut out, "malha_table_age_seconds", "gauge", "Since the running table was put into force.");
    line(&mut out, format_args!("malha_table_age_seconds {:.3}", running.age().as_secs_f64()));
    out
}

/// What clusters with limits use.
fn breakers(out: &mut String, running: &Running) {
    for (name, help) in [
        ("malha_cluster_used", "What a cluster uses of what its DestinationRule limits."),
        ("malha_cluster_limit", "The limit."),
    ] {
        head(out, name, "gauge", help);
        // Several proxies may have a cluster of one name, each with a use of its own: the most of any is told.
        let mut known: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for cluster in running.clusters() {
            for (resource, used, limit) in cluster.breaker.usage() {
                let value = if name == "malha_cluster_used" { used } else { limit };
                let most = known.entry((&cluster.name, resource.name())).or_default();
                *most = value.max(*most);
            }
        }
        for ((cluster, resource), value) in known {
            let cluster = escape(cluster);
            line(out, format_args!("{name}{{cluster=\"{cluster}\",resource=\"{resource}\"}} {value}"));
        }
    }
}

/// Endpoints of clusters that eject them.
fn ejections(out: &mut String, running: &Running) {
    for (name, kind, help) in [
        ("malha_endpoint_ejected", "gauge", "1 while outlier detection leaves the endpoint out."),
        ("malha_endpoint_ejections_total", "counter", "How often it was left out."),
    ] {
        head(out, name, kind, help);
        // Of clusters of one name: left out by any proxy, and how often by all.
        let mut known: BTreeMap<(&str, String), u64> = BTreeMap::new();
        for cluster in running.clusters().filter(|cluster| cluster.detection.is_some()) {
            for endpoint in &cluster.members().endpoints {
                let address = endpoint.address.to_string();
                let value = known.entry((&cluster.name, address)).or_default();
                if kind == "gauge" {
                    *value = u64::from(cluster.is_ejected(endpoint)).max(*value);
                } else {
                    *value += endpoint.health.total.load(Ordering::Relaxed);
                }
            }
        }
        for ((cluster, endpoint), value) in known {
            let (cluster, endpoint) = (escape(cluster), escape(&endpoint));
            line(out, format_args!("{name}{{cluster=\"{cluster}\",endpoint=\"{endpoint}\"}} {value}"));
        }
    }
}

/// One histogram; `labels` are those that all its lines share.
pub(super) fn histogram<const N: usize>(
    out: &mut String,
    name: &str,
    labels: &str,
    bounds: &[f64; N],
    histogram: &Histogram<N>,
) {
    let mut below = 0;
    for (bound, count) in bounds.iter().zip(histogram.buckets) {
        below += count;
        line(out, format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {below}"));
    }
    line(out, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {}", histogram.count));
    line(out, format_args!("{name}_sum{{{labels}}} {}", histogram.sum));
    line(out, format_args!("{name}_count{{{labels}}} {}", histogram.count));
}

pub(super) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

pub(super) fn line(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

pub(super) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
