//! Trying witnesses before they are shown: what is claimed of one holds in the reference interpreter.

use super::{Proof, claim_holds};
use malha_mesh::program::{Program, Role};
use malha_mesh::{Cache, Mesh, ProxySpec, interpret, lower};
use malha_syntax::Claim;
use malha_table::{Decision, ProxyIdentity, Request};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

/// Replays requests on a program, and on sidecars that requests name and it does not hold.
pub(super) struct Replay<'a> {
    mesh: &'a Mesh,
    program: &'a Program,
    clients: Mutex<Clients>,
}

/// Sidecars that requests named.
#[derive(Default)]
struct Clients {
    /// The last ones.
    kept: VecDeque<(ProxyIdentity, Arc<Program>)>,
    /// All that were lowered.
    seen: BTreeSet<ProxyIdentity>,
}

/// Programs of clients that are kept.
const KEPT: usize = 8;

/// VirtualServices that all clients together are lowered with: past it no witness is shown that needs one more.
const MOST_LOWERED: usize = 100_000;

impl<'a> Replay<'a> {
    pub(super) fn new(mesh: &'a Mesh, program: &'a Program) -> Replay<'a> {
        Replay { mesh, program, clients: Mutex::default() }
    }

    /// The first of some requests that behaves as claimed.
    pub(super) fn proof(&self, requests: impl IntoIterator<Item = Request>, claim: &Claim) -> Option<Proof> {
        let holds = |request: &Request| self.decide(request).is_some_and(|decision| claim_holds(claim, &decision));
        let request = requests.into_iter().find(holds)?;
        Some(Proof { request, claim: claim.clone() })
    }

    /// What becomes of a request; none if it cannot be asked.
    pub(super) fn decide(&self, request: &Request) -> Option<Decision> {
        let is_of_mesh = request.via.as_deref() == Some("mesh");
        let client = match request.proxy.as_ref().filter(|_| is_of_mesh) {
            Some(identity) => Some(self.client(identity)?),
            None => None,
        };
        let program = client.as_deref().unwrap_or(self.program);
        interpret(program, request, 0, &|_| (String::new(), 0)).ok()
    }

    /// The program of a client; none past the limit.
    fn client(&self, identity: &ProxyIdentity) -> Option<Arc<Program>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, program)) = clients.kept.iter().find(|(known, _)| known == identity) {
            return Some(Arc::clone(program));
        }
        let most = MOST_LOWERED / self.mesh.virtual_services().len().max(100);
        if !clients.seen.contains(identity) && clients.seen.len() >= most.max(KEPT) {
            return None;
        }
        let text = |(name, value): (&String, &String)| (name.into(), value.into());
        let spec = ProxySpec {
            role: Role::Sidecar,
            namespace: identity.namespace.as_str().into(),
            labels: identity.labels.iter().map(text).collect(),
            ..ProxySpec::default_sidecar()
        };
        let program = Arc::new(lower(self.mesh, &[spec], &mut Cache::default()));
        clients.seen.insert(identity.clone());
        clients.kept.push_front((identity.clone(), Arc::clone(&program)));
        clients.kept.truncate(KEPT);
        Some(program)
    }
}
