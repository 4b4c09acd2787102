//! Holding a witness to what its finding says.

use malha_mesh::program::Origin;
use malha_syntax::{Claim, RuleName};
use malha_table::{Decision, Outcome, Rule};

/// Whether a decision is as claimed.
pub fn claim_holds(claim: &Claim, decision: &Decision) -> bool {
    match (&claim.taken_by, &decision.rule) {
        (None, None) => decision.outcome == Outcome::NotFound,
        (Some(name), Some(rule)) => is(rule, name),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn is(rule: &Rule, name: &RuleName) -> bool {
    let own = |rule: &Rule| (rule.index, rule.match_index);
    (rule.namespace.as_str(), rule.name.as_str(), rule.section.as_str()) == (&name.namespace, &name.name, name.section)
        && own(rule) == (name.index, name.match_index)
        && match (&rule.delegate, &name.delegate) {
            (None, None) => true,
            (Some(rule), Some(name)) => is(rule, name),
            (None, Some(_)) | (Some(_), None) => false,
        }
}

/// What a decision shows.
pub(super) fn observed(decision: &Decision) -> Claim {
    Claim { taken_by: decision.rule.as_ref().map(name_of) }
}

fn name_of(rule: &Rule) -> RuleName {
    RuleName {
        namespace: rule.namespace.clone(),
        name: rule.name.clone(),
        section: match rule.section.as_str() {
            "tls" => "tls",
            "tcp" => "tcp",
            _ => "http",
        },
        index: rule.index,
        match_index: rule.match_index,
        delegate: rule.delegate.as_deref().map(|delegate| Box::new(name_of(delegate))),
    }
}

/// The rule of a route, as claims have it.
pub(super) fn rule_name(origin: &Origin) -> RuleName {
    RuleName {
        namespace: origin.namespace.to_string(),
        name: origin.name.to_string(),
        section: origin.section,
        index: origin.index,
        match_index: origin.match_index,
        delegate: origin.delegate.as_deref().map(|delegate| Box::new(rule_name(delegate))),
    }
}
