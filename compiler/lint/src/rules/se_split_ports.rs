use crate::{
    proof::Loss,
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "S002", name: "se-split-ports", group: Group::Suspicious, aliases: &[] },
    what: "A port of a ServiceEntry is unknown to clients, because another ServiceEntry of the same host is used instead, which does not have it.",
    why: "Ports add up only between entries of one namespace with one resolution. Else a client has one of the entries, that of its own namespace or the older \
          one, and no listener, or no route, for the ports of the other.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
spec:
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit-tls
spec:
  hosts: [credit.example.com]
  resolution: NONE
  ports:
    - {name: tls, number: 443, protocol: TLS}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
spec:
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
    - {name: tls, number: 443, protocol: TLS}
",
    ),
    facts: &["E17"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for loss in context.entry_losses() {
        let Loss::Missing { number } = loss.what else { continue };
        let winner = loss.winner();
        let message = format!(
            "clients in namespace `{}` do not know port {number} of `{}`: they have ServiceEntry {winner} instead, without this port{}",
            loss.seen_from,
            loss.host,
            loss.age()
        );
        let finding = Finding::new(RULE.info, loss.location, message)
            .help("write all ports of the host in one ServiceEntry")
            .related(crate::place::named(&loss.winner), "the entry that they have")
            .field(loss.field.clone())
            .resource(loss.loser.resource_name());
        findings.push(finding);
    }
}
