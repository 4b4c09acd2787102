use crate::rule::{Context, Example, Rule};
use hashbrown::HashMap;
use malha_mesh::names::fully_qualified;
use malha_model::{Resource, Spanned, Spec, istio::Destination};
use malha_syntax::{Finding, Group, RuleInfo, Span};
use serde_json::Value;
use smol_str::SmolStr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "D015", name: "destination-repeated", group: Group::Suspicious, aliases: &["KIA1105"] },
    what: "One route names the same host, subset and port twice.",
    why: "Both shares go to the same place, so the split is none; mostly one of them was copied and its subset not changed. Destinations that differ in their port, or in \
          what they do with headers, are not the same.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders}
          weight: 90
        - destination: {host: orders}
          weight: 10
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders}
          weight: 90
        - destination: {host: orders-next}
          weight: 10
",
    ),
    facts: &["B24", "C7"],
    check: Some(check),
};

/// What tells two destinations apart: host, subset, port, and what is done with headers.
type Target = (SmolStr, SmolStr, Option<u32>, String);

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let domain = context.mesh.config().cluster_domain.as_str();
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        let target = |destination: &Option<Spanned<Destination>>, headers: String| {
            let destination = destination.as_ref()?;
            let host = fully_qualified(destination.host.as_ref()?, &resource.namespace, domain);
            let subset = destination.subset.as_ref().map(|subset| subset.value.clone()).unwrap_or_default();
            let port = destination.port.as_ref().and_then(|port| port.number.as_ref()).map(|number| number.value);
            Some(((host, subset, port, headers), destination.span))
        };
        for (rule, http) in spec.http.iter().enumerate().filter(|(_, http)| http.route.len() > 1) {
            let routes = http.route.iter().map(|route| {
                let headers = route.headers.as_ref().and_then(|headers| serde_json::to_value(headers).ok());
                target(&route.destination, headers.as_ref().map(Value::to_string).unwrap_or_default())
            });
            repeated(resource, "http", rule, routes, findings);
        }
        let tls = spec.tls.iter().enumerate().map(|(rule, tls)| ("tls", rule, &tls.route));
        let tcp = spec.tcp.iter().enumerate().map(|(rule, tcp)| ("tcp", rule, &tcp.route));
        for (section, rule, routes) in tls.chain(tcp) {
            let routes = routes.iter().map(|route| target(&route.destination, String::new()));
            repeated(resource, section, rule, routes, findings);
        }
    }
}

fn repeated(
    resource: &Resource,
    section: &str,
    rule: usize,
    routes: impl Iterator<Item = Option<(Target, Span)>>,
    findings: &mut Vec<Finding>,
) {
    let mut known: HashMap<Target, Span> = HashMap::new();
    for (at, route) in routes.enumerate() {
        let Some((target, span)) = route else { continue };
        let Some(first) = known.get(&target).copied() else {
            known.insert(target, span);
            continue;
        };
        let (host, subset, ..) = target;
        let what = if subset.is_empty() { format!("`{host}`") } else { format!("subset `{subset}` of `{host}`") };
        findings.push(
            Finding::new(RULE.info, resource.location(span), format!("{what} is named twice in this route, so both shares go there"))
                .help("name what the second share is for, or add both weights up in one")
                .related(resource.location(first), "the first one is here")
                .resource(resource.resource_name())
                .field(format!("spec.{section}[{rule}].route[{at}].destination")),
        );
    }
}
