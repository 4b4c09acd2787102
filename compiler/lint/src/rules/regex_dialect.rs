use crate::{
    patterns::{Subject, conditions},
    rule::{Context, Example, Rule},
};
use malha_model::istio::virtual_service::StringMatch;
use malha_syntax::{Finding, Fix, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P005", name: "regex-dialect", group: Group::Suspicious, aliases: &[] },
    what: "A regular expression is written between slashes, with flags behind them, as in JavaScript or Perl.",
    why: "RE2 takes slashes and flags for text to match: a value that has them, which none has. Other syntax that RE2 lacks \
          is refused by Istio (K013).",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - headers: {user-agent: {regex: \"/firefox/i\"}}
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
        - headers: {user-agent: {regex: \"(?i).*firefox.*\"}}
      directResponse: {status: 200}
",
    ),
    facts: &["0.13"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    conditions(context, |condition| {
        let StringMatch::Regex(text) = condition.test else { return };
        let text = text.value.as_str();
        // A path has slashes of its own.
        let is_path = matches!(condition.subject, Subject::Uri | Subject::Header(":path") | Subject::WithoutHeader(":path"));
        let Some((inner, flags)) = literal(text).filter(|_| !is_path) else { return };
        let meant = meant(inner, flags);
        let message = format!("`{text}` asks for the slashes and `{flags}` in the value: RE2 has no such literals");
        let Some(finding) = condition.finding(RULE.info, message) else { return };
        let mut finding = finding.help(format!("write `{meant}`"));
        let edit = condition.location().and_then(|place| context.replacement(place, &meant));
        finding.fix = edit.map(|edit| Fix { safe: false, title: format!("write `{meant}`"), edits: vec![edit] });
        findings.push(finding);
    });
}

/// What stands between the slashes, and the flags behind them, of which there is one at least.
fn literal(text: &str) -> Option<(&str, &str)> {
    let (inner, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
    let is_flag = |flag: char| matches!(flag, 'g' | 'i' | 'm' | 's' | 'u' | 'x' | 'y');
    (!inner.is_empty() && !flags.is_empty() && flags.len() < 4 && flags.chars().all(is_flag)).then_some((inner, flags))
}

/// The same in RE2's words, for the whole text.
fn meant(inner: &str, flags: &str) -> String {
    let inner = inner.replace("\\/", "/");
    let flags: String = flags.chars().filter(|flag| matches!(flag, 'i' | 's')).collect();
    let flags = if flags.is_empty() { flags } else { format!("(?{flags})") };
    let before = if inner.starts_with('^') || inner.starts_with(".*") { "" } else { ".*" };
    let after = if inner.ends_with('$') || inner.ends_with(".*") { "" } else { ".*" };
    let bare = inner.trim_start_matches('^').trim_end_matches('$');
    format!("{flags}{before}{bare}{after}")
}
