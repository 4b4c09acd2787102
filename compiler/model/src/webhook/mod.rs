//! What Istio's webhook refuses beyond the schema of a kind: a file for each kind, and for the kinds of values that
//! several have.
//!
//! It sees what the reader made of an object, so that it says nothing of a value that could not be read: that has its
//! finding already.

mod addresses;
mod client_tls;
mod connection_pool;
mod destination_rule;
mod domains;
mod durations;
mod export_to;
mod gateway;
mod labels;
mod load_balancer;
mod localities;
mod ports;
mod service_entry;
mod sidecar;
mod sidecar_tls;
mod traffic_policy;
mod virtual_service;
mod workload_entry;

use crate::{Metadata, Spanned, Spec, read::Reader};
use malha_syntax::{Finding, Node, RuleInfo, Span};

/// Judges an object of one of Istio's kinds as the webhook does. `node` is the whole object.
pub(crate) fn judge<'d>(node: Node<'d>, metadata: &Metadata, spec: &Spec, reader: &mut Reader<'d>) {
    let written = node.get("spec").filter(|spec| !spec.is_null()).unwrap_or(node);
    let mut judge = Judge { object: node, spec: written, reader };
    match spec {
        Spec::Gateway(gateway) => gateway::judge(metadata, gateway, &mut judge),
        Spec::VirtualService(service) => virtual_service::judge(service, &mut judge),
        Spec::DestinationRule(rule) => destination_rule::judge(metadata, rule, &mut judge),
        Spec::ServiceEntry(entry) => service_entry::judge(metadata, entry, &mut judge),
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
        self.report(finding);
    }

    /// Reports a finding that [`refuse`](Self::refuse) has too few words for, unless its field has one at that place
    /// already: of a value that the schema refuses, the webhook has nothing more to tell.
    fn report(&mut self, finding: Finding) {
        let same = |known: &Finding| known.location == finding.location && known.field == finding.field;
        if !self.reader.findings.iter().any(same) {
            self.reader.report(finding);
        }
    }

    /// Whether anything was found at `field` or below: what seems to be missing there may only be unreadable.
    fn troubled(&self, field: &str) -> bool {
        self.reader
            .findings
            .iter()
            .filter_map(|finding| finding.field.as_deref())
            .any(|known| known.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
    }

    /// Where to point at a whole value: at its key, or at itself in a list.
    fn head<T>(value: &Spanned<T>) -> Span {
        if value.key.is_empty() { value.span } else { value.key }
    }

    /// The namespace of the object, as the cluster completes it.
    fn namespace(metadata: &Metadata) -> &str {
        match &metadata.namespace {
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => "default",
        }
    }

    /// Where to point at a field of `node` that is not there: at the first key, as for other missing fields.
    fn place_of(node: Node<'_>) -> Span {
        node.entries().next().map_or(node.span(), |(key, _)| key.span())
    }
}
