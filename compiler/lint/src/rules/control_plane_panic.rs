use crate::{
    noted::noted,
    rule::{Context, Example, Rule},
};
use malha_mesh::program::NoteKind;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H015", name: "control-plane-panic", group: Group::Correctness, aliases: &[] },
    what: "Input on which istiod itself panics: `*/*` among the hosts of a server, followed by another host with `*/` or `./`.",
    why: "Validation accepts it. istiod then fails whenever it configures a proxy that the Gateway selects, so that proxy gets \
          nothing any more.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*/*\", \"*/b.example.com\"]
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
      hosts: [\"*/*\"]
",
    ),
    facts: &["A20"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    noted(
        context,
        NoteKind::ControlPlanePanics,
        |note| {
            Finding::new(RULE.info, note.location, format!("istiod panics on this: {}", note.detail))
                .help("`*/*` holds every host already: leave the others out")
        },
        "because of this",
        findings,
    );
}
