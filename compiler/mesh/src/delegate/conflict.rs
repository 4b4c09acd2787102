//! Whether a match item of a delegate refines one of its root (semantics B20, B21).

use malha_model::{
    Entries,
    istio::virtual_service::{HttpMatchRequest, StringMatch},
};

/// The first field in which `leaf`, an item of the delegate, disagrees with `root`; none: it refines it.
///
/// Gateways in both are whole names.
pub(super) fn conflict(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> Option<&'static str> {
    let texts = [
        ("uri", root.uri.as_ref(), leaf.uri.as_ref()),
        ("scheme", root.scheme.as_deref(), leaf.scheme.as_deref()),
        ("method", root.method.as_deref(), leaf.method.as_deref()),
        ("authority", root.authority.as_deref(), leaf.authority.as_deref()),
    ];
    for (field, root, leaf) in texts {
        if let (Some(root), Some(leaf)) = (root, leaf)
            && disagree(root, leaf)
        {
            return Some(field);
        }
    }
    let maps = [
        ("headers", &root.headers, &leaf.headers),
        ("withoutHeaders", &root.without_headers, &leaf.without_headers),
        ("queryParams", &root.query_params, &leaf.query_params),
    ];
    for (field, root, leaf) in maps {
        if any_disagree(root, leaf) {
            return Some(field);
        }
    }
    static_conflict(root, leaf)
}

/// The same for the fields that hold no text of the request.
fn static_conflict(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> Option<&'static str> {
    let ignores_case = |item: &HttpMatchRequest| item.ignore_uri_case.as_ref().is_some_and(|ignore| ignore.value);
    if ignores_case(root) != ignores_case(leaf) {
        return Some("ignoreUriCase");
    }
    let port = |item: &HttpMatchRequest| item.port.as_ref().map_or(0, |port| port.value);
    if port(root) > 0 && port(leaf) > 0 && port(root) != port(leaf) {
        return Some("port");
    }
    // Saying nothing is a disagreement too, where the root names a namespace.
    let namespace = |item: &HttpMatchRequest| item.source_namespace.as_ref().map(|name| name.value.clone());
    let root_namespace = namespace(root).unwrap_or_default();
    if !root_namespace.is_empty() && root_namespace != namespace(leaf).unwrap_or_default() {
        return Some("sourceNamespace");
    }
    for (name, value) in &leaf.source_labels {
        if root.source_labels.get(name).is_some_and(|other| other != value) {
            return Some("sourceLabels");
        }
    }
    let known = |name| root.gateways.iter().any(|gateway| gateway == name);
    if !root.gateways.is_empty() && !leaf.gateways.iter().all(known) {
        return Some("gateways");
    }
    None
}

fn any_disagree(root: &Entries<StringMatch>, leaf: &Entries<StringMatch>) -> bool {
    leaf.iter().any(|(name, leaf)| root.get(name).is_some_and(|root| disagree(root, leaf)))
}

/// Whether `leaf` does not refine `root` (semantics B20). An empty text counts as none.
fn disagree(root: &StringMatch, leaf: &StringMatch) -> bool {
    let text = |value: &StringMatch| value.text().map(|text| text.value.clone()).unwrap_or_default();
    let (root_text, leaf_text) = (text(root), text(leaf));
    if root_text.is_empty() || leaf_text.is_empty() {
        return true;
    }
    match (root, leaf) {
        (StringMatch::Exact(_), StringMatch::Exact(_)) => root_text != leaf_text,
        (StringMatch::Prefix(_), StringMatch::Exact(_) | StringMatch::Prefix(_)) => {
            !leaf_text.starts_with(root_text.as_str())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_model::Spanned;
    use malha_syntax::Span;
    use smol_str::SmolStr;

    fn at<T>(value: T) -> Spanned<T> {
        Spanned::new(value, Span::default(), Span::default())
    }

    fn text(written: &str) -> StringMatch {
        let (kind, text) = written.split_once(' ').unwrap_or((written, ""));
        let text = at(SmolStr::new(text));
        match kind {
            "exact" => StringMatch::Exact(text),
            "prefix" => StringMatch::Prefix(text),
            "regex" => StringMatch::Regex(text),
            _ => StringMatch::Any,
        }
    }

    #[test]
    fn texts_of_a_delegate_refine_those_of_its_root() {
        let cases = [
            ("prefix /a", "prefix /a/b", false),
            ("prefix /a", "prefix /ab", false),
            ("prefix /a", "exact /a", false),
            ("exact /a", "exact /a", false),
            ("prefix /a", "prefix /b", true),
            ("exact /a", "prefix /a", true),
            ("exact /a", "exact /b", true),
            ("regex /a", "regex /a", true),
            ("regex /a", "prefix /a", true),
            ("prefix /a", "regex /a.*", true),
            ("any", "exact a", true),
            ("prefix /a", "any", true),
            ("any", "any", true),
            ("exact", "exact", true),
        ];
        for (root, leaf, expected) in cases {
            assert_eq!(disagree(&text(root), &text(leaf)), expected, "B20: {root} against {leaf}");
        }
    }

    #[test]
    fn a_root_that_names_a_source_namespace_wants_it_repeated() {
        let named =
            |name: &str| HttpMatchRequest { source_namespace: Some(Box::new(at(name.into()))), ..Default::default() };
        let silent = HttpMatchRequest::default();
        assert_eq!(conflict(&named("prod"), &silent), Some("sourceNamespace"), "B21");
        assert_eq!(conflict(&named("prod"), &named("test")), Some("sourceNamespace"), "B21");
        assert_eq!(conflict(&named("prod"), &named("prod")), None, "B21");
        assert_eq!(conflict(&silent, &named("prod")), None, "B21");
    }

    #[test]
    fn gateways_of_a_delegate_are_among_those_of_its_root() {
        let of = |names: &[&str]| HttpMatchRequest {
            gateways: names.iter().map(|name| at(SmolStr::new(name))).collect(),
            ..Default::default()
        };
        assert_eq!(conflict(&of(&["a/x", "a/y"]), &of(&["a/y"])), None, "B21");
        assert_eq!(conflict(&of(&["a/x"]), &of(&[])), None, "B21");
        assert_eq!(conflict(&of(&[]), &of(&["a/x"])), None, "B21");
        assert_eq!(conflict(&of(&["a/x"]), &of(&["a/x", "a/y"])), Some("gateways"), "B21");
    }

    #[test]
    fn ports_and_case_are_not_widened() {
        let port = |number| HttpMatchRequest { port: Some(at(number)), ..Default::default() };
        let folded = HttpMatchRequest { ignore_uri_case: Some(at(true)), ..Default::default() };
        assert_eq!(conflict(&port(80), &port(81)), Some("port"), "B21");
        assert_eq!(conflict(&port(80), &HttpMatchRequest::default()), None, "B21");
        assert_eq!(conflict(&folded, &HttpMatchRequest::default()), Some("ignoreUriCase"), "B21");
    }
}
