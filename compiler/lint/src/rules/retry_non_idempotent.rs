use crate::{
    proof::proved,
    rule::{Context, Example, Rule},
    written::{WrittenRule, rules_of},
};
use malha_mesh::{MeshConfig, program::Retries, retries_in_force};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "T003", name: "retry-non-idempotent", group: Group::Pedantic, aliases: &[] },
    what: "A rule that POST or PATCH requests reach retries what the upstream may have carried out already.",
    why: "The proxy retries whatever the method is. On `5xx`, `gateway-error`, `reset`, `retriable-4xx` or a status code the \
          upstream has seen the request, and may have ordered, paid or sent something before it failed: the retry does so \
          again.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [orders.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  gateways: [edge]
  http:
    - route:
        - destination: {host: orders.example.com}
      retries: {attempts: 3, retryOn: 5xx}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [orders.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  gateways: [edge]
  http:
    - match:
        - method: {regex: \"GET|HEAD|OPTIONS|PUT|DELETE\"}
      route:
        - destination: {host: orders.example.com}
      retries: {attempts: 3, retryOn: 5xx}
    - route:
        - destination: {host: orders.example.com}
",
    ),
    facts: &["C47", "C49", "C53"],
    check: Some(check),
};

/// Conditions that hold after the upstream has seen the request.
const AFTER: [&str; 4] = ["5xx", "gateway-error", "reset", "retriable-4xx"];

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let config = context.mesh.config();
    for service in context.mesh.virtual_services() {
        let asked: Vec<(WrittenRule<'_>, String)> =
            rules_of(service).filter_map(|written| Some((written, repeated(&written, config)?))).collect();
        if service.hosts.is_empty() || asked.is_empty() {
            continue;
        }
        let numbers: Vec<usize> = asked.iter().map(|(written, _)| written.number).collect();
        let proofs = context.reached_by(service, &numbers, &["POST", "PATCH"]);
        for ((written, condition), proof) in asked.iter().zip(proofs) {
            let Some(proof) = proof else { continue };
            let method = proof.request.method.as_deref().unwrap_or("POST");
            let message = format!(
                "{method} requests reach this rule, and on `{condition}` they are sent again though the upstream may have \
                 carried them out"
            );
            let retries = written.rule.route.retries.as_ref().map_or(written.rule.location.span, |retries| retries.span);
            let finding = written
                .finding(RULE.info, retries, "retries", message)
                .help("match these methods in a rule of their own with `retries: {attempts: 0}`");
            findings.push(proved(finding, Some(&proof)));
        }
    }
}

/// The condition by which a rule that says so itself repeats what was carried out.
fn repeated(written: &WrittenRule<'_>, config: &MeshConfig) -> Option<String> {
    let route = written.rule.route;
    route.retries.as_ref().filter(|_| !route.route.is_empty())?;
    let Retries { conditions, status_codes, .. } = retries_in_force(route, config)?;
    let condition = conditions.iter().find(|condition| AFTER.contains(&condition.as_str()));
    condition.map(ToString::to_string).or_else(|| status_codes.first().map(ToString::to_string))
}
