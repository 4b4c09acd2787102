//! Where findings point.

use malha_model::Resource;
use malha_syntax::Location;

/// The name of an object, where it is written.
pub(crate) fn named(resource: &Resource) -> Location {
    let span = resource.metadata.name.as_ref().map_or(resource.span, |name| name.span);
    resource.location(span)
}
