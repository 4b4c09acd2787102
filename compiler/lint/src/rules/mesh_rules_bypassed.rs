use crate::rule::{Context, Example, Rule};
use hashbrown::HashMap;
use malha_mesh::{GatewayRef, VirtualService, host, names::fully_qualified};
use malha_model::istio::Destination;
use malha_syntax::{Finding, Group, Location, RuleInfo};
use smol_str::SmolStr;
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D007",
        name: "mesh-rules-bypassed-by-gateway",
        group: Group::Suspicious,
        aliases: &["IST0140"],
    },
    what: "A VirtualService of a gateway sends to a service itself, while another one for the mesh spreads the requests of that service over subsets.",
    why: "The gateway chooses the endpoint at once: rules for the mesh are executed by the sidecars of clients, and a gateway is no client of its own. So \
          requests from outside reach all versions, whatever the rules for the mesh say. Rules that are for single clients, by `sourceLabels` or `sourceNamespace`, do \
          not count.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  gateways: [infra/public]
  http:
    - route:
        - destination: {host: orders}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders, subset: v1}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  gateways: [infra/public]
  http:
    - route:
        - destination: {host: orders, subset: v1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders, subset: v1}
",
    ),
    facts: &["B1", "D17"],
    check: Some(check),
};

/// A rule for the mesh that spreads the requests of a service over its subsets.
struct Spread<'a> {
    rules: &'a Arc<VirtualService>,
    location: Location,
    subset: SmolStr,
}

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let domain = context.mesh.config().cluster_domain.as_str();
    let whole = |rules: &VirtualService, destination: &Destination| {
        destination.host.as_ref().map(|host| fully_qualified(host, &rules.name.namespace, domain))
    };
    let mut spread: HashMap<SmolStr, Spread<'_>> = HashMap::new();
    for rules in context.mesh.virtual_services().iter().filter(|rules| rules.binds_to(&GatewayRef::Mesh)) {
        for rule in rules.http_rules() {
            let is_for_some = |item: &malha_mesh::HttpMatch<'_>| {
                !item.request.source_labels.is_empty() || item.request.source_namespace.is_some()
            };
            let mut matches = rule.matches().peekable();
            if matches.peek().is_some() && matches.all(|item| is_for_some(&item)) {
                continue;
            }
            for route in &rule.route.route {
                let Some(destination) = &route.destination else { continue };
                let subset = destination.subset.as_ref().filter(|subset| !subset.is_empty());
                let (Some(subset), Some(host)) = (subset, whole(rules, destination)) else { continue };
                if rules.hosts.contains(&host) {
                    let subset = subset.value.clone();
                    spread.entry(host).or_insert(Spread { rules, location: rule.location, subset });
                }
            }
        }
    }
    for rules in context.mesh.virtual_services() {
        if rules.hosts.is_empty() || rules.binds_to(&GatewayRef::Mesh) {
            continue;
        }
        for rule in rules.http_rules().filter(|rule| rule.delegate.is_none()) {
            for (at, route) in rule.route.route.iter().enumerate() {
                let Some(destination) = &route.destination else { continue };
                if destination.subset.as_ref().is_some_and(|subset| !subset.is_empty()) {
                    continue;
                }
                let Some(host) = whole(rules, destination).filter(|host| !host::is_wildcard(host)) else { continue };
                let Some(other) = spread.get(&host) else { continue };
                findings.extend(bypassed(rules, destination, &host, other).map(|finding| {
                    finding.field(format!("spec.http[{}].route[{at}].destination", rule.index))
                }));
            }
        }
    }
}

fn bypassed(rules: &VirtualService, destination: &Destination, host: &str, other: &Spread<'_>) -> Option<Finding> {
    // Where the other is for the gateway too, somebody thought of it.
    let is_shared = rules.gateways.iter().any(|gateway| other.rules.binds_to(gateway));
    let place = destination.host.as_ref().filter(|_| !is_shared)?;
    let message = format!(
        "requests that a gateway sends to `{host}` do not come by VirtualService `{}`, which sends those of the mesh to subset `{}`: they \
         reach every version",
        other.rules.name, other.subset
    );
    Some(
        Finding::new(RULE.info, rules.resource.location(place.span), message)
            .help("name a subset here, or let both VirtualServices delegate to one")
            .related(other.location, "these rules are for sidecars")
            .resource(rules.resource.resource_name()),
    )
}
