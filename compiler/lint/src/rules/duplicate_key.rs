use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::DUPLICATE_KEY,
    what: "A mapping has the same key twice.",
    why: "Strict readers refuse it; others let the last one win in silence, so that the first is lost.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"a.example.com\"]
      hosts: [\"*.example.com\"]
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
    facts: &["0.14"],
    check: None,
};
