use crate::{
    rule::{Example, Rule},
    suppression::UNUSED,
};

pub(super) static RULE: Rule = Rule {
    info: &UNUSED,
    what: "A comment or an annotation silences a finding that is not there.",
    why: "It was mended, or the code is wrong. Left in place it hides the next finding of that code, which nobody has seen.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [shop.example.com] # malha: ignore[H010] moves to a port of its own in June
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
      hosts: [shop.example.com]
",
    ),
    facts: &[],
    check: None,
};
