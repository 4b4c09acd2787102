use crate::rule::{Context, Example, Rule};
use malha_mesh::{GatewayRef, VirtualService, names::MESH_GATEWAY, registry::ServiceOrigin};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H006", name: "gateways-without-mesh", group: Group::Pedantic, aliases: &[] },
    what: "A VirtualService names Gateways alone, one of its hosts is a Service of the cluster, and no other VirtualService is for that host in the mesh.",
    why: "Once `gateways` is written, the mesh counts only if it is named: calls from one service to another do not see these rules.",
    bad: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  ports:
    - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.default.svc.cluster.local, orders.example.com]
  gateways: [infra/public]
  http:
    - timeout: 2s
      route:
        - destination: {host: orders}
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  ports:
    - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.default.svc.cluster.local, orders.example.com]
  gateways: [infra/public, mesh]
  http:
    - timeout: 2s
      route:
        - destination: {host: orders}
",
    ),
    facts: &["B1"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for service in context.mesh.virtual_services().iter().filter(|service| !service.binds_to(&GatewayRef::Mesh)) {
        findings.extend(unseen(context, service));
    }
}

fn unseen(context: &Context<'_>, service: &VirtualService) -> Option<Finding> {
    let Spec::VirtualService(spec) = &service.resource.spec else { return None };
    let mesh = context.mesh;
    let is_internal = |host: &str| {
        mesh.registry().services_of_host(host).any(|service| service.origin == ServiceOrigin::Kubernetes)
    };
    let in_mesh = |host: &str| {
        let mut others = context.known.rules_of_host(mesh, host).iter();
        others.any(|index| {
            mesh.virtual_services().get(*index as usize).is_some_and(|other| other.binds_to(&GatewayRef::Mesh))
        })
    };
    let (index, host) = service.hosts.iter().enumerate().find(|(_, host)| is_internal(host) && !in_mesh(host))?;
    let place = service.resource.location(spec.hosts.get(index)?.span);
    let message = format!("calls within the mesh to `{host}` do not see these rules, which are for gateways alone");
    let finding = Finding::new(RULE.info, place, message)
        .help("add `mesh` to `gateways`, if the rules are meant for such calls too")
        .resource(service.resource.resource_name())
        .field(format!("spec.hosts[{index}]"));
    let last = service.resource.location(spec.gateways.last()?.span);
    Some(match context.append(last, MESH_GATEWAY, false) {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}
