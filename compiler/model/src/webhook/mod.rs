//! What Istio's webhook refuses beyond the schema of a kind: a file for each kind, and for the kinds of values that
//! several have.
//!
//! It sees what the reader made of an object, so that it says nothing of a value that could not be read: that has its
//! finding already.

mod addresses;
mod client_tls;
mod connection_pool;
mod destination_rule;
mod durations;
mod gateway;
mod headers;
mod hosts;
mod labels;
mod load_balancer;
mod localities;
mod place;
mod ports;
mod service_entry;
mod sidecar;
mod sidecar_tls;
mod traffic_policy;
mod virtual_service;
mod workload_entry;

use crate::{
    Metadata, Spanned, Spec,
    read::Reader,
    rules::{
        EXCLUSIVE_FIELDS, INVALID_DURATION, INVALID_TEXT, MISSING_FIELD, OUT_OF_RANGE, UNKNOWN_ENUM_VALUE,
        UNKNOWN_FIELD, WRONG_TYPE,
    },
};
use malha_syntax::{Finding, Node, RuleInfo, Span};

/// What the schema refuses, of which the reader may have kept nothing.
const BY_THE_SCHEMA: [&RuleInfo; 8] = [
    &UNKNOWN_FIELD,
    &MISSING_FIELD,
    &WRONG_TYPE,
    &UNKNOWN_ENUM_VALUE,
    &OUT_OF_RANGE,
    &EXCLUSIVE_FIELDS,
    &INVALID_DURATION,
    &INVALID_TEXT,
];

/// Judges an object of one of Istio's kinds as the webhook does. `node` is the whole object.
///
/// Nobody asks the webhook about an object that the schema refuses, and neither is it asked here: what could not be read
/// would look like what is missing.
pub(crate) fn judge<'d>(node: Node<'d>, metadata: &Metadata, spec: &Spec, reader: &mut Reader<'d>) {
    if reader.has_gaps || reader.findings.iter().any(|finding| BY_THE_SCHEMA.contains(&finding.rule)) {
        return;
    }
    let written = node.get("spec").filter(|spec| !spec.is_null()).unwrap_or(node);
    let mut judge = Judge { object: node, spec: written, reader };
    match spec {
        Spec::Gateway(gateway) => gateway::judge(metadata, gateway, &mut judge),
        Spec::VirtualService(service) => virtual_service::judge(metadata, service, &mut judge),
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
    /// already: one is enough for each.
    fn report(&mut self, finding: Finding) {
        let same = |known: &Finding| known.location == finding.location && known.field == finding.field;
        if !self.reader.findings.iter().any(same) {
            self.reader.report(finding);
        }
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
