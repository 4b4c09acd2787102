use crate::rule::{Example, Rule};

pub(super) static RULE: Rule = Rule {
    info: &malha_syntax::rules::MERGE_KEY_OVERRIDE,
    what: "A key stands beside a merge (`<<`) that brings it in as well.",
    why: "Strict reading takes it for a duplicate key and refuses the document.",
    bad: Example::yaml(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: &labels
    app: shop
data:
  <<: *labels
  app: other
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: &labels
    app: shop
data:
  <<: *labels
  tier: front
",
    ),
    facts: &[],
    check: None,
};
