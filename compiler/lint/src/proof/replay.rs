//! Trying witnesses before they are shown: what is claimed of one holds in the reference interpreter.

use super::claim_holds;
use malha_mesh::program::{Program, Role};
use malha_mesh::{Cache, Mesh, ProxySpec, interpret, lower};
use malha_syntax::Claim;
use malha_table::{Decision, ProxyIdentity, Request};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Replays requests on a program, and on sidecars that requests name and it does not hold.
pub(super) struct Replay<'a> {
    mesh: &'a Mesh,
    program: &'a Program,
    clients: Mutex<BTreeMap<ProxyIdentity, Arc<Program>>>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(mesh: &'a Mesh, program: &'a Program) -> Replay<'a> {
        Replay { mesh, program, clients: Mutex::default() }
    }

    /// The request, if it behaves as claimed.
    pub(super) fn proves(&self, request: Option<Request>, claim: &Claim) -> Option<Request> {
        request.filter(|request| self.decide(request).is_some_and(|decision| claim_holds(claim, &decision)))
    }

    /// What becomes of a request; none if it cannot be asked.
    pub(super) fn decide(&self, request: &Request) -> Option<Decision> {
        let program = self.client(request);
        let program = program.as_deref().unwrap_or(self.program);
        interpret(program, request, 0, &|_| (String::new(), 0)).ok()
    }

    /// The program of the client that a request names, if it is not the default one.
    fn client(&self, request: &Request) -> Option<Arc<Program>> {
        let identity = request.proxy.as_ref().filter(|_| request.via.as_deref() == Some("mesh"))?;
        let text = |(name, value): (&String, &String)| (name.into(), value.into());
        let spec = ProxySpec {
            role: Role::Sidecar,
            namespace: identity.namespace.as_str().into(),
            labels: identity.labels.iter().map(text).collect(),
            ..ProxySpec::default_sidecar()
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(lower(self.mesh, &[spec], &mut Cache::default()));
        Some(Arc::clone(clients.entry(identity.clone()).or_insert_with(make)))
    }
}
