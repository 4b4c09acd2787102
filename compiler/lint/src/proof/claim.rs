//! Holding a witness to what its finding says.

use malha_syntax::{Claim, RuleName};
use malha_table::{Decision, Rule};

/// Whether a decision is as claimed. Where a claim is about the rules of one object, a rule of another may come first.
pub fn claim_holds(claim: &Claim, decision: &Decision) -> bool {
    let Some(rule) = &decision.rule else { return claim.taken_by.is_none() };
    if claim.not_by.as_ref().is_some_and(|not_by| is(rule, not_by)) {
        return false;
    }
    let is_of_other = |name: &RuleName| (&rule.namespace, &rule.name) != (&name.namespace, &name.name);
    match (&claim.taken_by, &claim.not_by) {
        (Some(winner), Some(loser)) if is_of_other(loser) && is_of_other(winner) => {
            (&winner.namespace, &winner.name) == (&loser.namespace, &loser.name)
        }
        (Some(winner), _) => is(rule, winner) || is_of_other(winner),
        (None, Some(loser)) => is_of_other(loser),
        (None, None) => true,
    }
}

fn is(rule: &Rule, name: &RuleName) -> bool {
    (rule.namespace.as_str(), rule.name.as_str(), rule.section.as_str(), rule.index)
        == (name.namespace.as_str(), name.name.as_str(), name.section, name.index)
}
