use crate::rule::{Context, Example, Rule};
use malha_model::Resource;
use malha_syntax::{Edit, Finding, Fix, Group, RuleInfo, Span};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "O020", name: "old-api-version", group: Group::Pedantic, aliases: &[] },
    what: "An object names an older version of Istio's API than `v1`.",
    why: "The versions have the same fields, and the cluster converts between them. New ones may come to `v1` alone, and \
          `v1alpha3` promises nothing.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - directResponse: {status: 200}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - directResponse: {status: 200}
",
    ),
    facts: &[],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources().iter().filter(|resource| resource.kind.is_istio()) {
        let Some(group) = resource.api_version.strip_suffix("/v1alpha3").or(resource.api_version.strip_suffix("/v1beta1"))
        else {
            continue;
        };
        let new = format!("{group}/v1");
        let (span, is_found) = match written(context, resource) {
            Some(span) => (span, true),
            None => (Span::empty(resource.span.start), false),
        };
        let place = resource.location(span);
        let message = format!("`{}` is an older version of the API: `{new}` has the same fields", resource.api_version);
        let mut finding = Finding::new(RULE.info, place, message)
            .help(format!("write `{new}`"))
            .resource(resource.resource_name())
            .field("apiVersion");
        if is_found {
            let edit = Edit { location: place, text: new.clone() };
            finding.fix = Some(Fix { safe: true, title: format!("write `{new}`"), edits: vec![edit] });
        }
        findings.push(finding);
    }
}

/// Where an object writes its version, quotes left out; none if it does not itself, or the text is not at hand.
fn written(context: &Context<'_>, resource: &Resource) -> Option<Span> {
    let text = context.sources?.get(resource.source)?.text.as_str();
    let own = text.get(resource.span.start as usize..resource.span.end as usize)?;
    let mut key = own.match_indices("apiVersion");
    let (at, key) = key.next().filter(|_| key.next().is_none())?;
    let after = own.get(at + key.len()..)?;
    let value = after.find(resource.api_version.as_str())?;
    let is_next = after.get(..value)?.chars().all(|character| matches!(character, '"' | '\'' | ':' | ' '));
    let start = resource.span.start as usize + at + key.len() + value;
    is_next.then(|| Span::new(start as u32, (start + resource.api_version.len()) as u32))
}
