//! What the webhook refuses of a DestinationRule.

use super::Judge;
use crate::istio::DestinationRule;

pub(super) fn judge(_rule: &DestinationRule, _judge: &mut Judge<'_, '_>) {}
