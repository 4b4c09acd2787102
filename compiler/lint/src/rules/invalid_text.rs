use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::INVALID_TEXT,
    what: "A text of another form than its field demands.",
    why: "The cluster refuses the object.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
spec:
  hosts: [\"\"]
  ports:
    - {number: 443, name: tls, protocol: TLS}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
spec:
  hosts: [credit.example.com]
  ports:
    - {number: 443, name: tls, protocol: TLS}
",
    ),
    facts: &[],
    check: None,
};
