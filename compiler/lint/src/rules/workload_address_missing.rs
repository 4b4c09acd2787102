use crate::rule::{Context, Example, Rule};
use malha_model::{Resource, Spanned, Spec, istio::WorkloadEntry};
use malha_syntax::{Finding, Group, RuleInfo, Span};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "S023", name: "workload-address-missing", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A WorkloadEntry, or an endpoint of a ServiceEntry, has a network and no address.",
    why: "It can be reached through the east-west gateway of that network alone. Where Istio knows no such gateway, the \
          endpoint is left out in silence.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: ledger
spec:
  network: vm-network
  labels: {app: ledger}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: ledger
spec:
  address: 192.0.2.7
  network: vm-network
  labels: {app: ledger}
",
    ),
    facts: &[],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        match &resource.spec {
            Spec::WorkloadEntry(entry) => findings.extend(of_entry(resource, entry, resource.span, "spec")),
            Spec::ServiceEntry(spec) => {
                for (index, entry) in spec.endpoints.iter().enumerate() {
                    findings.extend(of_entry(resource, entry, entry.span, &format!("spec.endpoints[{index}]")));
                }
            }
            _ => {}
        }
    }
}

fn of_entry(resource: &Resource, entry: &WorkloadEntry, whole: Span, path: &str) -> Option<Finding> {
    let is_written = |text: &Option<Spanned<smol_str::SmolStr>>| text.as_ref().is_some_and(|text| !text.is_empty());
    if is_written(&entry.address) {
        return None;
    }
    let network = entry.network.as_ref();
    let message = match network {
        Some(network) => format!("no address: only an east-west gateway of network `{}` can lead here", network.value),
        None => "no address: nothing leads here".to_owned(),
    };
    let place = network.map_or(Span::empty(whole.start), |network| network.span);
    let finding = Finding::new(RULE.info, resource.location(place), message)
        .help("write `address`, unless the network has such a gateway")
        .resource(resource.resource_name())
        .field(format!("{path}.address"));
    Some(finding)
}
