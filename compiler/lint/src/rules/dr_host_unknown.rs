use crate::{
    hosts::{Near, UnknownHost},
    rule::{Context, Example, Rule},
};
use malha_mesh::{GatewayRef, config::Completeness, host, names::fully_qualified};
use malha_model::{Kind, Resource, Spec};
use malha_syntax::{Finding, Group, RuleInfo, Severity};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D012",
        name: "dr-host-unknown",
        group: Group::Correctness,
        aliases: &["IST0174", "KIA0202"],
    },
    what: "A DestinationRule is for a host that no Service and no ServiceEntry has.",
    why: "Its policy and its subsets then hold for nothing. The host is that of the destination, fully qualified in the namespace of the DestinationRule, not \
          the host that clients call a VirtualService by. Where the mesh is not declared `closed` the service may live elsewhere: then this is a warning, and told only if \
          the files hold Services of that namespace, a name that is one slip away, or a VirtualService of a gateway that has the host and sends its requests elsewhere.",
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
kind: DestinationRule
metadata:
  name: orders
  namespace: shop
spec:
  host: orders.shop
  trafficPolicy:
    connectionPool:
      http: {http1MaxPendingRequests: 1}
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
kind: DestinationRule
metadata:
  name: orders
  namespace: shop
spec:
  host: orders.shop.svc.cluster.local
  trafficPolicy:
    connectionPool:
      http: {http1MaxPendingRequests: 1}
",
    ),
    facts: &["0.3", "0.4", "D3", "D5"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let rules = context.mesh.resources().iter().filter(|resource| resource.kind == Kind::DestinationRule);
    findings.extend(rules.filter_map(|resource| unknown(context, resource)));
}

fn unknown(context: &Context<'_>, resource: &Resource) -> Option<Finding> {
    let Spec::DestinationRule(rule) = &resource.spec else { return None };
    let written = rule.host.as_ref()?;
    let finding = |unknown: &UnknownHost| {
        let message = format!(
            "no Service or ServiceEntry in these files has the host `{}`, so this DestinationRule holds for nothing",
            unknown.host
        );
        Finding::new(RULE.info, resource.location(written.span), message)
            .severity(unknown.severity)
            .resource(resource.resource_name())
            .field("spec.host")
    };
    let Some(unknown) = context.unknown_host(written, &resource.namespace) else {
        let unknown = called_only(context, written, &resource.namespace)?;
        let help = "it is the host that clients call a VirtualService by: name the host of the destination instead";
        return Some(finding(&unknown).help(help));
    };
    // Whether a wildcard is wide enough for services that live elsewhere is not to be known.
    if host::is_wildcard(&unknown.host) && unknown.severity < Severity::Error {
        return None;
    }
    let finding = finding(&unknown);
    let finding = match (&unknown.near, &unknown.instead) {
        (Near::CutShort, Some(whole)) => {
            finding.help(format!("a name with a dot is not completed: write `{whole}`"))
        }
        (Near::Wildcard(wildcard), _) => {
            finding.help(format!("a ServiceEntry has `{wildcard}`, which is another host: name that, or add an entry"))
        }
        (_, Some(instead)) => finding.help(format!("did you mean `{instead}`?")),
        (_, None) => finding.help("correct the host, or delete the DestinationRule"),
    };
    let place = resource.location(written.span);
    let fix = unknown.instead.and_then(|instead| context.rewrite(place, &instead, false));
    Some(match fix {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}

/// The host, if clients call a VirtualService of a gateway by it that sends elsewhere, and no service has it.
fn called_only(context: &Context<'_>, written: &str, namespace: &str) -> Option<UnknownHost> {
    let mesh = context.mesh;
    let name = fully_qualified(written, namespace, &mesh.config().cluster_domain);
    let called = context.known.rules_of_host(mesh, &name);
    let is_there = || mesh.registry().services_of_host(&name).next().is_some();
    if mesh.config().registry != Completeness::Auto || called.is_empty() || host::is_wildcard(&name) || is_there() {
        return None;
    }
    let mut callers = called.iter().filter_map(|index| mesh.virtual_services().get(*index as usize));
    let sends_elsewhere = callers.all(|service| {
        let to = |host: &str| fully_qualified(host, &service.name.namespace, &mesh.config().cluster_domain);
        let mut hosts = service.destinations().filter_map(|destination| destination.host.as_ref());
        !service.binds_to(&GatewayRef::Mesh) && hosts.all(|host| to(host) != name)
    });
    let is_refused = context.known.hosts(mesh).is_refused(&name);
    (sends_elsewhere && !is_refused).then_some(UnknownHost {
        host: name,
        severity: Severity::Warning,
        near: Near::Nothing,
        instead: None,
    })
}
