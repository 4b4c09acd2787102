use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::UNQUOTED_WILDCARD,
    what: "A host that begins with `*` is not quoted.",
    why: "YAML reads a bare `*` as a reference to an anchor, so the document is refused.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts:
        - *.example.com
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
