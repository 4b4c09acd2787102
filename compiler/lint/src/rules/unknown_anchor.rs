use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::UNKNOWN_ANCHOR,
    what: "An alias names an anchor that the document does not have.",
    why: "Anchors do not cross documents; the document is refused.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: *hosts
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
      hosts: [\"*.example.com\"]
",
    ),
    facts: &[],
    check: None,
};
