use crate::rule::{Context, Example, Rule};
use malha_mesh::{GatewayRef, names::gateway_ref};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H008",
        name: "gateway-name-ambiguous",
        group: Group::Suspicious,
        aliases: &["IST0133", "KIA1108"],
    },
    what: "A Gateway is named with dots (`name.namespace`), an old form that reads like a host.",
    why: "Istio still takes `gw.infra` for Gateway `gw` in namespace `infra`, but tools and people take it for a host, or \
          for a Gateway of that name; `infra/gw` says the same and cannot be mistaken. A name alone is fine: it is a \
          Gateway of the VirtualService's own namespace.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: public
  namespace: infra
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
  gateways: [public.infra]
  http:
    - directResponse: {status: 200}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: public
  namespace: infra
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
  gateways: [infra/public]
  http:
    - directResponse: {status: 200}
",
    ),
    facts: &["0.6"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for service in context.mesh.virtual_services() {
        let Spec::VirtualService(spec) = &service.resource.spec else { continue };
        for (index, name) in spec.gateways.iter().enumerate() {
            let GatewayRef::Named(target) = gateway_ref(name, &service.name.namespace) else { continue };
            if name.contains('/') || !name.contains('.') {
                continue;
            }
            let location = service.resource.location(name.span);
            let whole = target.to_string();
            let message = format!("`{}` means Gateway `{whole}`, but reads like a host", name.value);
            let finding = Finding::new(RULE.info, location, message)
                .help(format!("write `{whole}`"))
                .resource(service.resource.resource_name())
                .field(format!("spec.gateways[{index}]"));
            findings.push(match context.rewrite(location, &whole, true) {
                Some(fix) => finding.fix(fix),
                None => finding,
            });
        }
    }
}
