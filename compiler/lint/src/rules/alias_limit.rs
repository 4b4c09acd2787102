use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::ALIAS_LIMIT,
    what: "Aliases multiply beyond all measure, or contain themselves.",
    why: "Kubernetes refuses such a document: expanded, it would fill the memory.",
    bad: Example::yaml(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: &labels
    self: *labels
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: &labels
    app: shop
data: *labels
",
    ),
    facts: &[],
    check: None,
};
