use crate::{
    proof::{EntryLoss, Loss, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "S001",
        name: "se-host-port-conflict",
        group: Group::Correctness,
        aliases: &["IST0133", "IST0177", "KIA1211", "KIA1212"],
    },
    what: "Two ServiceEntries say different things of one host and port, or of one address and TCP port, and clients that see both have what one of them says.",
    why: "In one namespace entries of a host are one service: protocol and resolution are those of the older entry, and endpoints are found by the name of \
          its port. Of entries in several namespaces a client has that of its own, else that of the older one, with its endpoints alone. Connections that \
          say no host, as TCP does, go by address and port, so two hosts with one address are one. Which entry is older no file says.",
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
  name: credit-again
spec:
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: TCP}
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
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit-again
spec:
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP}
    - {name: http-admin, number: 9000, protocol: HTTP}
",
    ),
    facts: &["D37", "E10", "E14", "E17", "E20"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for loss in context.entry_losses() {
        let winner = loss.winner();
        let finding = match &loss.what {
            Loss::Missing { .. } => continue,
            Loss::Port { number, own, used, place } => {
                let message = format!(
                    "of `{}` port {number} clients in namespace `{}` have what ServiceEntry {winner} says, {used}; that this one \
                     says {own} has no effect there{}",
                    loss.host,
                    loss.seen_from,
                    loss.age()
                );
                Finding::new(RULE.info, loss.location, message)
                    .help("write the host in one ServiceEntry, or let both say the same of the port")
                    .related(*place, "what clients have")
            }
            Loss::Address { address, number, taken_by, place, proof } => {
                let message = format!(
                    "TCP connections to `{address}` port {number} go to `{taken_by}`, which ServiceEntry {winner} puts at the same \
                     address{}: TCP does not say that `{}` is meant",
                    loss.age(),
                    loss.host
                );
                let finding = Finding::new(RULE.info, loss.location, message)
                    .help("give each host an address of its own, or write both hosts in one ServiceEntry with one set of endpoints")
                    .related(*place, "the address of the host that has the connections");
                proved(finding, Some(proof))
            }
        };
        findings.push(finding.field(loss.field.clone()).resource(loss.loser.resource_name()));
    }
}

impl EntryLoss {
    /// The object that wins, for messages.
    pub(super) fn winner(&self) -> String {
        format!("`{}/{}`", self.winner.namespace, self.winner.name)
    }

    /// That nobody knows which of the two is older, where it is so.
    pub(super) fn age(&self) -> &'static str {
        let is_dated = |resource: &malha_model::Resource| resource.metadata.creation_timestamp.is_some();
        if is_dated(&self.winner) && is_dated(&self.loser) {
            ""
        } else {
            " (the older one counts, and no file says which that is)"
        }
    }
}
