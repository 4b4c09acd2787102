use crate::{
    proof::{Rewriting, Shape, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Fix, Group, Location, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P002", name: "rewrite-double-slash", group: Group::Suspicious, aliases: &[] },
    what: "A rewrite does not fit the prefix that it replaces: slashes meet, or segments are glued together.",
    why: "The prefix is replaced byte for byte, and what follows is kept: with prefix `/shop` and rewrite `/`, `/shop/a` \
          becomes `//a`; with `/shop/` and `/v2` it becomes `/v2a`. A match without `uri` counts as prefix `/`. The path is \
          not normalised again.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {prefix: /shop}
      rewrite: {uri: /}
      route:
        - destination: {host: shop.example.com}
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
        - uri: {exact: /shop}
        - uri: {prefix: /shop/}
      rewrite: {uri: /}
      route:
        - destination: {host: shop.example.com}
",
    ),
    facts: &["C.2", "C13", "C22"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for rewriting in context.rewritings().iter().filter(|rewriting| rewriting.other.is_none()) {
        let (prefix, shape, [before, after]) = &rewriting.misfit;
        let (what, help) = match shape {
            Shape::DoubleSlash => (
                "with two slashes",
                format!("match `exact: {prefix}` and `prefix: {prefix}/` instead of `prefix: {prefix}`"),
            ),
            Shape::Glued => ("with two segments glued together", "end the rewrite with `/`".to_owned()),
        };
        let message = format!("`{before}` becomes `{after}`, {what}: the prefix `{prefix}` is replaced, and what follows is kept");
        let Some((place, below)) = place(rewriting) else { continue };
        let mut finding = rewriting.written.finding(RULE.info, place.span, below, message).help(help);
        finding.fix = fix(context, rewriting, *shape, place);
        findings.push(proved(finding, rewriting.proof.as_ref()));
    }
}

/// Where the text that replaces prefixes is written, and its path below the rule.
pub(super) fn place(rewriting: &Rewriting<'_>) -> Option<(Location, &'static str)> {
    let route = rewriting.written.rule.route;
    let rewrite = route.rewrite.as_ref().and_then(|rewrite| rewrite.uri.as_ref());
    let redirect = route.redirect.as_ref().and_then(|redirect| redirect.prefix_rewrite.as_ref());
    let (text, below) = rewrite.map(|text| (text, "rewrite.uri")).or(redirect.map(|text| (text, "redirect.prefixRewrite")))?;
    Some((rewriting.written.location(text.span), below))
}

/// The rewrite with a slash at its end, where all that it replaces ends with one.
fn fix(context: &Context<'_>, rewriting: &Rewriting<'_>, shape: Shape, place: Location) -> Option<Fix> {
    if shape != Shape::Glued || !rewriting.is_all || rewriting.written.rule.delegate.is_some() {
        return None;
    }
    let route = rewriting.written.rule.route;
    let rewrite = route.rewrite.as_ref().and_then(|rewrite| rewrite.uri.as_ref());
    let redirect = route.redirect.as_ref().and_then(|redirect| redirect.prefix_rewrite.as_ref());
    let text = format!("{}/", rewrite.or(redirect)?.value);
    let edit = context.replacement(place, &text)?;
    Some(Fix { safe: false, title: format!("write `{text}`"), edits: vec![edit] })
}
