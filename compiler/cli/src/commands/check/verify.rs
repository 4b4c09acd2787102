//! `malha check --verify`: every witness is replayed, and held to what its finding claims.

use crate::{commands::route, failure::Failure, workspace::Workspace};
use malha_mesh::Mesh;
use malha_syntax::{Claim, Finding};
use malha_table::{Request, Rule};

/// Replays the witnesses of `findings`; says how many there were.
///
/// # Errors
/// A witness does not behave as claimed, which is a defect of Malha.
pub(super) fn verify(workspace: &mut Workspace, mesh: &Mesh, findings: &[Finding]) -> Result<usize, Failure> {
    let witnesses: Vec<(&Finding, &Claim, Request)> = findings
        .iter()
        .filter_map(|finding| {
            let request = serde_json::from_value(finding.witness.clone()?).ok()?;
            Some((finding, finding.claim.as_ref()?, request))
        })
        .collect();
    if witnesses.is_empty() {
        return Ok(0);
    }
    let requests: Vec<Request> = witnesses.iter().map(|(_, _, request)| request.clone()).collect();
    let (_, table) = route::build(workspace, mesh, &requests)?;
    for (finding, claim, request) in &witnesses {
        let failed = |what: String| {
            let shown = finding.witness.as_ref().map(ToString::to_string).unwrap_or_default();
            let (code, message) = (finding.rule.code, &finding.message);
            Failure::new(format!("{code}: {message}\nits witness does not prove it: {what}\n{shown}"))
                .help("this is a defect of malha; please report it with the files")
        };
        let decision = table.decide(request, 0).map_err(|error| failed(error.to_string()))?;
        if !malha_lint::claim_holds(claim, &decision) {
            let rule = decision.rule.as_ref().map(shown);
            return Err(failed(format!("it is taken by {}", rule.as_deref().unwrap_or("no rule"))));
        }
    }
    Ok(witnesses.len())
}

fn shown(rule: &Rule) -> String {
    format!("{}/{} {}[{}]", rule.namespace, rule.name, rule.section, rule.index)
}
