use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_model::rules::INVALID_REGEX,
    what: "A regular expression that Istio does not take.",
    why: "Istio compiles every expression when the object comes in, with Go's `regexp`, and refuses the whole object if \
          one does not compile, is empty, or has more than 1024 characters. The dialect is that of RE2: it has no \
          look-ahead or look-behind, no backreferences, and no atomic groups.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {regex: \"/(?!admin/).*\"}
      directResponse: {status: 200}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {prefix: /admin/}
      directResponse: {status: 404}
    - directResponse: {status: 200}
",
    ),
    facts: &["0.13"],
    check: None,
};
