use crate::rule::{Context, Example, Rule};
use malha_mesh::Protocol;
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "O024", name: "pool-setting-ignored", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A port that a Sidecar accepts connections on is not HTTP, but its `connectionPool` has settings for HTTP.",
    why: "Istio applies those for connections alone: the limits on requests do not hold.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: ledger
spec:
  ingress:
    - port: {number: 5432, name: tcp, protocol: TCP}
      defaultEndpoint: 127.0.0.1:5432
      connectionPool:
        http: {http1MaxPendingRequests: 10}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: ledger
spec:
  ingress:
    - port: {number: 5432, name: tcp, protocol: TCP}
      defaultEndpoint: 127.0.0.1:5432
      connectionPool:
        tcp: {maxConnections: 10}
",
    ),
    facts: &[],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::Sidecar(spec) = &resource.spec else { continue };
        for (index, listener) in spec.ingress.iter().enumerate() {
            let protocol = listener.port.as_ref().and_then(|port| port.protocol.as_ref());
            let Some(protocol) = protocol.filter(|protocol| !protocol.is_empty()) else { continue };
            let http = listener.connection_pool.as_ref().and_then(|pool| pool.http.as_deref());
            let Some(http) = http.filter(|_| !Protocol::parse(protocol).is_http()) else { continue };
            let place = if http.key.is_empty() { http.span } else { http.key };
            let message = format!("these settings have no effect: the port's protocol is {}, not HTTP", protocol.value);
            let finding = Finding::new(RULE.info, resource.location(place), message)
                .help("set limits under `tcp`, or correct the protocol")
                .related(resource.location(protocol.span), "the protocol")
                .resource(resource.resource_name())
                .field(format!("spec.ingress[{index}].connectionPool.http"));
            findings.push(finding);
        }
    }
}
