use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::BAD_INDENTATION,
    what: "A line is indented as nothing above it is.",
    why: "YAML cannot tell which mapping the line belongs to; the document is refused.",
    bad: Example::yaml(
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
