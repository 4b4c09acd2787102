//! Which template of a chart a document was made from, as `helm template` says above each: `# Source: shop/templates/a.yaml`.

use malha_syntax::{Location, Sources};

const SOURCE: &str = "# Source: ";

/// The template that the document of a place was rendered from, if its first lines name one.
pub(super) fn rendered_from(sources: &Sources, place: Location) -> Option<&str> {
    let text = sources.get(place.source)?.text.as_str();
    let before = text.get(..place.span.start as usize)?;
    let separator = if before.starts_with("---") { Some(0) } else { None };
    let start = before.rfind("\n---").map(|at| at + 1).or(separator);
    // Helm begins each document with a separator, and names the template on the lines below it.
    let comments = text.get(start?..)?.lines().skip(1).take_while(|line| line.starts_with('#'));
    let template = comments.filter_map(|line| line.strip_prefix(SOURCE)).map(str::trim).next()?;
    (!template.is_empty()).then_some(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_syntax::Span;

    #[test]
    fn a_document_names_its_template() {
        let text = "---\n# Source: shop/templates/a.yaml\nkind: A\n---\nkind: B\n---\n# Source: shop/templates/c.yaml\nkind: C\n";
        let mut sources = Sources::default();
        let (source, _) = sources.decode("<stdin>", text.as_bytes());
        let of = |word: &str| {
            let start = text.find(word).expect("it is there") as u32;
            rendered_from(&sources, Location { source, span: Span::empty(start) })
        };
        assert_eq!(of("kind: A"), Some("shop/templates/a.yaml"));
        assert_eq!(of("kind: B"), None);
        assert_eq!(of("kind: C"), Some("shop/templates/c.yaml"));
    }
}
