use super::rewrite_double_slash::place;
use crate::{
    proof::proved,
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P003", name: "rewrite-multi-prefix", group: Group::Suspicious, aliases: &[] },
    what: "Several prefixes of one rule share a rewrite that cannot fit them all.",
    why: "Each prefix is replaced for itself, and what follows it is kept: of prefixes with and without a slash at their end, \
          the paths that the upstream sees differ by a slash, whatever the rewrite is.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {prefix: /admin/}
        - uri: {prefix: /internal/admin}
      rewrite: {uri: /adm}
      route:
        - destination: {host: shop.example.com}
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
        - uri: {prefix: /internal/admin/}
      rewrite: {uri: /adm/}
      route:
        - destination: {host: shop.example.com}
",
    ),
    facts: &["C.2"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for rewriting in context.rewritings() {
        let (Some([other_before, other_after]), (_, _, [before, after])) = (&rewriting.other, &rewriting.misfit) else {
            continue;
        };
        let message = format!("one rewrite does not fit all prefixes: `{before}` becomes `{after}`, and `{other_before}` `{other_after}`");
        let Some((place, below)) = place(rewriting) else { continue };
        let finding = rewriting
            .written
            .finding(RULE.info, place.span, below, message)
            .help("let all prefixes end with `/`, and the rewrite too; or write a rule for each prefix");
        findings.push(proved(finding, rewriting.proof.as_ref()));
    }
}
