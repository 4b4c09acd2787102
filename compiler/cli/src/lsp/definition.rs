//! Go to definition: from a name to what it names.

use super::{
    cursor::Cursor,
    diagnostics::Places,
    documents::Documents,
    meshes::Meshes,
    positions::Lines,
    references::{Names, Reference},
    uri,
};
use lsp_types::{GotoDefinitionResponse, TextDocumentPositionParams};
use malha_syntax::{Location, Node, read};

/// Where what is under the cursor is defined; several places if several objects say what it is.
pub(super) fn definition(
    place: &TextDocumentPositionParams,
    meshes: &Meshes,
    documents: &Documents,
) -> Option<GotoDefinitionResponse> {
    let path = uri::path(&place.text_document.uri)?;
    let (checked, file) = meshes.find(&path)?;
    let source = checked.source(Location { source: file.source, span: malha_syntax::Span::empty(0) })?;
    let offset = Lines::new(&source.text).offset(place.position) as u32;
    let parsed = read(file.source, &source.text).documents;
    let cursor = Cursor::find(&parsed, offset)?;
    let reference = Reference::of(&cursor)?;
    let value = cursor.nodes.last().copied()?;
    let (names, text) = (Names::of(&checked.mesh, &cursor), value.text());
    if text.is_empty() {
        return None;
    }
    let places: Vec<Location> = match reference {
        Reference::Host => {
            let own = cursor.object.get("metadata").and_then(|metadata| metadata.get("name"));
            let own = own.map(|name| Location { source: file.source, span: name.span() });
            names.host_places(text, own)
        }
        Reference::Subset { host } => names.subset_places(host, text),
        Reference::Port { host } => names.port_places(host, text.parse().ok()?),
        Reference::Gateway => names.gateway_place(text).into_iter().collect(),
        Reference::Delegate { namespace } => {
            let name = cursor.parent().get("name").map(Node::text)?;
            names.virtual_service_place(namespace, name).into_iter().collect()
        }
        Reference::Secret => {
            let gateway = cursor.metadata("name").filter(|_| cursor.kind == "Gateway");
            names.secret_places(text, gateway)
        }
    };
    let mut found = Places::new(checked, documents);
    let found: Vec<_> = places.into_iter().filter_map(|place| found.of(place)).collect();
    (!found.is_empty()).then_some(GotoDefinitionResponse::Array(found))
}
