use crate::rule::{Context, Example, Rule};
use malha_model::{Resource, Spanned, Spec};
use malha_syntax::{Finding, Group, RuleInfo};
use smol_str::SmolStr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "O006", name: "export-to-unknown", group: Group::Suspicious, aliases: &["KIA0005"] },
    what: "An object is exported to a namespace that does not exist.",
    why: "Nobody sees it there, and those who were meant do not see it either. It is told only where that is likely: the name is one slip away from a namespace that the files \
          know, or the files hold a Namespace object for every namespace that they use.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
  namespace: payment
spec:
  exportTo: [\".\", checkuot]
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
---
apiVersion: v1
kind: Service
metadata:
  name: cart
  namespace: checkout
spec:
  ports:
    - {name: http, port: 8000}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
  namespace: payment
spec:
  exportTo: [\".\", checkout]
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
---
apiVersion: v1
kind: Service
metadata:
  name: cart
  namespace: checkout
spec:
  ports:
    - {name: http, port: 8000}
",
    ),
    facts: &["0.7", "E16"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let entries: &[Spanned<SmolStr>] = match &resource.spec {
            Spec::VirtualService(spec) => &spec.export_to,
            Spec::DestinationRule(spec) => &spec.export_to,
            Spec::ServiceEntry(spec) => &spec.export_to,
            _ => continue,
        };
        for (index, entry) in entries.iter().enumerate() {
            findings.extend(unknown(context, resource, entry, index));
        }
    }
}

fn unknown(context: &Context<'_>, resource: &Resource, entry: &Spanned<SmolStr>, index: usize) -> Option<Finding> {
    if matches!(entry.as_str(), "." | "*" | "~") {
        return None;
    }
    let (namespace, near) = context.unknown_namespace(entry)?;
    let place = resource.location(entry.span);
    let message = format!("nothing in these files is in namespace `{namespace}`, so nobody sees this there");
    let finding = Finding::new(RULE.info, place, message)
        .resource(resource.resource_name())
        .field(format!("spec.exportTo[{index}]"));
    let Some(near) = near else {
        return Some(finding.help("correct the namespace, or add its Namespace object"));
    };
    let finding = finding.help(format!("did you mean `{near}`?"));
    Some(match context.rewrite(place, &near, false) {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}
