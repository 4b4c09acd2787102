use crate::{
    noted::noted,
    rule::{Context, Example, Rule},
};
use malha_mesh::program::NoteKind;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H010",
        name: "gateway-server-conflict",
        group: Group::Correctness,
        aliases: &["IST0145", "KIA0301"],
    },
    what: "A server of a Gateway takes no part, because another that the same proxy merges has its place on the port.",
    why: "All Gateways that select a proxy merge on it, the older first (in files: by name). On one port and bind address \
          plain HTTP servers merge, but HTTP and TCP do not, and a TLS server with a host that is already there is skipped \
          whole. Istio says so in its log only.",
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
    facts: &["A10", "A12", "A13", "A15"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    noted(
        context,
        NoteKind::ServerSkipped,
        |note| {
            Finding::new(RULE.info, note.location, format!("this server takes no part: {}", note.detail))
                .help("give it a port, a bind address or hosts of its own")
        },
        "the server that has its place",
        findings,
    );
}
