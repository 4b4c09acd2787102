use crate::rule::{Context, Example, Rule};
use malha_mesh::Visibility;
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "S004", name: "se-exported-everywhere", group: Group::Pedantic, aliases: &[] },
    what: "A ServiceEntry outside the root namespace has no `exportTo`, so that every namespace sees it.",
    why: "What one team says of an outside host then holds for all: its ports, its resolution, its endpoints. Two teams that name one host get in each other's way, \
          and every sidecar of the mesh learns of it.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
spec:
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
spec:
  exportTo: [\".\"]
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
",
    ),
    facts: &["0.7", "E16", "E17"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let config = context.mesh.config();
    for resource in context.mesh.resources() {
        let Spec::ServiceEntry(entry) = &resource.spec else { continue };
        let default = config.default_service_export_to.of(&resource.namespace);
        if !entry.export_to.is_empty() || default != Visibility::Public || resource.namespace == config.root_namespace {
            continue;
        }
        let Some(host) = entry.hosts.first() else { continue };
        let place = resource.location(host.span);
        let message = format!("every namespace sees what this says of `{}`", host.value);
        let finding = Finding::new(RULE.info, place, message)
            .help("add `exportTo: [\".\"]`, or name the namespaces that need it")
            .resource(resource.resource_name())
            .field("spec.exportTo");
        // The list is a field of `spec`, above which another one can stand.
        let key = entry_key(resource).map(|key| resource.location(key));
        findings.push(match key.and_then(|key| context.insert_above(key, "exportTo: [\".\"]", false)) {
            Some(fix) => finding.fix(fix),
            None => finding,
        });
    }
}

/// The key of a field of `spec` that is there.
fn entry_key(resource: &malha_model::Resource) -> Option<malha_syntax::Span> {
    let Spec::ServiceEntry(entry) = &resource.spec else { return None };
    let resolution = entry.resolution.as_ref().map(|resolution| resolution.key);
    let location = entry.location.as_ref().map(|location| location.key);
    resolution.or(location).filter(|key| !key.is_empty())
}
