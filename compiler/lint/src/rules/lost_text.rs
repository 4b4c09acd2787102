use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::LOST_TEXT,
    what: "Text follows the end of the document.",
    why: "Kubernetes reads the first value and drops the rest in silence, so what follows never takes effect.",
    bad: Example::yaml(
        "  apiVersion: v1
  kind: Namespace
  metadata: {name: shop}
spec: {}
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
