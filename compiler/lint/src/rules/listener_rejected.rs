use crate::{
    noted::noted,
    rule::{Context, Example, Rule},
};
use malha_mesh::program::NoteKind;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H014", name: "listener-rejected", group: Group::Correctness, aliases: &[] },
    what: "Envoy would refuse to load a listener: two of its filter chains match the same connections, a redirect has a code \
           that Envoy does not know, a header value has an unknown %VARIABLE%, or a regex is none of RE2's.",
    why: "Istio accepts the objects and pushes the configuration; Envoy refuses it and keeps what it had. Every later change \
          to that proxy is blocked with it, until this is mended. Malha leaves the listener out and serves the others.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: old
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - redirect: {uri: /new, redirectCode: 304}
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
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: old
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - redirect: {uri: /new, redirectCode: 308}
",
    ),
    facts: &["A5", "A10", "A17", "A18", "A19", "C19", "C37"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    noted(
        context,
        NoteKind::ListenerRejected,
        |note| {
            Finding::new(RULE.info, note.location, note.detail.clone())
                .help("mend this; until then no change reaches the proxy in a cluster")
        },
        "collides with this",
        findings,
    );
}
