use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::EXCLUSIVE_FIELDS,
    what: "Fields that cannot stand together.",
    why: "The cluster refuses the object: it could obey only one of them.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - match:
        - uri: {exact: /cart, prefix: /cart/}
      route:
        - destination: {host: orders}
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
    - match:
        - uri: {exact: /cart}
        - uri: {prefix: /cart/}
      route:
        - destination: {host: orders}
",
    ),
    facts: &[],
    check: None,
};
