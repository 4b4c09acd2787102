use crate::{
    hosts::kubernetes_name,
    rule::{Context, Example, Rule},
    sidecars::sidecars,
};
use malha_mesh::{config::Completeness, host};
use malha_model::{Resource, Spanned};
use malha_syntax::{Finding, Group, RuleInfo, Severity};
use smol_str::SmolStr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H022", name: "sidecar-host-unknown", group: Group::Correctness, aliases: &["KIA1004"] },
    what: "A Sidecar lets its workloads reach a host that nobody has, or that lives in another namespace than it says.",
    why: "`egress[].hosts` are `namespace/host`: both must fit a service or a VirtualService. What does not fit lets nothing through, so the workloads do not know the host, \
          and calls to it are treated as calls to an unknown one. Where the mesh is not declared `closed` the service may live elsewhere: then this is a warning.",
    bad: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
  namespace: shop
spec:
  ports:
    - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: default
  namespace: web
spec:
  egress:
    - hosts: [\"./orders.shop.svc.cluster.local\"]
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
  namespace: shop
spec:
  ports:
    - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: default
  namespace: web
spec:
  egress:
    - hosts: [\"shop/orders.shop.svc.cluster.local\"]
",
    ),
    facts: &["0.5", "0.7"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (resource, sidecar) in sidecars(context.mesh) {
        for (listener, egress) in sidecar.egress.iter().enumerate() {
            for (index, written) in egress.hosts.iter().enumerate() {
                let field = || format!("spec.egress[{listener}].hosts[{index}]");
                findings.extend(unknown(context, resource, written).map(|finding| finding.field(field())));
            }
        }
    }
}

fn unknown(context: &Context<'_>, resource: &Resource, written: &Spanned<SmolStr>) -> Option<Finding> {
    let mesh = context.mesh;
    let (scope, name) = written.split_once('/')?;
    // A short name, or a wildcard, may be anything.
    if scope == "~" || host::is_wildcard(name) || !name.contains('.') {
        return None;
    }
    let scope = if scope == "." { resource.namespace.as_str() } else { scope };
    let is_any = scope == "*";
    let rules = context.known.rules_of_host(mesh, name);
    if rules.iter().filter_map(|index| mesh.virtual_services().get(*index as usize)).any(|rules| is_any || rules.name.namespace == scope) {
        return None;
    }
    let place = resource.location(written.span);
    let finding = |severity: Severity, message: String| {
        Finding::new(RULE.info, place, message).severity(severity).resource(resource.resource_name())
    };
    let mut homes = mesh.registry().services_of_host(name).map(|service| service.namespace.as_str()).peekable();
    let Some(home) = homes.peek().copied() else {
        let unknown = context.unknown_host(name, &resource.namespace)?;
        let message = format!("no Service, ServiceEntry or VirtualService in these files has the host `{name}`, so this lets nothing through");
        let finding = finding(unknown.severity, message);
        return Some(match unknown.instead {
            Some(instead) => {
                let whole = format!("{}/{instead}", written.split_once('/').map_or(".", |(scope, _)| scope));
                let finding = finding.help(format!("did you mean `{whole}`?"));
                match context.rewrite(place, &whole, false) {
                    Some(fix) => finding.fix(fix),
                    None => finding,
                }
            }
            None => finding.help("correct the host, or delete it here"),
        });
    };
    if is_any || homes.any(|home| home == scope) {
        return None;
    }
    // The name of a Service says where it lives; a ServiceEntry of the host may live anywhere.
    let is_sure = kubernetes_name(name, &mesh.config().cluster_domain).is_some_and(|service| service.namespace != scope);
    let severity = match mesh.config().registry {
        _ if is_sure => Severity::Error,
        Completeness::Closed => Severity::Error,
        Completeness::Auto => Severity::Warning,
        Completeness::Open => return None,
    };
    let whole = format!("{home}/{name}");
    let message = format!("`{name}` lives in namespace `{home}`, not in `{scope}`, so this lets nothing through");
    let finding = finding(severity, message).help(format!("write `{whole}`"));
    Some(match context.rewrite(place, &whole, false) {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}
