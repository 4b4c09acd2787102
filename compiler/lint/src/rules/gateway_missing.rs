use crate::{
    evidence::missing,
    rule::{Context, Example, Rule},
};
use malha_mesh::{
    GatewayRef, VirtualService,
    names::gateway_ref,
};
use malha_model::{Kind, Spanned, Spec};
use malha_syntax::{Edit, Finding, Fix, Group, RuleInfo};
use smol_str::SmolStr;
use std::fmt::Display;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H007",
        name: "gateway-missing",
        group: Group::Correctness,
        aliases: &["IST0101", "KIA1102"],
    },
    what: "A VirtualService, or one of its matches, names a Gateway that does not exist.",
    why: "Istio ignores the reference in silence: the VirtualService is bound to one gateway less, and a match that names \
          only missing gateways takes no request. Where the mesh is not declared `closed` the Gateway may live elsewhere: then \
          this is a warning, and silent for namespaces of which the files hold nothing.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [shop.example.com]
  gateways: [shopp]
  http:
    - directResponse: {status: 200}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - directResponse: {status: 200}
",
    ),
    facts: &["0.6", "A22"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for service in context.mesh.virtual_services() {
        let Spec::VirtualService(spec) = &service.resource.spec else { continue };
        named(context, service, &spec.gateways, "spec", findings);
        for (rule, http) in spec.http.iter().enumerate() {
            for (item, matching) in http.matches.iter().enumerate() {
                named(context, service, &matching.gateways, format_args!("spec.http[{rule}].match[{item}]"), findings);
            }
        }
        for (rule, tls) in spec.tls.iter().enumerate() {
            for (item, matching) in tls.matches.iter().enumerate() {
                named(context, service, &matching.gateways, format_args!("spec.tls[{rule}].match[{item}]"), findings);
            }
        }
        for (rule, tcp) in spec.tcp.iter().enumerate() {
            for (item, matching) in tcp.matches.iter().enumerate() {
                named(context, service, &matching.gateways, format_args!("spec.tcp[{rule}].match[{item}]"), findings);
            }
        }
    }
}

/// The missing ones among the gateways that `path` names.
fn named(
    context: &Context<'_>,
    service: &VirtualService,
    names: &[Spanned<SmolStr>],
    path: impl Display,
    findings: &mut Vec<Finding>,
) {
    for (index, name) in names.iter().enumerate() {
        if let Some(finding) = unbound(context, service, name) {
            findings.push(finding.field(format!("{path}.gateways[{index}]")));
        }
    }
}

fn unbound(context: &Context<'_>, service: &VirtualService, name: &Spanned<SmolStr>) -> Option<Finding> {
    let namespace = &service.name.namespace;
    let GatewayRef::Named(target) = gateway_ref(name, namespace) else { return None };
    if context.mesh.gateway(&target).is_some() {
        return None;
    }
    let gateways = context.known.gateways(context.mesh);
    let elsewhere = gateways.named(&target.name);
    let close = gateways.near(name, namespace);
    let severity = missing(context, Kind::Gateway, &target, elsewhere.is_some() || close.is_some())?;
    let location = service.resource.location(name.span);
    let message = format!("there is no Gateway `{target}` in these files, so this binds to nothing");
    let finding =
        Finding::new(RULE.info, location, message).severity(severity).resource(service.resource.resource_name());
    let instead = |text: &str| Fix {
        safe: false,
        title: format!("write `{text}`"),
        edits: vec![Edit { location, text: format!("\"{text}\"") }],
    };
    Some(match (elsewhere, close) {
        (Some(gateway), _) => {
            let (whole, place) = (gateway.to_string(), &gateway.namespace);
            let help = format!("Gateway `{}` lives in namespace `{place}`: write `{whole}`", target.name);
            finding.help(help).fix(instead(&whole))
        }
        (None, Some(close)) => finding.help(format!("did you mean `{close}`?")).fix(instead(close)),
        (None, None) => finding.help("name a Gateway as `namespace/name`, or `mesh` for all sidecars"),
    })
}
