//! How sure it is that what the input does not hold does not exist.

use malha_mesh::{Mesh, ObjectName, config::Completeness};
use malha_model::Kind;
use malha_syntax::Severity;

/// The weight of saying that the object `wanted` is missing; none: nothing is to be said.
///
/// In a closed mesh it is an error. Otherwise the object may live elsewhere, so it is a warning, and only where the
/// input holds objects of that namespace, or (`close`) a name so near that a slip is likely; in an open mesh the near
/// name alone counts. An object that is there but refused is not missing: what is wrong with it is said already.
pub(crate) fn missing(mesh: &Mesh, kind: Kind, wanted: &ObjectName, close: bool) -> Option<Severity> {
    let is_it = |namespace: &str, name: &str| *namespace == wanted.namespace && *name == wanted.name;
    if mesh.refused().iter().any(|refused| refused.kind == kind && is_it(&refused.namespace, &refused.name)) {
        return None;
    }
    let known_namespace = || mesh.resources().iter().any(|resource| resource.namespace == wanted.namespace);
    match mesh.config().registry {
        Completeness::Closed => Some(Severity::Error),
        Completeness::Auto if close || known_namespace() => Some(Severity::Warning),
        Completeness::Open if close => Some(Severity::Warning),
        Completeness::Auto | Completeness::Open => None,
    }
}
