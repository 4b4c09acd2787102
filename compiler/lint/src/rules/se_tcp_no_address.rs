use crate::{
    proof::proved,
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "S003", name: "se-tcp-no-address", group: Group::Suspicious, aliases: &["IST0134"] },
    what: "A ServiceEntry without addresses has a TCP port: it takes every connection of the mesh to that port, whomever it was meant for.",
    why: "TCP says no host, so without an address sidecars cannot tell connections to this host from others: all that go to the port and to no address of a known \
          service come here. Addresses that the cluster allocates by itself help only clients whose DNS the sidecar answers. Resolution NONE is fine: there \
          connections go where they were meant to go; so are TLS ports, which go by the server name.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: database
spec:
  hosts: [db.example.com]
  resolution: DNS
  ports:
    - {name: tcp, number: 5432, protocol: TCP}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: database
spec:
  hosts: [db.example.com]
  addresses: [192.0.2.10]
  resolution: DNS
  ports:
    - {name: tcp, number: 5432, protocol: TCP}
",
    ),
    facts: &["E14", "E15"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for captured in context.captured_ports() {
        let (host, number) = (&captured.host, captured.number);
        let message = format!(
            "`{host}` has no addresses, so every TCP connection to port {number} that no known address takes goes to it, \
             as one to {} does",
            captured.elsewhere
        );
        let finding = Finding::new(RULE.info, captured.location, message)
            .help("add the `addresses` that clients connect to, or use protocol TLS, where the server name tells hosts apart")
            .resource(captured.resource.resource_name())
            .field(captured.field.clone());
        findings.push(proved(finding, Some(&captured.proof)));
    }
}
