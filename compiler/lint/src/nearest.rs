//! The name that was probably meant.

/// The name among `known` that is closest to `written`, if one is close enough to be a slip of it.
pub(crate) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (written.chars().count() / 3).clamp(1, 3);
    known
        .filter(|name| *name != written)
        .map(|name| (strsim::osa_distance(written, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["shop", "mesh", "istio-system/public"];
        assert_eq!(nearest("shopp", known.into_iter()), Some("shop"));
        assert_eq!(nearest("istio-systm/public", known.into_iter()), Some("istio-system/public"));
        assert_eq!(nearest("payment", known.into_iter()), None);
        assert_eq!(nearest("v2", ["v1", "v3"].into_iter()), Some("v1"));
    }
}
