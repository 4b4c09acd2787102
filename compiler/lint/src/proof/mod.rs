//! What is proved of rules, once, for the lints that tell it.

mod merge;
mod service;

pub(crate) use merge::{MergeProof, rule_name};
pub(crate) use service::{Fate, ServiceProof};

use crate::rule::Context;
use malha_syntax::{Claim, Finding};
use malha_table::Request;
use std::sync::OnceLock;

/// What is proved of a mesh; each part when it is first asked for.
#[derive(Default)]
pub(crate) struct Proofs<'a> {
    services: OnceLock<Vec<ServiceProof<'a>>>,
    merges: OnceLock<Vec<MergeProof>>,
}

impl<'a> Context<'a> {
    /// What is proved of each VirtualService by itself.
    pub(crate) fn services(&self) -> &[ServiceProof<'a>] {
        self.proofs.services.get_or_init(|| service::prove(self.mesh))
    }

    /// What is proved of the virtual hosts of gateways that several VirtualServices share.
    pub(crate) fn merges(&self) -> &[MergeProof] {
        self.proofs.merges.get_or_init(|| merge::prove(self.mesh, self.program))
    }
}

/// Adds the request that proves a finding, and what is claimed of it.
pub(crate) fn proved(finding: Finding, request: Option<&Request>, claim: Claim) -> Finding {
    match request.and_then(|request| serde_json::to_value(request).ok()) {
        Some(witness) => finding.witness(witness, claim),
        None => finding,
    }
}
