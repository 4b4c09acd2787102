//! The order in which configs of one kind are processed (semantics 0.1).

use malha_model::Resource;
use smol_str::SmolStr;

/// What configs are ordered by: creation, name, namespace. Files without a time of creation count as the oldest.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age {
    created: Option<SmolStr>,
    name: SmolStr,
    namespace: SmolStr,
}

impl Age {
    /// The age of `resource`, under another name than its own.
    pub(crate) fn of(resource: &Resource, name: &str) -> Self {
        // Kubernetes writes these in UTC and with whole seconds, so that their text sorts as their time does.
        let created = resource.metadata.creation_timestamp.as_ref().map(|time| time.value.clone());
        Age { created, name: name.into(), namespace: resource.namespace.clone() }
    }
}
