use crate::{
    proof::proved,
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H001",
        name: "mesh-host-taken",
        group: Group::Correctness,
        aliases: &["IST0109", "KIA1106"],
    },
    what: "Two VirtualServices for the mesh name one host, and treat some request to it differently.",
    why: "Sidecars do not merge them, as gateways do: the older object has the host, and the rules of the other are not used for it, not \
          even for requests that the older one leaves unanswered. Which is older no file says; many people believe that the last one applied wins.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  ports:
    - {number: 80, name: http, protocol: HTTP}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: first
spec:
  hosts: [orders.example.com]
  http:
    - match:
        - uri: {prefix: /api}
      directResponse: {status: 200}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: second
spec:
  hosts: [orders.example.com]
  http:
    - match:
        - uri: {prefix: /old}
      directResponse: {status: 404}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  ports:
    - {number: 80, name: http, protocol: HTTP}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: first
spec:
  hosts: [orders.example.com]
  http:
    - match:
        - uri: {prefix: /api}
      directResponse: {status: 200}
    - match:
        - uri: {prefix: /old}
      directResponse: {status: 404}
",
    ),
    facts: &["0.1", "B.2"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for taken in context.taken_hosts() {
        let message = format!(
            "on the mesh VirtualService `{}` has the host `{}`, as the older of the two: these rules are not used for it",
            taken.winner, taken.host
        );
        let mut finding = Finding::new(RULE.info, taken.location, message)
            .help("write the rules of both in one VirtualService, in the order that is meant")
            .field(format!("spec.hosts[{}]", taken.index))
            .related(taken.winner_location, "has the host");
        if let Some(service) = context.mesh.virtual_service(&taken.loser) {
            finding = finding.resource(service.resource.resource_name());
        }
        findings.push(proved(finding, Some(&taken.proof)));
    }
}
