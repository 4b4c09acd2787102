use crate::{
    noted::noted,
    proof::proved,
    rule::{Context, Example, Rule},
};
use malha_mesh::{
    Gateway,
    program::{Note, NoteKind},
};
use malha_model::istio::gateway::{Server, ServerTlsSettings};
use malha_syntax::{Finding, Group, RuleInfo, Severity};
use std::fmt::Write as _;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H010",
        name: "gateway-server-conflict",
        group: Group::Correctness,
        aliases: &["IST0145", "KIA0301"],
    },
    what: "A server of a Gateway takes no part, or not as it says, because of another that the same proxy merges on its port.",
    why: "All Gateways that select a proxy merge on it, the older first (in files: by name). On one port and bind address \
          plain HTTP servers merge, but HTTP and TCP do not, and a TLS server with a host that is already there is skipped \
          whole, with its certificate and its other hosts. Names are compared as they are written: `*.example.com` beside \
          `shop.example.com` is in order, the more specific one has the connection. That plain HTTP is redirected to HTTPS is \
          settled for a host, not for a server: one server that asks for it is enough. Istio says none of this but in its log.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 9000, name: http, protocol: HTTP}
      hosts: [\"*\"]
    - port: {number: 9000, name: tcp, protocol: TCP}
      hosts: [\"*\"]
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 9000, name: http, protocol: HTTP}
      hosts: [\"*\"]
    - port: {number: 9001, name: tcp, protocol: TCP}
      hosts: [\"*\"]
",
    ),
    facts: &["A10", "A12", "A13", "A15", "A17", "A40"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let skipped = |note: &Note| {
        let mut message = format!("this server takes no part: {}", note.detail);
        let own = context.server_at(note.location);
        let other = note.other.and_then(|place| context.server_at(place));
        if let (Some(own), Some(other)) = (own, other) {
            message.push_str(&what_is_lost(own.1, other.1));
            if is_open(own.0, other.0) {
                message.push_str("; no file says which of the two Gateways is older, and the older one has its way");
            }
        }
        let finding =
            Finding::new(RULE.info, note.location, message).help("give it a port, a bind address or hosts of its own");
        let winner = other.map(|(gateway, _)| gateway);
        let proof = own.and_then(|(gateway, server)| context.lost_at(gateway, server, winner));
        proved(finding, proof.as_ref())
    };
    noted(context, NoteKind::ServerSkipped, skipped, "the server that has its place", findings);

    let mut open = Vec::new();
    let only_as_younger = |note: &Note| {
        let message = format!(
            "{}: this plaintext server fits beside them only while its Gateway is the younger one, and no file says so; else \
             theirs would take no part",
            note.detail
        );
        Finding::new(RULE.info, note.location, message)
            .severity(Severity::Warning)
            .help("give it a port or a bind address of its own, or write these servers in one Gateway, those with TLS first")
    };
    noted(context, NoteKind::ServerOrderMatters, only_as_younger, "a TLS server of the port", &mut open);
    open.retain(|finding| {
        let other = finding.related.first().and_then(|other| context.server_at(other.location));
        let own = context.server_at(finding.location);
        matches!((own, other), (Some(own), Some(other)) if is_open(own.0, other.0))
    });
    findings.append(&mut open);

    let redirected = |note: &Note| {
        let message = format!(
            "{} are redirected to HTTPS, which this server does not ask for: another server of the port does, and it counts \
             for the host",
            note.detail
        );
        let finding = Finding::new(RULE.info, note.location, message)
            .help("let both servers say the same of `httpsRedirect`, or give one of them a port of its own");
        let winner = note.other.and_then(|place| context.server_at(place)).map(|(gateway, _)| gateway);
        let own = context.server_at(note.location);
        let proof = own.and_then(|(gateway, server)| context.lost_at(gateway, server, winner));
        proved(finding, proof.as_ref())
    };
    noted(context, NoteKind::RedirectImposed, redirected, "the server that asks for the redirect", findings);
}

/// Whether it depends on the age of two Gateways, which the files do not hold, which of them comes first.
fn is_open(one: &Gateway, other: &Gateway) -> bool {
    let is_dated = |gateway: &Gateway| gateway.resource.metadata.creation_timestamp.is_some();
    one.name != other.name && !(is_dated(one) && is_dated(other))
}

/// What else is not used of a server whose place another has, as the end of a sentence.
fn what_is_lost(server: &Server, other: &Server) -> String {
    let mut words = String::new();
    let is_taken = |host: &str| other.hosts.iter().any(|taken| taken.as_str() == host);
    let lost: Vec<&str> = server.hosts.iter().map(|host| host.as_str()).filter(|host| !is_taken(host)).collect();
    if lost.len() < server.hosts.len()
        && let Some(first) = lost.first()
    {
        let _ = write!(words, ", and with it its other hosts, as `{first}`");
    }
    if let (Some(own), Some(other)) = (&server.tls, &other.tls)
        && let (Some(own), Some(other)) = (credential(own), credential(other))
        && own != other
    {
        let _ = write!(words, "; clients are shown `{other}`, not its `{own}`");
    }
    words
}

/// Where a server's certificate is from.
fn credential(tls: &ServerTlsSettings) -> Option<&str> {
    let first = tls.credential_name.as_ref().or(tls.credential_names.first());
    first.or(tls.server_certificate.as_ref()).map(|name| name.as_str())
}
