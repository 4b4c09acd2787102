use crate::{
    nearest::nearest,
    rule::{Context, Example, Rule},
};
use malha_mesh::{
    GatewayRef, VirtualService,
    names::{MESH_GATEWAY, gateway_ref},
};
use malha_model::{Spanned, Spec};
use malha_syntax::{Edit, Finding, Fix, Group, RuleInfo};
use smol_str::SmolStr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H007",
        name: "gateway-missing",
        group: Group::Correctness,
        aliases: &["IST0101", "KIA1102"],
    },
    what: "A VirtualService, or one of its matches, names a Gateway that does not exist.",
    why: "Istio ignores the reference in silence: the VirtualService is bound to one gateway less, and a match that names \
          only missing gateways takes no request.",
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
        for (index, name) in spec.gateways.iter().enumerate() {
            missing(context, service, name, || format!("spec.gateways[{index}]"), findings);
        }
        for (rule, http) in spec.http.iter().enumerate() {
            for (item, matching) in http.matches.iter().enumerate() {
                for (index, name) in matching.gateways.iter().enumerate() {
                    let field = || format!("spec.http[{rule}].match[{item}].gateways[{index}]");
                    missing(context, service, name, field, findings);
                }
            }
        }
        for (rule, tls) in spec.tls.iter().enumerate() {
            for (item, matching) in tls.matches.iter().enumerate() {
                for (index, name) in matching.gateways.iter().enumerate() {
                    let field = || format!("spec.tls[{rule}].match[{item}].gateways[{index}]");
                    missing(context, service, name, field, findings);
                }
            }
        }
        for (rule, tcp) in spec.tcp.iter().enumerate() {
            for (item, matching) in tcp.matches.iter().enumerate() {
                for (index, name) in matching.gateways.iter().enumerate() {
                    let field = || format!("spec.tcp[{rule}].match[{item}].gateways[{index}]");
                    missing(context, service, name, field, findings);
                }
            }
        }
    }
}

fn missing(
    context: &Context<'_>,
    service: &VirtualService,
    name: &Spanned<SmolStr>,
    field: impl Fn() -> String,
    findings: &mut Vec<Finding>,
) {
    let namespace = &service.name.namespace;
    let GatewayRef::Named(target) = gateway_ref(name, namespace) else { return };
    if context.mesh.gateway(&target).is_some() {
        return;
    }
    let location = service.resource.location(name.span);
    let message = format!("there is no Gateway `{target}`, so this binds to nothing");
    let mut finding =
        Finding::new(RULE.info, location, message).resource(service.resource.resource_name()).field(field());
    let written = |gateway: &malha_mesh::Gateway| {
        if gateway.name.namespace == *namespace { gateway.name.name.to_string() } else { gateway.name.to_string() }
    };
    let elsewhere = context.mesh.gateways().iter().find(|gateway| gateway.name.name == target.name);
    if let Some(gateway) = elsewhere {
        let whole = gateway.name.to_string();
        finding = finding.help(format!("Gateway `{}` lives in namespace `{}`: write `{whole}`", target.name, gateway.name.namespace)).fix(Fix {
            safe: false,
            title: format!("write `{whole}`"),
            edits: vec![Edit { location, text: whole }],
        });
    } else {
        let known: Vec<String> =
            context.mesh.gateways().iter().map(|gateway| written(gateway)).chain([MESH_GATEWAY.to_owned()]).collect();
        finding = match nearest(name, known.iter().map(String::as_str)) {
            Some(close) => finding.help(format!("did you mean `{close}`?")).fix(Fix {
                safe: false,
                title: format!("write `{close}`"),
                edits: vec![Edit { location, text: close.to_owned() }],
            }),
            None => finding.help("name a Gateway as `namespace/name`, or `mesh` for all sidecars"),
        };
    }
    findings.push(finding);
}
