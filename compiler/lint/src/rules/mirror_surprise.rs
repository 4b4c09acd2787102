use crate::rule::{Context, Example, Rule};
use malha_mesh::names::fully_qualified;
use malha_model::{
    Resource, Spec,
    istio::{
        Destination,
        virtual_service::{HttpMatchRequest, HttpRoute, StringMatch},
    },
};
use malha_syntax::{Finding, Group, RuleInfo, Span};
use smol_str::SmolStr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "D006", name: "mirror-surprise", group: Group::Pedantic, aliases: &[] },
    what: "A mirror that gets more than one may think: it is also a destination of the route, or it gets a copy of every request, those that write included.",
    why: "Copies are sent as the requests are, bodies and all, and do what requests do: an order is placed twice. Without `mirrorPercentage` every request is \
          copied. A destination that is its own mirror gets each of its requests two times.",
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
      mirror: {host: orders-next}
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
    - match:
        - method: {exact: GET}
      route:
        - destination: {host: orders}
      mirror: {host: orders-next}
    - route:
        - destination: {host: orders}
",
    ),
    facts: &["C65"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let domain = context.mesh.config().cluster_domain.as_str();
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        for (rule, http) in spec.http.iter().enumerate() {
            for (below, destination, span, is_limited) in mirrors(http) {
                let field = format!("spec.http[{rule}].{below}");
                findings.extend(surprise(resource, domain, http, destination, is_limited).map(|(message, help)| {
                    Finding::new(RULE.info, resource.location(span), message)
                        .help(help)
                        .resource(resource.resource_name())
                        .field(field)
                }));
            }
        }
    }
}

/// The mirrors of a rule: path, destination, place, and whether a percentage is given.
fn mirrors(http: &HttpRoute) -> impl Iterator<Item = (String, &Destination, Span, bool)> {
    let is_limited = http.mirror_percentage.is_some()
        || http.mirror_percent.is_some()
        || http.mirror_percent_snake_case.is_some();
    let one = http.mirror.iter().map(move |mirror| ("mirror".to_owned(), &mirror.value, mirror.span, is_limited));
    let several = http.mirrors.iter().enumerate().filter_map(|(at, mirror)| {
        let destination = mirror.destination.as_ref()?;
        Some((format!("mirrors[{at}]"), &destination.value, destination.span, mirror.percentage.is_some()))
    });
    one.chain(several)
}

fn surprise(
    resource: &Resource,
    domain: &str,
    http: &HttpRoute,
    mirror: &Destination,
    is_limited: bool,
) -> Option<(String, &'static str)> {
    let target = |destination: &Destination| -> Option<(SmolStr, SmolStr, Option<u32>)> {
        let host = fully_qualified(destination.host.as_ref()?, &resource.namespace, domain);
        let subset = destination.subset.as_ref().map(|subset| subset.value.clone()).unwrap_or_default();
        let port = destination.port.as_ref().and_then(|port| port.number.as_ref()).map(|number| number.value);
        Some((host, subset, port))
    };
    let copied = target(mirror)?;
    let mut routes = http.route.iter().filter_map(|route| target(route.destination.as_ref()?));
    if routes.any(|route| route == copied) {
        let message = format!("`{}` is a destination of this route and its mirror, so it gets requests two times", copied.0);
        return Some((message, "mirror to another service or subset"));
    }
    if is_limited || !http.matches.is_empty() && http.matches.iter().all(|item| only_reads(item)) {
        return None;
    }
    let message = format!("every request is copied to `{}`, those that write included: what they do is done twice", copied.0);
    Some((message, "set `mirrorPercentage`, or match the methods GET and HEAD alone"))
}

/// Whether a match takes requests alone that write nothing.
fn only_reads(item: &HttpMatchRequest) -> bool {
    match item.method.as_ref().map(|method| &method.value) {
        Some(StringMatch::Exact(method)) => matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS"),
        _ => false,
    }
}
