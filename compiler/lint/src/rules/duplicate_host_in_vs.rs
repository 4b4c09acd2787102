use crate::rule::{Context, Example, Rule};
use hashbrown::HashMap;
use malha_mesh::names::fully_qualified;
use malha_model::{Resource, Spanned, Spec};
use malha_syntax::{Finding, Group, RuleInfo};
use smol_str::SmolStr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H013", name: "duplicate-host-in-vs", group: Group::Pedantic, aliases: &[] },
    what: "A VirtualService names one host twice, in short and in full.",
    why: "Both are the same name, so one of them says nothing. It does no harm, but some tools take it for a conflict of the object with itself. Hosts that are \
          equal as they are written, or of which a wildcard covers another, are refused by the cluster.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts:
    - orders
    - orders.default.svc.cluster.local
  http:
    - route:
        - destination: {host: orders}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts:
    - orders.default.svc.cluster.local
  http:
    - route:
        - destination: {host: orders}
",
    ),
    facts: &["0.3", "B3"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        if spec.hosts.len() > 1 {
            duplicates(context, resource, &spec.hosts, findings);
        }
    }
}

fn duplicates(context: &Context<'_>, resource: &Resource, hosts: &[Spanned<SmolStr>], findings: &mut Vec<Finding>) {
    let domain = &context.mesh.config().cluster_domain;
    let mut known: HashMap<SmolStr, &Spanned<SmolStr>> = HashMap::new();
    for (index, host) in hosts.iter().enumerate() {
        let whole = fully_qualified(host, &resource.namespace, domain);
        let Some(first) = known.get(&whole).copied() else {
            known.insert(whole, host);
            continue;
        };
        let place = resource.location(host.span);
        let message = format!("`{}` and `{}` are one host", first.value, host.value);
        let finding = Finding::new(RULE.info, place, message)
            .help("name it once")
            .related(resource.location(first.span), "the first one is here")
            .resource(resource.resource_name())
            .field(format!("spec.hosts[{index}]"));
        findings.push(match context.removal(place, true, format!("delete `{}`", host.value)) {
            Some(fix) => finding.fix(fix),
            None => finding,
        });
    }
}
