use crate::{
    rule::{Context, Example, Rule},
    written::{WrittenRule, written_rules},
};
use malha_mesh::{MeshConfig, retries_in_force};
use malha_syntax::{Finding, Fix, Group, RuleInfo};
use malha_table::http::duration_text;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "T001",
        name: "retry-budget-exceeds-timeout",
        group: Group::Suspicious,
        aliases: &[],
    },
    what: "The tries that `retries` allows take longer than the `timeout` of the rule.",
    why: "`timeout` holds for all tries together and the pauses between them. Where tries hang until `perTryTimeout`, the \
          last ones are cut off or never begin. A `perTryTimeout` that is not shorter than `timeout` is ignored.",
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
      timeout: 5s
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
    facts: &["C42", "C48", "C55"],
    check: Some(check),
};

/// What a try that hit its limit is tried again for. Others of Envoy's conditions do not count that as failure.
const RETRIED_AFTER_TIMEOUT: [&str; 3] = ["5xx", "gateway-error", "reset"];

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for written in written_rules(context.mesh) {
        findings.extend(exceeding(context, &written, context.mesh.config()));
    }
}

fn exceeding(context: &Context<'_>, written: &WrittenRule<'_>, config: &MeshConfig) -> Option<Finding> {
    let route = written.rule.route;
    let timeout = route.timeout.as_ref().filter(|_| !route.route.is_empty())?;
    let retries = retries_in_force(route, config)?;
    let (limit, all) = (retries.per_try_timeout?, timeout.to_std());
    let tries = retries.attempts.checked_add(1)?;
    let total = limit.checked_mul(tries)?;
    let (limit_text, all_text) = (duration_text(limit), duration_text(all));
    let message = if limit >= all {
        format!(
            "`perTryTimeout` of {limit_text} has no effect: it is not shorter than the `timeout` of {all_text}, so that \
             after a try that hangs there is no time for a retry"
        )
    } else if total > all && retries.conditions.iter().any(|it| RETRIED_AFTER_TIMEOUT.contains(&it.as_str())) {
        let whole = all.as_nanos() / limit.as_nanos().max(1);
        format!(
            "{tries} tries of {limit_text} take {}, but the `timeout` is {all_text}: where tries hang, only {whole} of them \
             come to their end",
            duration_text(total)
        )
    } else {
        return None;
    };
    let help = format!("raise `timeout` to {} or more, or lower `attempts` or `perTryTimeout`", duration_text(total));
    let mut finding = written.finding(RULE.info, timeout.span, "timeout", message).help(help);
    if let Some(limit) = route.retries.as_ref().and_then(|retries| retries.per_try_timeout.as_ref()) {
        finding = finding.related(written.location(limit.span), "the limit of each try");
    }
    if written.rule.delegate.is_none() {
        let edit = context.replacement(written.location(timeout.span), &duration_text(total));
        let title = format!("raise `timeout` to {}", duration_text(total));
        finding.fix = edit.map(|edit| Fix { safe: false, title, edits: vec![edit] });
    }
    Some(finding)
}
