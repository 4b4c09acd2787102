//! Istio's standard metrics, with its names, labels and buckets: what dashboards made for a mesh ask for.

use super::prometheus::{escape, head, histogram, line};
use crate::{
    histogram::Histogram,
    metrics::{Counts, ISTIO, Protocol, RequestKey, Tally, TcpKey, TcpTally},
    parties::{Destination, Parties, Workload},
};
use std::collections::BTreeMap;

/// All requests, by who called whom and what came of it.
pub(super) fn render(out: &mut String, counts: &Counts, parties: &Parties) {
    let mut tallies: BTreeMap<RequestKey, Tally> = BTreeMap::new();
    for (key, tally) in &counts.requests {
        // Istio does not tell listeners apart.
        tallies.entry(RequestKey { listener: 0, cluster: 0, ..*key }).or_default().merge(tally);
    }
    let (sources, destinations) = (parties.sources(), parties.destinations());
    let labelled: Vec<(String, Tally)> = tallies
        .into_iter()
        .filter_map(|(key, tally)| {
            let source = sources.get(key.source as usize)?;
            Some((labels(&key, source, destinations.get(key.destination as usize)?), tally))
        })
        .collect();
    let name = "istio_requests_total";
    head(out, name, "counter", "Requests, by source, destination and answer.");
    for (labels, tally) in &labelled {
        line(out, format_args!("{name}{{{labels}}} {}", tally.count));
    }
    for (name, help, of) in [
        (
            "istio_request_duration_milliseconds",
            "From a request's head to the end of its answer.",
            (|tally| &tally.duration) as fn(&Tally) -> &Histogram<{ ISTIO.len() }>,
        ),
        ("istio_request_bytes", "Bytes of requests' bodies.", |tally| &tally.received),
        ("istio_response_bytes", "Bytes of answers' bodies.", |tally| &tally.sent),
    ] {
        head(out, name, "histogram", help);
        for (labels, tally) in &labelled {
            histogram(out, name, labels, &ISTIO, of(tally));
        }
    }
    render_tcp(out, counts, parties);
}

/// In Istio's order. This proxy stands on the caller's side, where Istio knows no more of the connection's security
/// than `unknown`; principals and clusters are of a mesh that is not there.
fn labels(key: &RequestKey, source: &Workload, destination: &Destination) -> String {
    let (protocol, grpc_status) = match key.protocol {
        Protocol::Http => ("http", String::new()),
        Protocol::Grpc(status) => ("grpc", status.map(|status| status.to_string()).unwrap_or_default()),
    };
    let (code, flags) = (key.code.to_string(), key.flags.to_string());
    let of_answer =
        [("response_code", code.as_str()), ("grpc_response_status", &grpc_status), ("response_flags", &flags)];
    [of_parties(source, destination, protocol), written(&of_answer), written(&SECURITY)].join(",")
}

/// Connections of plain bytes, by who called whom.
fn render_tcp(out: &mut String, counts: &Counts, parties: &Parties) {
    let (sources, destinations) = (parties.sources(), parties.destinations());
    let tallies: BTreeMap<TcpKey, TcpTally> = counts.tcp.iter().map(|(key, tally)| (*key, *tally)).collect();
    let labelled: Vec<(String, TcpTally)> = tallies
        .into_iter()
        .filter_map(|(key, tally)| {
            let (source, destination) =
                (sources.get(key.source as usize)?, destinations.get(key.destination as usize)?);
            let flags = key.flags.to_string();
            let of_end = written(&[("response_flags", flags.as_str())]);
            Some(([of_parties(source, destination, "tcp"), of_end, written(&SECURITY)].join(","), tally))
        })
        .collect();
    for (name, help, of) in [
        (
            "istio_tcp_connections_opened_total",
            "Connections of plain bytes that were opened, or could not be.",
            (|tally| tally.opened) as fn(&TcpTally) -> u64,
        ),
        ("istio_tcp_connections_closed_total", "Those that have ended.", |tally| tally.closed),
        ("istio_tcp_sent_bytes_total", "Bytes that they sent to clients.", |tally| tally.sent),
        ("istio_tcp_received_bytes_total", "Bytes that they received from clients.", |tally| tally.received),
    ] {
        head(out, name, "counter", help);
        for (labels, tally) in &labelled {
            line(out, format_args!("{name}{{{labels}}} {}", of(tally)));
        }
    }
}

const SECURITY: [(&str, &str); 1] = [("connection_security_policy", "unknown")];

/// Who called whom, and in what.
fn of_parties(source: &Workload, destination: &Destination, protocol: &str) -> String {
    let workload = &destination.workload;
    written(&[
        ("reporter", "source"),
        ("source_workload", &source.name),
        ("source_canonical_service", &source.canonical_service),
        ("source_canonical_revision", &source.canonical_revision),
        ("source_workload_namespace", &source.namespace),
        ("source_principal", "unknown"),
        ("source_app", &source.app),
        ("source_version", &source.version),
        ("source_cluster", "unknown"),
        ("destination_workload", &workload.name),
        ("destination_workload_namespace", &workload.namespace),
        ("destination_principal", "unknown"),
        ("destination_app", &workload.app),
        ("destination_version", &workload.version),
        ("destination_service", &destination.service),
        ("destination_canonical_service", &workload.canonical_service),
        ("destination_canonical_revision", &workload.canonical_revision),
        ("destination_service_name", &destination.service_name),
        ("destination_service_namespace", &destination.service_namespace),
        ("destination_cluster", "unknown"),
        ("request_protocol", protocol),
    ])
}

fn written(labels: &[(&str, &str)]) -> String {
    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect::<Vec<_>>().join(",")
}
