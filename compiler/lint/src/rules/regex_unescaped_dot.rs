use crate::{
    patterns::{Subject, expressions},
    rule::{Context, Example, Rule},
};
use malha_algebra::re2::Pattern;
use malha_syntax::{Finding, Fix, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P008", name: "regex-unescaped-dot", group: Group::Pedantic, aliases: &[] },
    what: "A dot between letters of a regular expression, as in a host or before the extension of a file, is not escaped.",
    why: "It stands for any character: `www.example.com` takes `wwwxexample.com` too. Where an expression guards who may come \
          in, that is a hole.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - headers: {origin: {regex: \"https://(www|shop).example.com\"}}
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
        - headers: {origin: {regex: 'https://(www|shop)\\.example\\.com'}}
      directResponse: {status: 200}
",
    ),
    facts: &["0.13"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    expressions(context, |condition, text, _| {
        if matches!(condition.subject, Subject::Method | Subject::Scheme) {
            return;
        }
        let Some(escaped) = escaped(text).filter(|escaped| Pattern::parse(escaped).is_ok()) else { return };
        let message = format!("a dot of `{text}` stands between letters and takes any character there");
        let Some(finding) = condition.finding(RULE.info, message) else { return };
        let mut finding = finding.help(format!("for a dot itself write `{escaped}`"));
        let edit = condition.location().and_then(|place| context.replacement(place, &escaped));
        finding.fix = edit.map(|edit| Fix { safe: false, title: format!("write `{escaped}`"), edits: vec![edit] });
        findings.push(finding);
    });
}

/// The expression with its lone dots before letters escaped; none if it has no such dot.
///
/// Lone: not in a class, not escaped, not repeated. Before it stands a letter, a digit, or the end of a group, class or
/// repetition.
fn escaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 4);
    let (mut in_class, mut is_escape, mut found) = (false, false, false);
    let mut characters = text.chars().peekable();
    let mut before = None;
    while let Some(character) = characters.next() {
        let after = characters.peek().copied();
        let is_edge = |it: Option<char>| it.is_some_and(|it| it.is_ascii_alphanumeric());
        let ends_part = |it: Option<char>| is_edge(it) || matches!(it, Some(')' | ']' | '*' | '+' | '?' | '}'));
        if is_escape {
            is_escape = false;
        } else {
            match character {
                '\\' => is_escape = true,
                '[' => in_class = true,
                ']' => in_class = false,
                '.' if !in_class && ends_part(before) && is_edge(after) => {
                    out.push('\\');
                    found = true;
                }
                _ => {}
            }
        }
        out.push(character);
        before = Some(character);
    }
    found.then_some(out)
}
