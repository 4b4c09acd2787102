//! Rules for HTTP as they are in force, and where they are written.

use malha_mesh::{HttpRule, Mesh, VirtualService};
use malha_syntax::{Finding, Location, RuleInfo, Span};

/// A rule of a VirtualService, or of a delegate that is merged into one.
#[derive(Clone, Copy)]
pub(crate) struct WrittenRule<'a> {
    pub(crate) service: &'a VirtualService,
    pub(crate) rule: HttpRule<'a>,
    /// Which of the rules it is, delegates' rules counted one by one.
    pub(crate) number: usize,
}

/// The rules in force of a mesh. Those of delegates come with each VirtualService that they are merged into.
pub(crate) fn written_rules(mesh: &Mesh) -> impl Iterator<Item = WrittenRule<'_>> {
    let services = mesh.virtual_services().iter().filter(|service| !service.hosts.is_empty());
    services.flat_map(|service| rules_of(service))
}

/// The rules in force of one VirtualService.
pub(crate) fn rules_of(service: &VirtualService) -> impl Iterator<Item = WrittenRule<'_>> {
    service.http_rules().enumerate().map(move |(number, rule)| WrittenRule { service, rule, number })
}

impl WrittenRule<'_> {
    /// Where a part of it is. Of a merged rule each part may lie in the delegate or in the root: then it is all of the
    /// delegate's rule.
    pub(crate) fn location(&self, span: Span) -> Location {
        self.rule.delegate.map_or_else(|| self.service.resource.location(span), |delegate| delegate.location)
    }

    /// Its path, as `spec.http[1]`.
    pub(crate) fn path(&self) -> String {
        format!("spec.http[{}]", self.rule.delegate.map_or(self.rule.index, |delegate| delegate.index))
    }

    /// A finding about its field `below`, as `timeout`, which is at `span`.
    pub(crate) fn finding(&self, info: &'static RuleInfo, span: Span, below: &str, message: String) -> Finding {
        let resource = self.rule.delegate.map_or(&self.service.resource, |delegate| &delegate.resource);
        let path = self.path();
        let field = if below.is_empty() { path } else { format!("{path}.{below}") };
        Finding::new(info, self.location(span), message).resource(resource.resource_name()).field(field)
    }
}
