use crate::{
    clients::{Client, Clients},
    destinations::{Destination, destinations},
    place::named,
    rule::{Context, Example, Rule},
};
use malha_mesh::{Resolution, Service, VirtualService, Visibility, names::fully_qualified};
use malha_syntax::{Finding, Group, RuleInfo};
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D016",
        name: "destination-host-hidden",
        group: Group::Correctness,
        aliases: &["IST0101"],
    },
    what: "A route sends to a service whose `exportTo` hides it from every proxy that executes the route.",
    why: "For a proxy that does not see a service there is no such cluster: requests get 503 with the flag NC. What counts is the namespace of the proxy, for a gateway \
          that of its workload, not that of the VirtualService. Of a gateway it is told only where the files hold its workload, or the configuration names it; \
          of rules for the mesh only where no client that sees the rules sees the service.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
  namespace: finance
spec:
  exportTo: [\".\"]
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: credit
  namespace: shop
spec:
  exportTo: [\".\"]
  hosts: [credit.shop.example.com]
  http:
    - route:
        - destination: {host: credit.example.com}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
  namespace: finance
spec:
  exportTo: [\".\", shop]
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: credit
  namespace: shop
spec:
  exportTo: [\".\"]
  hosts: [credit.shop.example.com]
  http:
    - route:
        - destination: {host: credit.example.com}
",
    ),
    facts: &["0.7", "B26", "B28"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let is_hidden = |service: &Arc<Service>| service.visibility != Visibility::Public;
    if !context.mesh.registry().services().iter().any(is_hidden) {
        return;
    }
    let clients = Clients::of(context.mesh);
    // A delegate is executed by proxies of its roots, which may be anywhere.
    for rules in context.mesh.virtual_services().iter().filter(|rules| !rules.hosts.is_empty()) {
        let executing = clients.executing(rules);
        for destination in destinations(&rules.resource) {
            findings.extend(hidden(context, rules, &executing, &destination));
        }
    }
}

fn hidden(
    context: &Context<'_>,
    rules: &VirtualService,
    clients: &[Client<'_>],
    destination: &Destination<'_>,
) -> Option<Finding> {
    let mesh = context.mesh;
    let written = destination.value.host.as_ref()?;
    let host = fully_qualified(written, &rules.name.namespace, &mesh.config().cluster_domain);
    let services: Vec<&Arc<Service>> = mesh.registry().services_of_host(&host).collect();
    let service = *services.first()?;
    if services.iter().any(|service| matches!(service.resolution, Resolution::Alias(_))) {
        return None;
    }
    let client = *clients.first()?;
    let sees = |namespace: &str| mesh.registry().view(namespace).get_reachable(&host).is_some();
    // Rules for the mesh are executed by whoever sees them.
    let is_in_mesh = clients.iter().any(|client| matches!(client, Client::Sidecar(_)));
    let others_see = || match &rules.visibility {
        Visibility::Public => services.iter().any(|service| service.visibility != Visibility::Nobody),
        Visibility::Namespaces(names) => names.iter().any(|name| sees(name)),
        Visibility::Nobody => true,
    };
    if clients.iter().any(|client| sees(client.namespace())) || (is_in_mesh && others_see()) {
        return None;
    }
    let who = match client {
        Client::Gateway(proxy) => format!("gateway `{}/{}`", proxy.namespace, proxy.name),
        Client::Sidecar(namespace) => format!("clients in namespace `{namespace}`"),
    };
    // Where a gateway runs that nothing in the files is, nobody knows.
    if clients.iter().any(|client| matches!(client, Client::Gateway(proxy) if is_made_up(context, proxy))) {
        return None;
    }
    let message =
        format!("`{host}` is not exported to {who}, so {}", destination.sent.fate());
    Some(
        Finding::new(RULE.info, rules.resource.location(written.span), message)
            .help(format!("add `{}` to the `exportTo` of the service", client.namespace()))
            .related(named(&service.resource), "the service")
            .resource(rules.resource.resource_name())
            .field(format!("{}.host", destination.field())),
    )
}

/// Whether nothing in the files or the configuration is this gateway proxy, so that its namespace is a guess.
fn is_made_up(context: &Context<'_>, proxy: &malha_mesh::ProxySpec) -> bool {
    let mesh = context.mesh;
    let is_configured = mesh.config().gateways.iter().any(|gateway| gateway.namespace == proxy.namespace && gateway.labels == proxy.labels);
    let mut workloads = mesh.registry().workloads_with(&proxy.namespace, &proxy.labels);
    !is_configured && workloads.next().is_none()
}
