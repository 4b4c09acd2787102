//! What the webhook refuses of a WorkloadEntry.

use super::Judge;
use crate::istio::WorkloadEntry;

pub(super) fn judge(_entry: &WorkloadEntry, _judge: &mut Judge<'_, '_>) {}
