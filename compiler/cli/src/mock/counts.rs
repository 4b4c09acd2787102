//! How many requests each stand-in got.

use super::answer::Identity;
use crate::locked::locked;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// Requests by `NAMESPACE/WORKLOAD`. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counts {
    /// Adds to the count of a stand-in; 0 makes it known.
    pub(super) fn add(&self, identity: &Identity, requests: u64) {
        let name = format!("{}/{}", identity.namespace, identity.workload);
        *locked(&self.0).entry(name).or_default() += requests;
    }

    /// All counts, as the admin server shows them.
    pub fn to_json(&self) -> Value {
        let counts = locked(&self.0);
        counts.iter().map(|(name, count)| (name.clone(), Value::from(*count))).collect()
    }
}
