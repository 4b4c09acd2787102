//! `exportTo`: the namespaces that see an object.

use super::{Judge, domains};
use crate::{
    Metadata, Spanned,
    read::shorten,
    rules::{DUPLICATE_ITEM, EXCLUSIVE_FIELDS, INVALID_NAME},
};
use malha_syntax::{Finding, Span};
use smol_str::SmolStr;
use std::collections::HashMap;

/// Of what an `exportTo` is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Of a ServiceEntry, which may be seen by nobody (`~`).
    ServiceEntry,
    /// Of another object.
    Other,
}

/// Judges `spec.exportTo` (rule C11).
pub(super) fn check_export_to(
    export_to: &[Spanned<SmolStr>],
    owner: Owner,
    metadata: &Metadata,
    judge: &mut Judge<'_, '_>,
) {
    let own = Judge::namespace(metadata);
    let mut known: HashMap<&str, Span> = HashMap::new();
    for (index, entry) in export_to.iter().enumerate() {
        let field = || format!("spec.exportTo[{index}]");
        let name = if entry.value == "." { own } else { entry.as_str() };
        if let Some(first) = known.get(name).copied() {
            let message = format!("the namespace `{name}` stands in `exportTo` twice");
            let finding = Finding::new(&DUPLICATE_ITEM, judge.reader.location(entry.span), message)
                .field(field())
                .related(judge.reader.location(first), "the first one is here")
                .help("leave one of them out; `.` is the namespace of the object");
            judge.report(finding);
            continue;
        }
        known.insert(name, entry.span);
        let all_or_none = name == "*" || (name == "~" && owner == Owner::ServiceEntry);
        if !all_or_none && !domains::is_label(name) {
            judge.refuse(
                &INVALID_NAME,
                field(),
                entry.span,
                not_namespace(name),
                "write the name of a namespace, `.` for the object's own, or `*` for all",
            );
        } else if all_or_none && export_to.len() > 1 {
            let whom = if name == "*" { "everybody" } else { "nobody" };
            judge.refuse(
                &EXCLUSIVE_FIELDS,
                field(),
                entry.span,
                format!(
                    "`{name}` exports to {whom}, and must stand alone, but `exportTo` has {} entries",
                    export_to.len()
                ),
                "keep it alone, or name the namespaces one by one",
            );
        }
    }
}

fn not_namespace(name: &str) -> String {
    match name {
        "" => "an empty text names no namespace".to_owned(),
        "~" => "`~` (nobody) can be said of a ServiceEntry only".to_owned(),
        _ => format!("`{}` is no name of a namespace", shorten(name)),
    }
}

/// Judges the `exportTo` of a DestinationRule that has a `workloadSelector`: it works in its own namespace alone.
pub(super) fn check_own_namespace(
    export_to: &[Spanned<SmolStr>],
    selector: Span,
    metadata: &Metadata,
    judge: &mut Judge<'_, '_>,
) {
    let own = Judge::namespace(metadata);
    for (index, entry) in export_to.iter().enumerate().filter(|(_, entry)| *entry.value != *"." && *entry.value != *own)
    {
        let message = format!(
            "`{}` is not the namespace of this DestinationRule, and one with a `workloadSelector` works in its own alone",
            shorten(entry)
        );
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(entry.span), message)
            .field(format!("spec.exportTo[{index}]"))
            .related(judge.reader.location(selector), "the `workloadSelector` is here")
            .help("write `exportTo: [.]`, or remove `workloadSelector`");
        judge.report(finding);
    }
}
