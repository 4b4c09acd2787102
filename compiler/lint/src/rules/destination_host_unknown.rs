use crate::{
    destinations::{Destination, destinations},
    hosts::Near,
    rule::{Context, Example, Rule},
};
use malha_model::Resource;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D010",
        name: "destination-host-unknown",
        group: Group::Correctness,
        aliases: &["IST0101", "KIA1101"],
    },
    what: "A route, a mirror or a delegate's route sends to a host that no Service and no ServiceEntry has.",
    why: "There is no such cluster: requests get 503 with the flag NC, copies are dropped, connections are closed; a registry that lets unknown hosts \
          through makes no difference to a route. A short name means a Service of the namespace of the VirtualService, not of the gateway; a name with a dot is \
          taken as it stands; and a host below a ServiceEntry's wildcard is not the host of that entry. Where the mesh is not declared `closed` the service may \
          live elsewhere: then this is a warning, and told only if the files hold Services of that namespace, a wildcard above the name, or a name that is one slip away.",
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
  hosts: [orders]
  http:
    - route:
        - destination: {host: ordres}
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
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders}
",
    ),
    facts: &["0.3", "0.4", "B24", "B26", "E2"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for service in context.mesh.virtual_services() {
        let resource = &*service.resource;
        let found = destinations(resource).into_iter();
        findings.extend(found.filter_map(|destination| unknown(context, resource, &destination)));
    }
}

fn unknown(context: &Context<'_>, resource: &Resource, destination: &Destination<'_>) -> Option<Finding> {
    let host = destination.value.host.as_ref()?;
    let unknown = context.unknown_host(host, &resource.namespace)?;
    let (name, fate) = (&unknown.host, destination.sent.fate());
    let message = format!("no Service or ServiceEntry in these files has the host `{name}`, so {fate}");
    let location = resource.location(host.span);
    let finding = Finding::new(RULE.info, location, message)
        .severity(unknown.severity)
        .resource(resource.resource_name())
        .field(format!("{}.host", destination.field()));
    let help = match (&unknown.near, &unknown.instead) {
        (Near::CutShort, Some(whole)) => format!("a name with a dot is not completed: write `{whole}`"),
        (Near::Wildcard(wildcard), _) => {
            format!("a ServiceEntry has `{wildcard}`, which is another host: give `{name}` an entry of its own")
        }
        (_, Some(instead)) => format!("did you mean `{instead}`?"),
        (_, None) if host.contains('.') => "add a ServiceEntry for it, or correct the name".to_owned(),
        (_, None) => format!(
            "a short name means a Service of namespace `{}`: write the whole name of one that lives elsewhere",
            resource.namespace
        ),
    };
    let fix = unknown.instead.and_then(|instead| context.rewrite(location, &instead, false));
    let finding = finding.help(help);
    Some(match fix {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}
