use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::MISSING_FIELD,
    what: "A field is missing that its object must have.",
    why: "The cluster refuses the object.",
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
        - destination: {port: {number: 8000}}
          weight: 100
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
