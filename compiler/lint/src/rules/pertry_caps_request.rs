use crate::{
    rule::{Context, Example, Rule},
    written::written_rules,
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "T002", name: "pertry-caps-request", group: Group::Pedantic, aliases: &[] },
    what: "A rule sets `perTryTimeout` and no `timeout`.",
    why: "Without `timeout` a request may take for ever. `perTryTimeout` ends that too: a request that would have been \
          answered late, an upload say, now fails after so long, even if nothing else was wrong.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  http:
    - route:
        - destination: {host: orders.example.com}
      retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  http:
    - route:
        - destination: {host: orders.example.com}
      timeout: 8s
      retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}
",
    ),
    facts: &["C41", "C55"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for written in written_rules(context.mesh) {
        let route = written.rule.route;
        if route.timeout.is_some() || route.route.is_empty() {
            continue;
        }
        let Some(limit) = route.retries.as_ref().and_then(|retries| retries.per_try_timeout.as_ref()) else { continue };
        let message = format!("every try is cut off after {}, and without `timeout` nothing else limits requests", limit.value);
        let finding = written.finding(RULE.info, limit.span, "retries.perTryTimeout", message);
        findings.push(finding.help("write the `timeout` of the whole request too"));
    }
}
