//! What is proved of rules, against what the real Istio and the real Envoy did with them: a rule that took a recorded
//! request is never called dead, and every witness behaves as its finding says.

use crate::recorded::{Case, each_case};
use malha_lint::{check, claim_holds};
use malha_mesh::{Cache, ProxySpec, interpret, lower};
use malha_syntax::Finding;
use malha_table::{Outcome, Request};
use std::collections::BTreeMap;

/// The rules, and of those of which a match is named the match, that a recorded request was taken by.
fn taken(case: &Case) -> Vec<(String, u64, Option<u64>)> {
    let mut taken = Vec::new();
    for asked in &case.asked {
        let mut route = &asked.expect["route"];
        while !route.is_null() {
            let name = route["virtualService"].as_str().unwrap_or_default().to_owned();
            if let Some(rule) = route["rule"].as_u64() {
                taken.push((name, rule, route["match"].as_u64()));
            }
            route = &route["delegate"];
        }
    }
    taken
}

/// The rule and match of a field, as `spec.http[1].match[0]`.
fn place(finding: &Finding) -> Option<(String, u64, Option<u64>)> {
    let resource = finding.resource.as_ref()?;
    let field = finding.field.as_deref()?.strip_prefix("spec.http[")?;
    let (rule, rest) = field.split_once(']')?;
    let item = rest.strip_prefix(".match[").and_then(|rest| rest.strip_suffix(']')).and_then(|item| item.parse().ok());
    Some((format!("{}/{}", resource.namespace, resource.name), rule.parse().ok()?, item))
}

#[test]
fn no_rule_that_took_a_request_is_called_dead() {
    let mut said: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut wrong, mut replayed) = (Vec::new(), 0);
    each_case(|case| {
        let (mesh, _) = case.link();
        let mut wanted = mesh.proxies().to_vec();
        wanted.push(ProxySpec::default_sidecar());
        let program = lower(&mesh, &wanted, &mut Cache::default());
        let findings = check(&mesh, &program);
        let taken = taken(&case);
        for finding in &findings {
            *said.entry(finding.rule.code).or_default() += 1;
            let whole = matches!(finding.rule.code, "R001" | "R006");
            if (whole || matches!(finding.rule.code, "R002" | "R004"))
                && let Some((name, rule, item)) = place(finding)
                && taken.iter().any(|(other, index, of)| {
                    *other == name && *index == rule && (whole || item.is_none() || *of == item)
                })
            {
                wrong.push(format!("{}: {} took a request: {}", case.id, name, finding.message));
            }
        }
        for finding in &findings {
            let (Some(witness), Some(claim)) = (&finding.witness, &finding.claim) else { continue };
            let request: Request = serde_json::from_value(witness.clone()).expect("a witness is a request");
            let mut wanted = wanted.clone();
            if let Some(identity) = &request.proxy
                && request.via.as_deref() == Some("mesh")
            {
                let labels = identity.labels.iter().map(|(name, value)| (name.into(), value.into())).collect();
                wanted.push(ProxySpec {
                    namespace: identity.namespace.as_str().into(),
                    labels,
                    ..ProxySpec::default_sidecar()
                });
            }
            let program = lower(&mesh, &wanted, &mut Cache::default());
            replayed += 1;
            match interpret(&program, &request, 0, &|_| (String::new(), 0)) {
                Ok(decision) if claim_holds(claim, &decision) || decision.outcome == Outcome::ListenerRejected => {}
                told => {
                    let rule = told.map(|decision| (decision.outcome, decision.host, decision.rule));
                    wrong.push(format!(
                        "{}: {}: {}\n  {witness}\n  {rule:?}",
                        case.id, finding.rule.code, finding.message
                    ));
                }
            }
        }
    });
    println!("{said:?}; {replayed} witnesses replayed");
    for line in wrong.iter().take(12) {
        println!("{line}");
    }
    assert_eq!(wrong.len(), 0);
    assert!(said.get("R001").is_some_and(|count| *count > 20) && replayed > 200, "the recordings hold more than that");
}
