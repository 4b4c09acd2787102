//! What the webhook refuses of a Gateway.

use super::Judge;
use crate::{Metadata, istio::Gateway};

pub(super) fn judge(_metadata: &Metadata, _gateway: &Gateway, _judge: &mut Judge<'_, '_>) {}
