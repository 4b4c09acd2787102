use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::OUT_OF_RANGE,
    what: "A number, a length or a count beyond what its field allows.",
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
        - destination: {host: orders, port: {number: -1}}
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
