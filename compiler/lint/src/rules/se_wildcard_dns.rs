use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::SE_WILDCARD_DNS,
    what: "A ServiceEntry has a wildcard host and is resolved by DNS, without endpoints that could be asked for instead.",
    why: "There is no name to ask DNS for, so the cluster refuses the object. With resolution NONE connections go where the client meant them to, \
          with DYNAMIC_DNS the name that the client asked for is resolved.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: partners
spec:
  hosts: [\"*.partner.example.com\"]
  resolution: DNS
  ports:
    - {name: https, number: 443, protocol: TLS}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: partners
spec:
  hosts: [\"*.partner.example.com\"]
  resolution: NONE
  ports:
    - {name: https, number: 443, protocol: TLS}
",
    ),
    facts: &["E2", "E7"],
    check: None,
};
