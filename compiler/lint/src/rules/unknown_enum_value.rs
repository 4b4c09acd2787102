use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::UNKNOWN_ENUM_VALUE,
    what: "A value that is not among those of its field. They are written in capitals.",
    why: "The cluster refuses the object.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  trafficPolicy:
    loadBalancer: {simple: ROUND-ROBIN}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
",
    ),
    facts: &[],
    check: None,
};
