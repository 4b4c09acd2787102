use crate::{
    noted::noted,
    rule::{Context, Example, Rule},
};
use malha_mesh::program::NoteKind;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H016", name: "sni-taken", group: Group::Correctness, aliases: &[] },
    what: "A match of a `tls` rule takes no connection, because an earlier rule has one of its server names.",
    why: "On one port and bind address each server name belongs to the first match that lists it, that of the older \
          VirtualService (in files: by name). A later match with any name that is taken is skipped whole, its other \
          names too. Istio says so in its log only.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: tls, protocol: TLS}
      hosts: [\"*.example.com\"]
      tls: {mode: PASSTHROUGH}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: outside
spec:
  hosts: [cart.example.com, orders.example.com]
  resolution: DNS
  ports:
    - {number: 443, name: tls, protocol: TLS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
spec:
  hosts: [cart.example.com]
  gateways: [shop]
  tls:
    - match:
        - sniHosts: [cart.example.com]
      route:
        - destination: {host: cart.example.com, port: {number: 443}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [\"*.example.com\"]
  gateways: [shop]
  tls:
    - match:
        - sniHosts: [cart.example.com]
      route:
        - destination: {host: orders.example.com, port: {number: 443}}
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
    - port: {number: 443, name: tls, protocol: TLS}
      hosts: [\"*.example.com\"]
      tls: {mode: PASSTHROUGH}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: outside
spec:
  hosts: [cart.example.com, orders.example.com]
  resolution: DNS
  ports:
    - {number: 443, name: tls, protocol: TLS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
spec:
  hosts: [cart.example.com]
  gateways: [shop]
  tls:
    - match:
        - sniHosts: [cart.example.com]
      route:
        - destination: {host: cart.example.com, port: {number: 443}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  gateways: [shop]
  tls:
    - match:
        - sniHosts: [orders.example.com]
      route:
        - destination: {host: orders.example.com, port: {number: 443}}
",
    ),
    facts: &["A19"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    noted(
        context,
        NoteKind::SniTaken,
        |note| {
            Finding::new(RULE.info, note.location, format!("this match takes no connection: {}", note.detail))
                .help("give it server names of its own, or put both destinations into one rule")
        },
        "the match that has the name",
        findings,
    );
}
