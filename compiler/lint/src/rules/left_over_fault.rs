use crate::{
    rule::{Context, Example, Rule},
    written::{WrittenRule, written_rules},
};
use malha_mesh::faults_in_force;
use malha_model::istio::virtual_service::{HttpMatchRequest, StringMatch};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "T007", name: "left-over-fault", group: Group::Suspicious, aliases: &[] },
    what: "A rule injects a fault, and nothing narrows it to some requests: not its matches, perhaps the percentage.",
    why: "Faults are for tests. One that every client meets is mostly left over from one.",
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
      fault:
        delay: {fixedDelay: 5s, percentage: {value: 100}}
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
    - match:
        - headers: {x-chaos: {exact: slow}}
      route:
        - destination: {host: orders.example.com}
      fault:
        delay: {fixedDelay: 5s, percentage: {value: 100}}
    - route:
        - destination: {host: orders.example.com}
",
    ),
    facts: &["C64", "C65"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for written in written_rules(context.mesh) {
        findings.extend(left_over(&written));
    }
}

fn left_over(written: &WrittenRule<'_>) -> Option<Finding> {
    let route = written.rule.route;
    let fault = route.fault.as_ref().filter(|_| !route.route.is_empty())?;
    let is_for_some = !route.matches.is_empty() && written.rule.matches().all(|item| narrows(item.request));
    if is_for_some {
        return None;
    }
    let (delay, abort) = faults_in_force(route);
    let percent = |per_million: u32| f64::from(per_million) / 10_000.0;
    let mut said = Vec::new();
    if let Some(delay) = delay {
        said.push(format!("{} % are delayed", percent(delay.per_million)));
    }
    if let Some(abort) = abort {
        said.push(format!("{} % are aborted", percent(abort.per_million)));
    }
    if said.is_empty() {
        return None;
    }
    let place = if fault.key.is_empty() { fault.span } else { fault.key };
    let message = format!("whoever sends requests to these hosts meets this fault: {}", said.join(", "));
    let help = "remove it, or match a header, label or path that only tests have";
    Some(written.finding(RULE.info, place, "fault", message).help(help))
}

/// Whether a match is for some requests to its hosts alone.
fn narrows(item: &HttpMatchRequest) -> bool {
    let any_path = match item.uri.as_ref().map(|uri| &uri.value) {
        None | Some(StringMatch::Any) => true,
        Some(StringMatch::Prefix(prefix)) => matches!(prefix.as_str(), "" | "/"),
        Some(StringMatch::Regex(regex)) => matches!(regex.as_str(), ".*" | "/.*"),
        Some(StringMatch::Exact(_)) => false,
    };
    !any_path
        || !item.headers.is_empty()
        || !item.query_params.is_empty()
        || !item.source_labels.is_empty()
        || item.source_namespace.is_some()
        || item.authority.is_some()
}
