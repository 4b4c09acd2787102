//! Where proxies and endpoints are: region, zone and subzone (semantics D31, E12).

use crate::labels::Labels;
use smol_str::SmolStr;

/// Labels that say a locality as a whole, the first that is there counts. Values of labels have no slashes: dots stand
/// for them.
const WHOLE: [&str; 2] = ["topology.istio.io/locality", "istio-locality"];

/// Labels that say it part by part.
const PARTS: [&str; 3] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/// The labels that a locality is read from.
pub(crate) fn label_names() -> impl Iterator<Item = &'static str> {
    WHOLE.into_iter().chain(PARTS)
}

/// The locality that labels say, as `region/zone/subzone`; none where they name no region.
pub(crate) fn of_labels(labels: &Labels) -> Option<SmolStr> {
    let given = |name: &'static str| labels.get(name).filter(|value| !value.is_empty());
    if let Some(whole) = WHOLE.into_iter().find_map(given) {
        return Some(if whole.contains('/') { whole.clone() } else { whole.replace('.', "/").into() });
    }
    let [region, zone, subzone] = PARTS.map(|name| given(name).map_or("", SmolStr::as_str));
    let whole = || format!("{region}/{zone}/{subzone}").trim_end_matches('/').into();
    (!region.is_empty()).then(whole)
}

/// A locality, by its parts; those that are not said are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locality<'a> {
    pub(crate) region: &'a str,
    zone: &'a str,
    subzone: &'a str,
}

impl<'a> Locality<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut parts = text.split('/');
        let mut next = || parts.next().unwrap_or_default();
        Locality { region: next(), zone: next(), subzone: next() }
    }

    /// Whether it is one that a setting names: `*` stands for any part, and so do zones and subzones that are not named
    /// (semantics D30).
    pub(crate) fn is_named_by(&self, setting: &str) -> bool {
        let named = Locality::parse(setting);
        let is_any = |part: &str| part.is_empty() || part == "*";
        (named.region == "*" || named.region == self.region)
            && (is_any(named.zone) || named.zone == self.zone)
            && (is_any(named.subzone) || named.subzone == self.subzone)
    }

    /// How far the other is: 0 for the same, 1 for the same zone, 2 for the same region, else 3 (semantics D31).
    pub(crate) fn distance(&self, other: &Locality<'_>) -> u32 {
        match () {
            () if self.region != other.region => 3,
            () if self.zone != other.zone => 2,
            () if self.subzone != other.subzone => 1,
            () => 0,
        }
    }

    /// What it makes of a label that says a part of it; none: the label is about something else, or it does not know.
    pub(crate) fn label(&self, name: &str) -> Option<&'a str> {
        let [region, zone, subzone] = PARTS;
        let part = match name {
            _ if name == region => self.region,
            _ if name == zone => self.zone,
            _ if name == subzone => self.subzone,
            _ => "",
        };
        Some(part).filter(|part| !part.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_a_locality() {
        let of = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            of_labels(&labels).map(String::from)
        };
        let [region, zone, subzone] = PARTS;
        assert_eq!(of(&[("app", "a")]), None);
        assert_eq!(of(&[("istio-locality", "eu.eu-1.rack")]).as_deref(), Some("eu/eu-1/rack"));
        assert_eq!(of(&[("istio-locality", "eu/eu.1")]).as_deref(), Some("eu/eu.1"), "a slash: dots are dots");
        assert_eq!(of(&[("istio-locality", "a"), (WHOLE[0], "b")]).as_deref(), Some("b"));
        assert_eq!(of(&[(region, "eu"), (zone, "eu-1"), (subzone, "rack")]).as_deref(), Some("eu/eu-1/rack"));
        assert_eq!(of(&[(region, "eu")]).as_deref(), Some("eu"));
        assert_eq!(of(&[(region, "eu"), ("istio-locality", "us.1")]).as_deref(), Some("us/1"));
        assert_eq!(of(&[(zone, "eu-1"), ("istio-locality", "")]), None, "a zone of no region");
    }

    #[test]
    fn settings_name_localities() {
        let own = Locality::parse("eu/eu-1/rack");
        for (setting, expected) in [
            ("eu/eu-1/rack", true),
            ("eu/eu-1", true),
            ("eu", true),
            ("*", true),
            ("eu/*", true),
            ("eu/*/rack", true),
            ("*/eu-1/*", true),
            ("", false),
            ("us", false),
            ("eu/eu-2", false),
            ("eu/eu-1/other", false),
        ] {
            assert_eq!(own.is_named_by(setting), expected, "D30: {setting}");
        }
        assert!(Locality::parse("").is_named_by("*") && !Locality::parse("").is_named_by("eu"), "D30");
    }

    #[test]
    fn the_more_parts_differ_the_farther() {
        let own = Locality::parse("eu/eu-1/rack");
        for (other, expected) in
            [("eu/eu-1/rack", 0), ("eu/eu-1", 1), ("eu/eu-2/rack", 2), ("us/eu-1/rack", 3), ("", 3)]
        {
            assert_eq!(own.distance(&Locality::parse(other)), expected, "D31: {other}");
        }
    }
}
