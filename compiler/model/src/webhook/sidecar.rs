//! What the webhook refuses of a Sidecar.

use super::Judge;
use crate::istio::Sidecar;

pub(super) fn judge(_sidecar: &Sidecar, _judge: &mut Judge<'_, '_>) {}
