//! Hover: what a field is for, what a rule wins and loses, what a finding means.

use super::{
    cursor::{Cursor, Step},
    documents::Documents,
    fields::Schemas,
    meshes::{Checked, Meshes},
    positions::Lines,
    uri,
};
use crate::{report, rules};
use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind, TextDocumentPositionParams};
use malha_lint::{RowAccount, RowLoss, Standing, account};
use malha_mesh::{ObjectName, VirtualService};
use malha_syntax::{Finding, Location, RuleName, SourceId, Span, read};
use malha_table::Request;
use std::{fmt::Write as _, sync::Arc};

/// More losses than these are counted.
const SHOWN: usize = 6;

/// What there is to say of the place under the cursor.
pub(super) fn hover(
    place: &TextDocumentPositionParams,
    meshes: &Meshes,
    documents: &Documents,
    schemas: &Schemas,
) -> Option<Hover> {
    let path = uri::path(&place.text_document.uri)?;
    documents.get(&path)?;
    let (checked, file) = meshes.find(&path)?;
    let source = checked.source(Location { source: file.source, span: Span::empty(0) })?;
    let lines = Lines::new(&source.text);
    let offset = lines.offset(place.position) as u32;
    let parsed = read(file.source, &source.text).documents;
    let cursor = Cursor::find(&parsed, offset);

    let mut parts = Vec::new();
    let mut on = None;
    if let Some(cursor) = &cursor {
        on = cursor.on;
        parts.extend(field(cursor, schemas));
        parts.extend(rule(cursor, checked, file.source));
    }
    let mut told: Vec<&str> = Vec::new();
    for finding in &checked.findings {
        let span = finding.location.span;
        let touches = span.start <= offset && offset <= span.end;
        if finding.location.source != file.source || !touches || told.contains(&finding.rule.code) {
            continue;
        }
        told.push(finding.rule.code);
        parts.extend(meaning(finding));
    }
    if parts.is_empty() {
        return None;
    }
    let value = parts.join("\n\n---\n\n");
    Some(Hover {
        contents: HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value }),
        range: on.map(|span| lines.range(span)),
    })
}

/// The documentation of a field.
fn field(cursor: &Cursor<'_>, schemas: &Schemas) -> Option<String> {
    let name = cursor.keys().last().copied()?;
    let field = schemas.field(cursor.kind, &cursor.steps)?;
    // An item has no words of its own: its list's are told.
    let of_list = || {
        let key = cursor.steps.iter().rposition(|step| matches!(step, Step::Key(_)))?;
        schemas.field(cursor.kind, cursor.steps.get(..=key)?)?.description()
    };
    let description = match cursor.steps.last() {
        Some(Step::Item(_)) => of_list(),
        _ => field.description(),
    }?;
    let mut text = format!("`{name}` ({})\n\n{description}", field.shape());
    let value = cursor.nodes.last().map(|node| node.text()).filter(|_| !cursor.is_on_key);
    let choices = field.choices();
    let chosen = choices.iter().find(|choice| Some(choice.value) == value);
    if let Some((choice, description)) = chosen.and_then(|choice| Some((choice, choice.description?))) {
        let _ = write!(text, "\n\n`{}`: {description}", choice.value);
    }
    Some(text)
}

/// What the rule under the cursor wins and loses, or the one match that the cursor is in.
fn rule(cursor: &Cursor<'_>, checked: &Checked, source: SourceId) -> Option<String> {
    if cursor.kind != "VirtualService" {
        return None;
    }
    let span = match cursor.steps.as_slice() {
        [
            Step::Key("spec"),
            Step::Key("http" | "tls" | "tcp"),
            Step::Item(_),
            Step::Key("match"),
            Step::Item(_),
            ..,
        ] => cursor.nodes.get(4)?.span(),
        // Other fields say what the rule does, not what it takes.
        [Step::Key("spec"), Step::Key("http" | "tls" | "tcp"), Step::Item(_)]
        | [
            Step::Key("spec"),
            Step::Key("http" | "tls" | "tcp"),
            Step::Item(_),
            Step::Key("match" | "name" | "route" | "redirect" | "directResponse" | "delegate"),
        ] => cursor.nodes.get(2)?.span(),
        _ => return None,
    };
    let name = ObjectName::new(cursor.namespace(), cursor.metadata("name")?);
    let mut accounts = Vec::new();
    for service in services(checked, &name) {
        let wanted = |location: Location| {
            location.source == source && span.start <= location.span.start && location.span.end <= span.end
        };
        let own = account(&checked.mesh, &checked.program, service, &wanted);
        accounts.extend(own.into_iter().map(|account| (service, account)));
    }
    let places = checked.places();
    let told: Vec<String> = accounts.iter().map(|(service, account)| tell(account, service, &name, &places)).collect();
    (!told.is_empty()).then(|| told.join("\n\n"))
}

