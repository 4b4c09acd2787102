use crate::{
    nearest::nearest,
    place::named,
    rule::{Context, Example, Rule},
    used::{Use, uses},
};
use malha_syntax::{Edit, Finding, Fix, Group, RuleInfo};

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
    uses(context.mesh, |used| {
        if let Some(finding) = undefined(context, used) {
            findings.push(finding);
        }
    });
}

fn undefined(context: &Context<'_>, used: &Use<'_>) -> Option<Finding> {
    let subset = used.destination.subset.as_ref().filter(|subset| !subset.is_empty())?;
    let proxy = used.proxies.iter().find(|proxy| {
        let service = context.mesh.service(proxy, &used.host);
        service.is_some_and(|service| {
            let rule = context.mesh.destination_rule(proxy, service);
            rule.is_none_or(|rule| rule.subset(subset).is_none())
        })
    })?;
    let service = context.mesh.service(proxy, &used.host)?;
    let what = if used.mirror { "copies to it are dropped" } else { "requests sent to it get 503" };
    let location = used.resource.location(subset.span);
    let (host, subset) = (&used.host, &subset.value);
    let message = format!("subset `{subset}` of `{host}` is defined nowhere, so {what}");
    let finding =
        Finding::new(RULE.info, location, message).resource(used.resource.resource_name()).field(used.field(".subset"));
    let Some(rule) = context.mesh.destination_rule(proxy, service) else {
        return Some(finding.help(format!("add a DestinationRule for `{host}` that defines it")));
    };
    let names: Vec<&str> = rule.subset_names().map(smol_str::SmolStr::as_str).collect();
    let defined = if names.is_empty() { "no subsets".to_owned() } else { format!("subsets {}", names.join(", ")) };
    let finding = match rule.rules.first() {
        Some(resource) => finding.related(named(resource), format!("the DestinationRule in force defines {defined}")),
        None => finding,
    };
    Some(match nearest(subset, names.iter().copied()) {
        Some(close) => finding.help(format!("did you mean `{close}`?")).fix(Fix {
            safe: false,
            title: format!("write `{close}`"),
            edits: vec![Edit { location, text: close.to_owned() }],
        }),
        None => finding.help(format!("define it in DestinationRule `{}`", rule.name())),
    })
}
