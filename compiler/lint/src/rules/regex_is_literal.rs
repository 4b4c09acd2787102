use crate::{
    patterns::{Condition, Languages, Subject, expressions},
    rule::{Context, Example, Rule},
};
use malha_algebra::{language::Test, re2::Pattern};
use malha_syntax::{Edit, Finding, Fix, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P007", name: "regex-is-literal", group: Group::Performance, aliases: &[] },
    what: "A regular expression says what `exact` or `prefix` says.",
    why: "Comparing texts is faster than running an expression, tables are smaller, and a reader sees at once what is meant. \
          That both mean the same is proved, by comparing the languages.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {regex: \"/items/.*\"}
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
        - uri: {prefix: /items/}
      directResponse: {status: 200}
",
    ),
    facts: &["0.13"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut languages = Languages::of(context);
    expressions(context, |condition, text, pattern| {
        if condition.ignores_case() {
            return;
        }
        let Some(same) = same(condition, &pattern, &mut languages) else { return };
        let instead = format!("{}: {}", same.field, same.text);
        let but = if same.utf8 { ", but for values that are not UTF-8" } else { "" };
        let message = format!("the expression `{text}` says what `{instead}` says{but}");
        let Some(finding) = condition.finding(RULE.info, message) else { return };
        let mut finding = finding.help(format!("write `{instead}`"));
        finding.fix = fix(context, condition, &same);
        findings.push(finding);
    });
}

/// What says the same.
struct Same {
    field: &'static str,
    text: String,
    /// Only for values that are UTF-8.
    utf8: bool,
}

fn same(condition: &Condition<'_>, pattern: &Pattern, languages: &mut Languages) -> Option<Same> {
    let literal = pattern.literal_prefix();
    let own = Test::Regex(pattern.clone());
    let subject = condition.subject;
    let mut is_same = |test: Test, utf8: bool| languages.are_equal(subject, &own, &test, utf8);
    if !literal.is_empty() && is_same(Test::exact(literal.clone()), false) {
        return Some(Same { field: "exact", text: literal.to_string(), utf8: false });
    }
    // A prefix is what a rewrite replaces; of an expression it replaces the whole path (semantics C.2).
    let is_rewritten = condition.route.rewrite.is_some() || condition.route.redirect.is_some();
    if subject == Subject::Uri && is_rewritten {
        return None;
    }
    let prefix = if literal.is_empty() && subject == Subject::Uri { "/".into() } else { literal };
    if prefix.is_empty() {
        return None;
    }
    let utf8 = [false, true].into_iter().find(|utf8| is_same(Test::prefix(prefix.clone()), *utf8))?;
    Some(Same { field: "prefix", text: prefix.to_string(), utf8 })
}

fn fix(context: &Context<'_>, condition: &Condition<'_>, same: &Same) -> Option<Fix> {
    let key: Edit = context.replacement(condition.key()?, same.field)?;
    let value = context.replacement(condition.location()?, &same.text)?;
    let title = format!("write `{}: {}`", same.field, same.text);
    Some(Fix { safe: !same.utf8, title, edits: vec![key, value] })
}
