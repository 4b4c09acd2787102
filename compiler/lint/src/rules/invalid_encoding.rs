use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::INVALID_ENCODING,
    what: "A byte is no text in the encoding of the file.",
    why: "Kubernetes reads UTF-8, and UTF-16 with a byte order mark; the document is refused.",
    bad: Example::made(
        "# café, written in Latin-1 as the byte E9
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*.example.com\"]
",
        || b"# caf\xe9\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n".to_vec(),
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
