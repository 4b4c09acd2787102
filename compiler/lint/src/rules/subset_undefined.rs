use crate::{
    dangling::{Dangling, Written, dangling},
    destinations::{Sent, destinations},
    place::named,
    rule::{Context, Example, Rule},
};
use hashbrown::HashSet;
use malha_mesh::{
    ProxySpec, ResolvedDestination,
    names::fully_qualified,
    program::{Destination, Role},
};
use malha_model::Spec;
use malha_syntax::{Finding, Group, Location, RuleInfo, nearest};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D001",
        name: "subset-undefined",
        group: Group::Correctness,
        aliases: &["IST0101", "KIA1107"],
    },
    what: "A route or a mirror sends to a subset that no DestinationRule in force for its service defines.",
    why: "Istio accepts both objects. Requests get 503 with an empty body and the flag NC, because there is no such \
          cluster; copies to such a subset are dropped in silence. Only one DestinationRule is in force for a service: of \
          the client's namespace, else the service's, else the root namespace, and there the most specific host.",
    bad: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  ports:
    - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders, subset: v2}
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  ports:
    - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders, subset: v2}
",
    ),
    facts: &["B26", "D1", "D3", "D18"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut told: HashSet<Location> = HashSet::new();
    let mut tell = |dangling: &Dangling<'_>| {
        if let Some(finding) = undefined(context, dangling).filter(|finding| told.insert(finding.location)) {
            findings.push(finding);
        }
    };
    dangling(context.mesh, context.program, &mut tell);
    of_own_namespace(context, &mut tell);
}

/// Destinations of rules for the mesh, as a sidecar of the VirtualService's own namespace has them: the program holds
/// the default one alone, which may see neither these rules nor their service.
fn of_own_namespace(context: &Context<'_>, tell: &mut impl FnMut(&Dangling<'_>)) {
    let mesh = context.mesh;
    for rules in mesh.virtual_services() {
        let namespace = &rules.name.namespace;
        let client = ProxySpec { namespace: namespace.clone(), ..ProxySpec::default_sidecar() };
        if !mesh.has_rules(&client, rules) {
            continue;
        }
        for found in destinations(&rules.resource) {
            let Some(subset) = &found.value.subset else { continue };
            // Without a number the listener's counts, if there are several: that has no port then.
            let ResolvedDestination { host, port, .. } = mesh.destination(&client, namespace, found.value, 0);
            let Some(service) = mesh.service(&client, &host) else { continue };
            let destination = Destination { host, port, subset: Some(subset.value.clone()), ..Destination::default() };
            tell(&Dangling {
                proxy: &client,
                destination: &destination,
                service,
                mirror: found.sent == Sent::Copies,
                written: Written { resource: &rules.resource, destination: found.value, field: found.field() },
            });
        }
    }
}

fn undefined(context: &Context<'_>, dangling: &Dangling<'_>) -> Option<Finding> {
    let Dangling { proxy, destination, service, mirror, written } = dangling;
    let subset = written.destination.subset.as_ref().filter(|subset| !subset.is_empty())?;
    service.port(destination.port)?;
    let rule = context.mesh.destination_rule(proxy, service);
    if rule.is_some_and(|rule| rule.subset(subset).is_some()) || refused_rule(context, &destination.host) {
        return None;
    }
    let what = if *mirror { "copies to it are dropped" } else { "requests sent to it get 503" };
    let who = match proxy.role {
        Role::Gateway => format!("gateway `{}/{}`", proxy.namespace, proxy.name),
        Role::Sidecar => format!("clients in namespace `{}`", proxy.namespace),
    };
    let location = written.location(subset.span);
    let (host, subset) = (&destination.host, &subset.value);
    let message =
        format!("no DestinationRule in force for {who} defines subset `{subset}` of `{host}`, so {what}");
    let finding = Finding::new(RULE.info, location, message)
        .resource(written.resource.resource_name())
        .field(format!("{}.subset", written.field));
    let Some(rule) = rule else {
        return Some(finding.help(format!("add a DestinationRule for `{host}` that defines it, where they see it")));
    };
    let names: Vec<&str> = rule.subset_names().map(smol_str::SmolStr::as_str).collect();
    let defined = if names.is_empty() { "no subsets".to_owned() } else { format!("subsets {}", names.join(", ")) };
    let finding = match rule.rules.first() {
        Some(resource) => finding.related(named(resource), format!("the DestinationRule in force defines {defined}")),
        None => finding,
    };
    Some(match nearest(subset, names.iter().copied()) {
        Some(close) => finding.help(format!("did you mean `{close}`?")),
        None => finding.help(format!("define it in DestinationRule `{}`", rule.name())),
    })
}

/// Whether a DestinationRule for the host is there but refused: then its subsets are not missing, it is broken, which is
/// said already.
fn refused_rule(context: &Context<'_>, host: &str) -> bool {
    let domain = &context.mesh.config().cluster_domain;
    context.mesh.refused().iter().any(|resource| match &resource.spec {
        Spec::DestinationRule(rule) => {
            rule.host.as_ref().is_some_and(|written| fully_qualified(written, &resource.namespace, domain) == host)
        }
        _ => false,
    })
}
