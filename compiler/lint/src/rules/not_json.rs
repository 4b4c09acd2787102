use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::NOT_JSON,
    what: "A key or a value that JSON cannot hold, such as null as a key.",
    why: "Kubernetes turns YAML into JSON before it reads it; the document is refused.",
    bad: Example::yaml(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  ~: shop
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  \"~\": shop
",
    ),
    facts: &[],
    check: None,
};
