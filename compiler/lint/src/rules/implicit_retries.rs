use crate::{
    fix::NewField,
    rule::{Context, Example, Rule},
    written::{WrittenRule, written_rules},
};
use malha_mesh::{MeshConfig, retries_in_force};
use malha_syntax::{Finding, Fix, Group, RuleInfo, Span};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "T004", name: "implicit-retries", group: Group::Pedantic, aliases: &[] },
    what: "A rule says nothing of retries, so that those of the mesh hold: two, unless the MeshConfig says otherwise.",
    why: "A request may reach upstreams three times without a word of it in the file. Written down, a reader knows, and a \
          change of the default changes nothing.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  http:
    - route:
        - destination: {host: orders.example.com}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  http:
    - route:
        - destination: {host: orders.example.com}
      retries: {attempts: 2}
",
    ),
    facts: &["C47", "C49"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for written in written_rules(context.mesh) {
        findings.extend(implicit(context, &written, context.mesh.config()));
    }
}

fn implicit(context: &Context<'_>, written: &WrittenRule<'_>, config: &MeshConfig) -> Option<Finding> {
    let route = written.rule.route;
    if route.retries.is_some() || route.route.is_empty() {
        return None;
    }
    let retries = retries_in_force(route, config)?;
    let conditions: Vec<&str> = retries.conditions.iter().map(smol_str::SmolStr::as_str).collect();
    let message = format!(
        "requests of this rule are tried up to {} times, on {}, though it says nothing of retries",
        retries.attempts + 1,
        conditions.join(", ")
    );
    let whole = written.rule.location.span;
    let mut finding = written
        .finding(RULE.info, Span::empty(whole.start), "retries", message)
        .help(format!("write `retries: {{attempts: {}}}`, or 0 for none", retries.attempts));
    if written.rule.delegate.is_none() {
        // What it leaves open is taken from the same defaults as before.
        let field = NewField::number("attempts", retries.attempts).within("retries");
        let title = format!("write `retries: {{attempts: {}}}`", retries.attempts);
        let edit = context.first_field(written.rule.location, &field);
        finding.fix = edit.map(|edit| Fix { safe: true, title, edits: vec![edit] });
    }
    Some(finding)
}