/// The VirtualService of a name; those that delegate to it, if it is a delegate.
fn services<'c>(checked: &'c Checked, name: &ObjectName) -> Vec<&'c Arc<VirtualService>> {
    let Some(own) = checked.mesh.virtual_service(name) else { return Vec::new() };
    if !own.hosts.is_empty() {
        return vec![own];
    }
    let delegates = |service: &&Arc<VirtualService>| service.delegations.iter().any(|one| one.target == *name);
    checked.mesh.virtual_services().iter().filter(delegates).collect()
}

/// One account in words.
fn tell(
    account: &RowAccount,
    service: &VirtualService,
    own: &ObjectName,
    places: &impl Fn(Location) -> (String, u32),
) -> String {
    let mut text = format!("**`{}`**", path(&account.row));
    if service.name != *own {
        let _ = write!(text, " as `{}` delegates to it", service.name);
    }
    text.push_str(match &account.standing {
        Standing::Wins(Some(_)) => " wins requests",
        Standing::Wins(None) => " wins requests of which none can be shown: no proxy that is known here takes them",
        Standing::Impossible(_) => " wins nothing: no request can meet its conditions",
        Standing::Taken => " wins nothing: earlier rules take all that it asks for",
        Standing::Unknown => ": whether a request reaches it takes too long to prove",
    });
    match &account.standing {
        Standing::Wins(Some(request)) => {
            let _ = write!(text, ", such as {}", shown(request));
        }
        Standing::Impossible(conditions) => {
            let _ = write!(text, " (`{conditions}`)");
        }
        _ => {}
    }
    if !account.losses.is_empty() {
        text.push_str("\n\nBefore it, of what it asks for:\n");
    }
    for RowLoss { to, location, request } in account.losses.iter().take(SHOWN) {
        let (file, line) = places(*location);
        let _ = write!(text, "\n- `{}` ({file}:{line}) takes a part", path(to));
        if let Some(request) = request {
            let _ = write!(text, ", such as {}", shown(request));
        }
    }
    if let Some(more) = account.losses.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = write!(text, "\n- and {more} more");
    }
    if account.is_partial {
        text.push_str("\n\nNot all rules before it were looked at.");
    }
    text
}

/// The path of a match, as findings have it.
fn path(row: &RuleName) -> String {
    let rule = format!("spec.{}[{}]", row.section, row.index);
    row.match_index.map_or_else(|| rule.clone(), |item| format!("{rule}.match[{item}]"))
}

/// A request in a line.
fn shown(request: &Request) -> String {
    let mut text = String::new();
    let authority = request.authority.as_deref().unwrap_or_default();
    if request.protocol.is_some_and(|protocol| protocol != malha_table::Protocol::Http) {
        let name = request.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        let _ = write!(text, "a connection to {}", name.unwrap_or("any name"));
    } else {
        let method = request.method.as_deref().unwrap_or("GET");
        let _ = write!(text, "{method} {authority}{}", request.path.as_deref().unwrap_or("/"));
    }
    for (name, lines) in &request.headers {
        for line in lines.iter() {
            let _ = write!(text, " {name}: {line}");
        }
    }
    // What a header holds is free; in code a backtick would end it.
    let mut text = format!("`{}`", text.replace(['\n', '\r', '`'], " "));
    if let Some(via) = &request.via {
        let _ = write!(text, " via `{via}`");
    }
    text
}

/// What a finding means.
fn meaning(finding: &Finding) -> Option<String> {
    let rule = rules::named(finding.rule.code).next()?;
    let mut text = format!("**{} {}**\n\n{}\n\n{}", rule.info.code, rule.info.name, rule.what, rule.why);
    let command = finding.witness.as_ref().and_then(report::replay);
    if let Some(command) = command {
        let _ = write!(text, "\n\nTry it while `malha run` runs:\n\n```sh\n{command}\n```");
    }
    Some(text)
}
