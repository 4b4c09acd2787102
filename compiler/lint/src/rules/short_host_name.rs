use crate::{
    destinations::destinations,
    rule::{Context, Example, Rule},
};
use malha_mesh::names::fully_qualified;
use malha_model::{Resource, Spanned, Spec};
use malha_syntax::{Finding, Group, RuleInfo};
use smol_str::SmolStr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H009", name: "short-host-name", group: Group::Pedantic, aliases: &[] },
    what: "A VirtualService or a DestinationRule names a Service without its namespace.",
    why: "A short name is completed with the namespace of the object that says it, whoever asks. Moved or copied to another namespace, the object means another service.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders.default.svc.cluster.local
",
    ),
    facts: &["0.3", "0.5"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let mut told = |host: &Spanned<SmolStr>, field: String| findings.extend(short(context, resource, host, field));
        match &resource.spec {
            Spec::VirtualService(spec) => {
                for (index, host) in spec.hosts.iter().enumerate() {
                    told(host, format!("spec.hosts[{index}]"));
                }
                for destination in destinations(resource) {
                    if let Some(host) = &destination.value.host {
                        told(host, format!("{}.host", destination.field()));
                    }
                }
            }
            Spec::DestinationRule(rule) => {
                if let Some(host) = &rule.host {
                    told(host, "spec.host".to_owned());
                }
            }
            _ => {}
        }
    }
}

fn short(context: &Context<'_>, resource: &Resource, host: &Spanned<SmolStr>, field: String) -> Option<Finding> {
    let whole = fully_qualified(host, &resource.namespace, &context.mesh.config().cluster_domain);
    if whole == host.value {
        return None;
    }
    // A ServiceEntry may have a short name, and then the whole name is another.
    let has_entry = context.mesh.registry().services_of_host(host).next().is_some();
    let place = resource.location(host.span);
    let message = format!("`{}` means `{whole}`, by the namespace of this object", host.value);
    let finding = Finding::new(RULE.info, place, message)
        .help(format!("write `{whole}`"))
        .resource(resource.resource_name())
        .field(field);
    Some(match context.rewrite(place, &whole, !has_entry) {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}
