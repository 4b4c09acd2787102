//! What the webhook refuses of a VirtualService.

use super::Judge;
use crate::istio::VirtualService;

pub(super) fn judge(_service: &VirtualService, _judge: &mut Judge<'_, '_>) {}
