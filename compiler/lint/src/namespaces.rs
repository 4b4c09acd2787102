//! Namespaces that configs name, and whether there is such a one.

use crate::{rule::Context, slip::Slips};
use hashbrown::HashSet;
use malha_mesh::Mesh;
use malha_model::Kind;
use smol_str::SmolStr;

/// What the files know of namespaces, found once.
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// Those of objects that take part.
    holding: HashSet<SmolStr>,
    /// Those of objects, and those that are objects.
    all: HashSet<SmolStr>,
    slips: Slips,
    /// Whether every one that is used has its object.
    are_declared: bool,
}

impl Namespaces {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let resources = || mesh.resources().iter().chain(mesh.refused());
        let is_own = |kind: Kind| kind == Kind::Namespace;
        let declared: HashSet<SmolStr> =
            resources().filter(|resource| is_own(resource.kind)).map(|resource| resource.name.clone()).collect();
        let used: HashSet<SmolStr> =
            resources().filter(|resource| !is_own(resource.kind)).map(|resource| resource.namespace.clone()).collect();
        let are_declared =
            !declared.is_empty() && used.iter().all(|name| declared.contains(name) || is_given(mesh, name));
        let all: HashSet<SmolStr> = declared.union(&used).cloned().collect();
        let mut names: Vec<&str> = all.iter().map(SmolStr::as_str).collect();
        names.sort_unstable();
        let holding = mesh.resources().iter().map(|resource| resource.namespace.clone()).collect();
        Namespaces { holding, slips: Slips::of(names), all, are_declared }
    }

    /// Whether an object that takes part is in it.
    pub(crate) fn hold_objects(&self, name: &str) -> bool {
        self.holding.contains(name)
    }
}

/// Whether a cluster has it without anybody's file.
fn is_given(mesh: &Mesh, name: &str) -> bool {
    name == "default" || name == "istio-system" || name == mesh.config().root_namespace || name.starts_with("kube-")
}

impl Context<'_> {
    /// A namespace that most likely does not exist, and what is probably meant; none: it exists, or nobody knows.
    pub(crate) fn unknown_namespace<'n>(&self, name: &'n str) -> Option<(&'n str, Option<SmolStr>)> {
        let known = self.known.namespaces(self.mesh);
        if known.all.contains(name) || is_given(self.mesh, name) {
            return None;
        }
        let near = known.slips.meant(name).cloned();
        (near.is_some() || known.are_declared).then_some((name, near))
    }
}
