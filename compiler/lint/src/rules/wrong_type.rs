use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::WRONG_TYPE,
    what: "A value of another type than its field has. YAML 1.1 makes booleans of `y`, `n`, `yes`, `no`, `on` and `off`, and numbers of `1.10`.",
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
        - destination: {host: orders, subset: 1.10}
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
    facts: &["0.15"],
    check: None,
};
