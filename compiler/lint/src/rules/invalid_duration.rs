use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::INVALID_DURATION,
    what: "A text that is no duration, or one that its field does not allow. Durations carry a unit: `10s`, `1.5h`, `250ms`.",
    why: "The cluster refuses the object.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - timeout: 10 seconds
      route:
        - destination: {host: orders}
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
    facts: &["0.12", "C41"],
    check: None,
};
