use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::TOO_LARGE,
    what: "A file or a document is too large to be read.",
    why: "Objects of a cluster are limited to some megabytes; a file of this size is no configuration.",
    bad: Example::made(
        "# a file of more than 64 MiB
",
        || vec![b'#'; malha_syntax::MAX_SOURCE_BYTES + 1],
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
