use crate::{
    proof::ServiceProof,
    rule::{Context, Example, Rule},
};
use malha_model::{Resource, Spec};
use malha_syntax::{Finding, Group, Location, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P006", name: "regex-matches-query", group: Group::Correctness, aliases: &[] },
    what: "The `uri` of a match asks for a query, which is no part of what it is compared with.",
    why: "Matches see the path alone, up to the question mark. A text or an expression that demands `?` is never met, so the \
          rule takes no request.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {regex: '/items\\?id=[0-9]+'}
      directResponse: {status: 200}
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
    - match:
        - uri: {exact: /items}
          queryParams: {id: {regex: \"[0-9]+\"}}
      directResponse: {status: 200}
",
    ),
    facts: &["B.3", "B12"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for proof in context.services() {
        for row in proof.rows.iter().filter(|row| row.asks_for_query) {
            let resource = row.delegate.map_or(&proof.service.resource, |delegate| &delegate.resource);
            let index = row.delegate.map_or(row.index, |delegate| delegate.index);
            let (place, field) = uri(resource, index, row.item).unwrap_or((row.location, String::new()));
            let message = "no request can meet this: a path is compared without its query, so it never holds a `?`";
            let finding = Finding::new(RULE.info, place, message)
                .help("match the path alone, and the parameters by `queryParams`")
                .field(format!("{}{field}", ServiceProof::field(row)))
                .resource(proof.resource(row));
            findings.push(finding);
        }
    }
}

/// Where an object writes the text of a `uri`, and its path below the match.
fn uri(resource: &Resource, rule: u32, item: Option<u32>) -> Option<(Location, String)> {
    let Spec::VirtualService(spec) = &resource.spec else { return None };
    let uri = spec.http.get(rule as usize)?.matches.get(item? as usize)?.uri.as_ref()?;
    Some((resource.location(uri.text()?.span), format!(".uri.{}", uri.field()?)))
}
