//! What the webhook refuses of a ServiceEntry.

use super::Judge;
use crate::istio::ServiceEntry;

pub(super) fn judge(_entry: &ServiceEntry, _judge: &mut Judge<'_, '_>) {}
