//! What is proved of rules, once, for the lints that tell it.

mod account;
mod capture;
mod claim;
mod entries;
mod merge;
mod mesh;
mod methods;
mod partial;
mod paths;
mod replay;
mod rules;
mod server;
mod service;

pub use account::{RowAccount, RowLoss, Standing, account};
pub(crate) use capture::Captured;
pub use claim::claim_holds;
pub(crate) use entries::{EntryLoss, Loss};
pub(crate) use merge::{Conflict, MOST_OTHERS, MergeProofs, Sort};
pub(crate) use mesh::TakenHost;
pub(crate) use partial::Partial;
pub(crate) use paths::{Boundary, Rewriting, Shape};
pub(crate) use rules::{LostPart, RuleLoss};
pub(crate) use service::{Fate, Oddity, ServiceProof};

use crate::rule::Context;
use malha_mesh::{ObjectName, program::Origin};
use malha_syntax::{Claim, Finding, RuleInfo};
use malha_table::Request;
use std::sync::OnceLock;

/// What is proved of a mesh; each part when it is first asked for.
#[derive(Default)]
pub(crate) struct Proofs<'a> {
    services: OnceLock<Vec<ServiceProof<'a>>>,
    merges: OnceLock<MergeProofs>,
    taken_hosts: OnceLock<Vec<TakenHost>>,
    entries: OnceLock<Vec<EntryLoss>>,
    partial: OnceLock<Vec<Partial<'a>>>,
    rewritings: OnceLock<Vec<Rewriting<'a>>>,
    rules: OnceLock<Vec<RuleLoss>>,
    captured: OnceLock<Vec<Captured>>,
}

impl<'a> Context<'a> {
    /// What is proved of each VirtualService by itself.
    pub(crate) fn services(&self) -> &[ServiceProof<'a>] {
        self.proofs.services.get_or_init(|| service::prove(self.mesh, self.program))
    }

    /// What is proved of the virtual hosts of gateways that several VirtualServices share.
    pub(crate) fn merges(&self) -> &MergeProofs {
        self.proofs.merges.get_or_init(|| merge::prove(self.mesh, self.program))
    }

    /// The conflicts of one sort.
    pub(crate) fn conflicts(&self, sort: Sort) -> impl Iterator<Item = &Conflict> {
        self.merges().conflicts.iter().filter(move |conflict| conflict.sort == sort)
    }

    /// A finding about a rule of a VirtualService, where it is written.
    pub(crate) fn finding_at(&self, origin: &Origin, info: &'static RuleInfo, message: String) -> Finding {
        let finding = Finding::new(info, origin.location, message);
        let name = ObjectName::new(origin.namespace.clone(), origin.name.clone());
        match self.mesh.virtual_service(&name) {
            Some(service) => finding.resource(service.resource.resource_name()),
            None => finding,
        }
    }

    /// Hosts of the mesh that one VirtualService names and another has.
    pub(crate) fn taken_hosts(&self) -> &[TakenHost] {
        self.proofs.taken_hosts.get_or_init(|| mesh::prove(self.mesh, self.program))
    }

    /// Rules of one VirtualService that take a part of each other's requests.
    pub(crate) fn partial(&self) -> &[Partial<'a>] {
        self.proofs.partial.get_or_init(|| partial::prove(self.mesh, self.program))
    }

    /// Prefixes that end within a segment and take paths of other rules.
    pub(crate) fn boundaries(&self) -> Vec<Boundary> {
        paths::boundaries(self)
    }

    /// Rules that put a text in the place of prefixes that it does not fit.
    pub(crate) fn rewritings(&self) -> &[Rewriting<'a>] {
        self.proofs.rewritings.get_or_init(|| paths::rewritings(self))
    }

    /// What DestinationRules say that others of their host keep from being used.
    pub(crate) fn rule_losses(&self) -> &[RuleLoss] {
        self.proofs.rules.get_or_init(|| rules::prove(self.mesh))
    }

    /// TCP ports of ServiceEntries that take connections meant for others.
    pub(crate) fn captured_ports(&self) -> &[Captured] {
        self.proofs.captured.get_or_init(|| capture::prove(self.mesh, self.program))
    }

    /// What ServiceEntries say that others keep from being used.
    pub(crate) fn entry_losses(&self) -> &[EntryLoss] {
        self.proofs.entries.get_or_init(|| entries::prove(self.mesh, self.program))
    }
}

/// A request, and what is true of it: it was tried.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) request: Request,
    pub(crate) claim: Claim,
}

/// Adds the request that proves a finding, and what is claimed of it.
pub(crate) fn proved(finding: Finding, proof: Option<&Proof>) -> Finding {
    match proof.and_then(|proof| Some((serde_json::to_value(&proof.request).ok()?, proof.claim.clone()))) {
        Some((witness, claim)) => finding.witness(witness, claim),
        None => finding,
    }
}
