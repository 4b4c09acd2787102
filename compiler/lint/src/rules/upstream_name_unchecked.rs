use crate::{
    policies::policies,
    rule::{Context, Example, Rule},
};
use malha_mesh::names::fully_qualified;
use malha_model::{Spec, istio::destination_rule::ClientTlsMode};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "C009",
        name: "upstream-name-unchecked",
        group: Group::Suspicious,
        aliases: &["IST0128", "IST0129"],
    },
    what: "A DestinationRule sets `sni` for TLS to a host, and nothing says which names its certificate must have.",
    why: "Without `sni` Istio lets Envoy check the certificate against the host of the request. With it, and without \
          `subjectAltNames` here or in the ServiceEntry, only the chain of authorities is checked: whoever has a certificate \
          of any public authority, for any name, is taken for the host.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: bank
spec:
  host: bank.example.com
  trafficPolicy:
    tls: {mode: SIMPLE, sni: bank.example.com}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: bank
spec:
  host: bank.example.com
  trafficPolicy:
    tls: {mode: SIMPLE, sni: bank.example.com, subjectAltNames: [bank.example.com]}
",
    ),
    facts: &["D52", "D53", "D54"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::DestinationRule(spec) = &resource.spec else { continue };
        let named_by_entry = || {
            let domain = &context.mesh.config().cluster_domain;
            let host = spec.host.as_ref().map(|host| fully_qualified(host, &resource.namespace, domain));
            let mut services = host.iter().flat_map(|host| context.mesh.registry().services_of_host(host));
            services.any(|service| !service.subject_alt_names().is_empty())
        };
        for policy in policies(spec) {
            let Some(tls) = policy.tls else { continue };
            let mode = tls.mode.as_ref().map(|mode| mode.value);
            let Some(sni) = tls.sni.as_ref().filter(|sni| !sni.is_empty()) else { continue };
            let is_tls = matches!(mode, Some(ClientTlsMode::Simple | ClientTlsMode::Mutual));
            let is_open = tls.insecure_skip_verify.as_ref().is_some_and(|skip| skip.value);
            if !is_tls || is_open || !tls.subject_alt_names.is_empty() || named_by_entry() {
                continue;
            }
            let message = "with `sni` and without `subjectAltNames` any certificate of a known authority is taken, whatever its name";
            let finding = Finding::new(RULE.info, resource.location(sni.span), message)
                .help(format!("add `subjectAltNames: [{}]`, or leave `sni` out if clients ask for that host", sni.value))
                .resource(resource.resource_name())
                .field(format!("{}.tls.sni", policy.path));
            findings.push(finding);
        }
    }
}
