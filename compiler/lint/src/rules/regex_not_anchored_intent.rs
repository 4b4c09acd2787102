use crate::{
    patterns::{Languages, expressions},
    rule::{Context, Example, Rule},
};
use malha_algebra::{language::Test, re2::Pattern};
use malha_syntax::{Finding, Fix, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P004", name: "regex-not-anchored-intent", group: Group::Pedantic, aliases: &[] },
    what: "A regular expression begins with `^` or ends with `$`, which changes nothing.",
    why: "Envoy asks whether the whole text matches, never a part of it. Anchors suggest that without them a part would do: \
          the next expression that somebody writes without them then matches less than is meant.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {regex: \"^/items/[0-9]+$\"}
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
        - uri: {regex: \"/items/[0-9]+\"}
      directResponse: {status: 200}
",
    ),
    facts: &["0.13"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut languages = Languages::of(context);
    expressions(context, |condition, text, pattern| {
        let Some(bare) = without_anchors(text) else { return };
        let Ok(other) = Pattern::parse(bare) else { return };
        if !languages.are_equal(condition.subject, &Test::Regex(pattern), &Test::Regex(other), false) {
            return;
        }
        let message = format!("the anchors of `{text}` change nothing: the whole text must match anyway");
        let Some(finding) = condition.finding(RULE.info, message) else { return };
        let mut finding = finding.help(format!("write `{bare}`; for a part of the text put `.*` at its ends"));
        let edit = condition.location().and_then(|place| context.replacement(place, bare));
        finding.fix = edit.map(|edit| Fix { safe: true, title: "leave the anchors out".to_owned(), edits: vec![edit] });
        findings.push(finding);
    });
}

/// The expression without a `^` in front and a `$` behind; none if it has neither.
fn without_anchors(text: &str) -> Option<&str> {
    let bare = text.strip_prefix('^').unwrap_or(text);
    let bare = match bare.strip_suffix('$') {
        Some(rest) if (rest.len() - rest.trim_end_matches('\\').len()).is_multiple_of(2) => rest,
        _ => bare,
    };
    (bare.len() < text.len() && !bare.is_empty()).then_some(bare)
}
