//! What Istio's webhook refuses beyond the schema of a kind: a file for each kind, and for the kinds of values that
//! several have.
//!
//! It sees what the reader made of an object, so that it says nothing of a value that could not be read: that has its
//! finding already.

mod destination_rule;
mod gateway;
mod service_entry;
mod sidecar;
mod virtual_service;
mod workload_entry;

use crate::{Metadata, Spec, read::Reader};
use malha_syntax::{Finding, Node, RuleInfo, Span};

/// Judges an object of one of Istio's kinds as the webhook does. `node` is the whole object.
pub(crate) fn judge<'d>(node: Node<'d>, metadata: &Metadata, spec: &Spec, reader: &mut Reader<'d>) {
    let written = node.get("spec").filter(|spec| !spec.is_null()).unwrap_or(node);
    let mut judge = Judge { object: node, spec: written, reader };
    match spec {
        Spec::Gateway(gateway) => gateway::judge(metadata, gateway, &mut judge),
        Spec::VirtualService(service) => virtual_service::judge(service, &mut judge),
        Spec::DestinationRule(rule) => destination_rule::judge(rule, &mut judge),
        Spec::ServiceEntry(entry) => service_entry::judge(entry, &mut judge),
        Spec::WorkloadEntry(entry) => workload_entry::judge(entry, &mut judge),
        Spec::Sidecar(sidecar) => sidecar::judge(sidecar, &mut judge),
        _ => {}
    }
}

/// Gathers what is refused of one object.
struct Judge<'r, 'd> {
    /// The whole object.
    object: Node<'d>,
    /// Its `spec`, or the object where it has none.
    spec: Node<'d>,
    reader: &'r mut Reader<'d>,
}

impl Judge<'_, '_> {
    /// Refuses the value at `span`, which is the field `field` (as `spec.servers[0].bind`): what is wrong, and how to mend
    /// it.
    fn refuse(
        &mut self,
        rule: &'static RuleInfo,
        field: impl Into<String>,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let finding = Finding::new(rule, self.reader.location(span), message).field(field).help(help);
        self.reader.report(finding);
    }

    /// Where to point at a field of `node` that is not there: at the first key, as for other missing fields.
    fn place_of(node: Node<'_>) -> Span {
        node.entries().next().map_or(node.span(), |(key, _)| key.span())
    }
}
