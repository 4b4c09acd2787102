use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::TOO_DEEP,
    what: "Mappings and sequences are nested deeper than any real object.",
    why: "A reader that followed them would run out of stack; the document is not read.",
    bad: Example::made(
        "# ten thousand opening brackets: [[[[[[...
",
        || vec![b'['; 10_000],
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*.example.com\"]
",
    ),
    facts: &[],
    check: None,
};
