use crate::rule::{Context, Example, Rule};
use malha_model::{Resource, Spanned, Spec, istio::virtual_service::StringMatch};
use malha_syntax::{Finding, Group, RuleInfo};
use smol_str::SmolStr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H012", name: "host-with-port", group: Group::Suspicious, aliases: &[] },
    what: "A host is written as clients do not send it: a match of the authority with capital letters or with a default port, or a host of a VirtualService with \
           capital letters.",
    why: "A match of `authority` compares the Host header as it was sent, with its case and its port. Clients write names in small letters, and leave out :80 for http \
          and :443 for https. Hosts of VirtualServices are compared with those of Gateways and services letter by letter.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [\"*.example.com\"]
  gateways: [infra/public]
  http:
    - match:
        - authority: {exact: Shop.example.com}
      directResponse: {status: 200}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [\"*.example.com\"]
  gateways: [infra/public]
  http:
    - match:
        - authority: {exact: shop.example.com}
      directResponse: {status: 200}
",
    ),
    facts: &["0.8", "A34", "B.3"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        for (index, host) in spec.hosts.iter().enumerate() {
            findings.extend(host_of(context, resource, host, format!("spec.hosts[{index}]")));
        }
        for (rule, http) in spec.http.iter().enumerate() {
            for (item, matching) in http.matches.iter().enumerate() {
                let Some(authority) = &matching.authority else { continue };
                // A prefix or an expression may mean some clients alone.
                let StringMatch::Exact(text) = &authority.value else { continue };
                let is_bare = |other: &str| text.strip_prefix(other).is_some_and(|port| matches!(port, ":80" | ":443"));
                let both = http.matches.iter().filter_map(|other| other.authority.as_ref());
                if both.clone().any(|other| matches!(&other.value, StringMatch::Exact(other) if is_bare(other))) {
                    // Some clients send the port: whoever wrote both knows.
                    continue;
                }
                let field = format!("spec.http[{rule}].match[{item}].authority.exact");
                findings.extend(authority_of(context, resource, text, field));
            }
        }
    }
}

fn host_of(context: &Context<'_>, resource: &Resource, host: &Spanned<SmolStr>, field: String) -> Option<Finding> {
    let message = format!("`{}` has capital letters, and hosts are compared letter by letter: names of services have none", host.value);
    let lower = host.to_ascii_lowercase();
    (lower != host.value.as_str()).then(|| told(context, resource, host, message, &lower, field))
}

fn authority_of(context: &Context<'_>, resource: &Resource, text: &Spanned<SmolStr>, field: String) -> Option<Finding> {
    let lower = text.to_ascii_lowercase();
    let (name, port) = lower.rsplit_once(':').filter(|(_, port)| is_port(port)).unwrap_or((&lower, ""));
    if matches!(port, "80" | "443") {
        let message = format!("clients leave out `:{port}`, so hardly one sends `{}` as its Host", text.value);
        return Some(told(context, resource, text, message, name, field));
    }
    let message = format!("the Host header is compared as it is sent, and hardly a client sends `{}` with capital letters", text.value);
    (lower != text.value.as_str()).then(|| told(context, resource, text, message, &lower, field))
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn told(
    context: &Context<'_>,
    resource: &Resource,
    text: &Spanned<SmolStr>,
    message: String,
    instead: &str,
    field: String,
) -> Finding {
    let place = resource.location(text.span);
    let finding = Finding::new(RULE.info, place, message)
        .help(format!("write `{instead}`"))
        .resource(resource.resource_name())
        .field(field);
    match context.rewrite(place, instead, false) {
        Some(fix) => finding.fix(fix),
        None => finding,
    }
}
