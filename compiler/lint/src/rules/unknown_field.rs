use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::UNKNOWN_FIELD,
    what: "A field that its object does not have: misspelled, or at the wrong depth.",
    why: "`kubectl apply` refuses it or, without validation, drops it in silence: what it says never takes effect.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - timeout: 10s
      route:
        - destination: {host: orders}
          weigth: 100
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - timeout: 10s
      route:
        - destination: {host: orders}
          weight: 100
",
    ),
    facts: &[],
    check: None,
};
