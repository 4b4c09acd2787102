//! Holding a witness to what its finding says.

use malha_mesh::program::Origin;
use malha_syntax::{Claim, RuleName};
use malha_table::{Decision, Outcome, Rule};

/// Whether a decision is as claimed.
pub fn claim_holds(claim: &Claim, decision: &Decision) -> bool {
    observed(decision) == *claim
}

/// What a decision shows.
pub(super) fn observed(decision: &Decision) -> Claim {
    match &decision.rule {
        Some(rule) => Claim::TakenBy(name_of(rule)),
        None => Claim::NoRule {
            outcome: outcome(decision.outcome),
            destination: decision.destinations.first().map(|destination| destination.host.clone()),
        },
    }
}

/// That no rule takes a request, so that it is answered 404.
pub(super) fn unanswered() -> Claim {
    Claim::NoRule { outcome: outcome(Outcome::NotFound), destination: None }
}

/// The outcome as JSON has it.
fn outcome(outcome: Outcome) -> String {
    match serde_json::to_value(outcome) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
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
