//! Label sets and selectors.

use malha_model::Entries;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// Labels by name.
pub type Labels = BTreeMap<SmolStr, SmolStr>;

/// The labels of a resource, or of a selector.
pub fn labels(entries: &Entries<SmolStr>) -> Labels {
    entries.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect()
}

/// Whether every label that `selector` names is among `labels` with its value (semantics A1, D16).
pub fn satisfies(labels: &Labels, selector: &Labels) -> bool {
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}
