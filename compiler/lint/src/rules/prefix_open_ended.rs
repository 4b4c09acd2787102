use crate::{
    patterns::{Subject, conditions},
    rule::{Context, Example, Rule},
};
use malha_model::istio::virtual_service::StringMatch;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P009", name: "prefix-open-ended", group: Group::Pedantic, aliases: &[] },
    what: "A prefix of the path does not end with `/`.",
    why: "`/cart` takes `/cart-old` and `/cartoons` as well as `/cart/1`. If only what lies below is meant, say so now: the day \
          somebody adds `/cartoons`, nothing will warn. P001 tells where another rule is concerned already.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {prefix: /cart}
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
        - uri: {exact: /cart}
        - uri: {prefix: /cart/}
      directResponse: {status: 200}
",
    ),
    facts: &["B.3"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    conditions(context, |condition| {
        let (Subject::Uri, StringMatch::Prefix(prefix)) = (condition.subject, condition.test) else { return };
        if prefix.is_empty() || prefix.ends_with('/') {
            return;
        }
        let text = &prefix.value;
        let message = format!("the prefix `{text}` takes `{text}s` too: prefixes know no segments");
        let help = format!("match `exact: {text}` and `prefix: {text}/` instead, if that is what is meant");
        findings.extend(condition.finding(RULE.info, message).map(|finding| finding.help(help)));
    });
}
