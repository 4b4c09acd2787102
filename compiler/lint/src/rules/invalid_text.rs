use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::INVALID_TEXT,
    what: "A text of another form than its field demands.",
    why: "The cluster refuses the object.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: health
spec:
  hosts: [health.example.com]
  http:
    - directResponse:
        status: 200
        body: {bytes: all is well}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: health
spec:
  hosts: [health.example.com]
  http:
    - directResponse:
        status: 200
        body: {string: all is well}
",
    ),
    facts: &[],
    check: None,
};
