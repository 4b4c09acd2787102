//! The name that somebody may have meant.

/// No name that anything is called has more bytes; comparing costs the product of the lengths.
const LONGEST: usize = 256;

/// The candidate that `name` is most likely a slip of, if one is near enough: of equals the first. What is `name` itself
/// is no candidate.
///
/// Case, hyphens and underscores are what people get wrong first, and cost nothing. Beyond these a slip has three
/// letters at most, and fewer in a short name.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > LONGEST {
        return None;
    }
    let (folded, length) = (fold(name), name.chars().count());
    let near = candidates.into_iter().filter(|candidate| *candidate != name && candidate.len() <= LONGEST);
    let near = near.filter_map(|candidate| {
        let shorter = length.min(candidate.chars().count());
        let distance = strsim::osa_distance(&folded, &fold(candidate));
        (distance <= (shorter / 3).clamp(1, 3) && distance < shorter).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["shop", "mesh", "istio-system/public", "select", "ignore", "httpsRedirect"];
        for (written, meant) in [
            ("shopp", Some("shop")),
            ("istio-systm/public", Some("istio-system/public")),
            ("slecet", Some("select")),
            ("https_redirect", Some("httpsRedirect")),
            ("shop", None),
            ("payment", None),
            ("istio-system/private", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
        assert_eq!(nearest("v2", ["v1", "v3"]), Some("v1"));
        assert_eq!(nearest(&"a".repeat(1 << 20), known), None);
    }
}
