use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::DUPLICATE_ITEM,
    what: "Two items of a list that must differ do not.",
    why: "The cluster refuses the object.",
    bad: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  ports:
    - {name: http, port: 80}
    - {name: http, port: 80}
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  ports:
    - {name: http, port: 80}
    - {name: admin, port: 81}
",
    ),
    facts: &[],
    check: None,
};
