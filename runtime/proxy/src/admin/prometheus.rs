//! `/metrics`, in Prometheus' text format.

use crate::{
    metrics::{BUCKETS, Histogram},
    proxy::Handle,
    running::Running,
};
use std::{fmt::Write, sync::atomic::Ordering};

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
    for (key, count) in &counts.requests {
        let listener = escape(&running.listener_name(key.listener));
        let (code, flags) = (key.code, key.flags);
        line(
            &mut out,
            format_args!("malha_requests_total{{listener=\"{listener}\",code=\"{code}\",flags=\"{flags}\"}} {count}"),
        );
    }
    let name = "malha_request_duration_seconds";
    head(&mut out, name, "histogram", "From a request's head to the end of its answer.");
    for (&listener, histogram) in &counts.durations {
        durations(&mut out, name, &escape(&running.listener_name(listener)), histogram);
    }
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
        for cluster in running.clusters() {
            for (resource, used, limit) in cluster.breaker.usage() {
                let value = if name == "malha_cluster_used" { used } else { limit };
                let (cluster, resource) = (escape(&cluster.name), resource.name());
                line(out, format_args!("{name}{{cluster=\"{cluster}\",resource=\"{resource}\"}} {value}"));
            }
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
        for cluster in running.clusters().filter(|cluster| cluster.detection.is_some()) {
            for endpoint in &cluster.endpoints {
                let value = if kind == "gauge" {
                    u64::from(cluster.is_ejected(endpoint))
                } else {
                    endpoint.health.total.load(Ordering::Relaxed)
                };
                let (cluster, host, port) =
                    (escape(&cluster.name), escape(&endpoint.address.host), endpoint.address.port);
                line(out, format_args!("{name}{{cluster=\"{cluster}\",endpoint=\"{host}:{port}\"}} {value}"));
            }
        }
    }
}

fn durations(out: &mut String, name: &str, listener: &str, histogram: &Histogram) {
    let mut below = 0;
    for (bound, count) in BUCKETS.iter().zip(histogram.buckets) {
        below += count;
        let seconds = std::time::Duration::from_millis(*bound).as_secs_f64();
        line(out, format_args!("{name}_bucket{{listener=\"{listener}\",le=\"{seconds}\"}} {below}"));
    }
    line(out, format_args!("{name}_bucket{{listener=\"{listener}\",le=\"+Inf\"}} {}", histogram.count));
    line(out, format_args!("{name}_sum{{listener=\"{listener}\"}} {}", histogram.sum.as_secs_f64()));
    line(out, format_args!("{name}_count{{listener=\"{listener}\"}} {}", histogram.count));
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
