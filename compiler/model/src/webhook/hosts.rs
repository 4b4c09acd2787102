//! Values that name hosts, and those who may use them: domains with and without wildcards, namespaces in `exportTo`,
//! gateways.

use super::{Judge, addresses, place::Place};
use crate::{
    Spanned,
    read::shorten,
    rules::{DUPLICATE_ITEM, EXCLUSIVE_FIELDS, INVALID_NAME, INVALID_TEXT},
};
use smol_str::SmolStr;
use std::collections::HashMap;

/// Most characters of a domain.
const LONGEST_DOMAIN: usize = 255;
/// Most characters of one part of a domain.
const LONGEST_LABEL: usize = 63;

/// How to mend a name that is not one.
pub(super) const NAME_HELP: &str =
    "use parts of at most 63 letters, digits and inner hyphens, with dots between them, as `api.example.com`";

/// Whether `text` is a DNS label as Istio takes it: capitals are fine, unlike in names of Kubernetes.
pub(super) fn is_label(text: &str) -> bool {
    let text = text.as_bytes();
    let [first, .., last] = text else { return matches!(text, [only] if only.is_ascii_alphanumeric()) };
    text.len() <= LONGEST_LABEL
        && first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Whether `text` may be the first part of a domain with a wildcard: `*`, or a label with `*` or `*-` before it.
fn is_wildcard_label(text: &str) -> bool {
    let rest = text.strip_prefix("*-").or_else(|| text.strip_prefix('*'));
    text.len() <= LONGEST_LABEL && (text == "*" || is_label(rest.unwrap_or(text)))
}

/// What keeps `text` from being a domain without a wildcard, as the end of a message.
pub(super) fn domain_fault(text: &str) -> Option<String> {
    length_fault(text).or_else(|| labels_fault(text))
}

/// What keeps `text` from being a domain whose first part may have a wildcard, as the end of a message.
pub(super) fn wildcard_fault(text: &str) -> Option<String> {
    if let Some(fault) = length_fault(text) {
        return Some(fault);
    }
    let (first, rest) = text.split_once('.').map_or((text, None), |(first, rest)| (first, Some(rest)));
    if !is_wildcard_label(first) {
        return Some(label_fault(first));
    }
    rest.and_then(labels_fault)
}

fn length_fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    (text.len() > LONGEST_DOMAIN).then(|| format!("it has more than {LONGEST_DOMAIN} characters"))
}

fn labels_fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    // The root that a name may end with is no label.
    let relative = text.strip_suffix('.').unwrap_or(text);
    let top = text.rsplit('.').next().unwrap_or(text);
    // More digits than a number of 64 bits has are no number to Istio.
    if !top.starts_with(|first: char| first.is_ascii_alphabetic()) && top.parse::<i64>().is_ok() {
        return Some(format!("its last part `{top}` is a number"));
    }
    relative.split('.').find(|label| !is_label(label)).map(label_fault)
}

fn label_fault(label: &str) -> String {
    if label.is_empty() {
        return "one of the parts between its dots is empty".to_owned();
    }
    if label.len() > LONGEST_LABEL {
        return format!("its part `{}` has more than {LONGEST_LABEL} characters", shorten(label));
    }
    if label.contains('*') {
        return format!("its part `{}` has a `*` elsewhere than at the start of the whole", shorten(label));
    }
    format!("its part `{}` has more than letters, digits and inner hyphens", shorten(label))
}

/// Whether every host that `narrow` stands for is one that `wide` stands for.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    match (wide.strip_prefix('*'), narrow.strip_prefix('*')) {
        (Some(wide), Some(narrow)) => narrow.ends_with(wide),
        (Some(wide), None) => narrow.ends_with(wide),
        (None, Some(_)) => false,
        (None, None) => wide == narrow,
    }
}

impl Judge<'_, '_> {
    /// Judges a name that must be a DNS label; `what` says of what it is the name, as "a subset".
    pub(super) fn label(&mut self, place: &Place<'_>, name: &Spanned<SmolStr>, what: &str) {
        if is_label(name) {
            return;
        }
        let message = format!("\"{}\" is not a name for {what}: a DNS label is demanded", shorten(name));
        self.refuse(&INVALID_NAME, place, name.span, message, "use at most 63 letters, digits and inner hyphens");
    }

    /// Judges who may see a resource of `namespace`. `nobody`: whether `~` may be said.
    pub(super) fn export_to(&mut self, namespaces: &[Spanned<SmolStr>], namespace: &str, nobody: bool) {
        let list = Place::SPEC.key("exportTo");
        let mut known = HashMap::new();
        for (index, entry) in namespaces.iter().enumerate() {
            let place = list.item(index);
            let name = if *entry.value == *"." { namespace } else { entry.value.as_str() };
            if known.insert(name, index).is_some() {
                let message = if name == entry.value {
                    format!("`exportTo` has `{}` twice", shorten(entry))
                } else {
                    format!("`exportTo` has `.` and `{namespace}`, which are the same namespace")
                };
                self.refuse(&DUPLICATE_ITEM, &place, entry.span, message, "keep one of them");
            } else if !(name == "*" || nobody && name == "~" || is_label(name)) {
                let message = format!("\"{}\" is neither a namespace nor `.` or `*`", shorten(entry));
                let help = if name == "~" {
                    "only a ServiceEntry can be exported to nobody; `.` keeps this in its own namespace"
                } else {
                    "write the name of a namespace, `.` for the resource's own, or `*` alone for all"
                };
                self.refuse(&INVALID_NAME, &place, entry.span, message, help);
            }
        }
        for alone in ["*", "~"].into_iter().filter(|alone| *alone == "*" || nobody) {
            let Some(index) = known.get(alone).copied().filter(|_| namespaces.len() > 1) else { continue };
            let Some(entry) = namespaces.get(index) else { continue };
            let all = if alone == "*" { "all namespaces" } else { "no namespace" };
            let message = format!("`{alone}` stands for {all}, so that nothing can stand beside it in `exportTo`");
            let help = format!("keep `{alone}` alone, or leave it out");
            self.refuse(&EXCLUSIVE_FIELDS, &list.item(index), entry.span, message, help);
        }
    }

    /// Judges references to gateways, the list at `place`. Istio looks at none that comes after one without a namespace.
    pub(super) fn gateways(&mut self, place: &Place<'_>, gateways: &[Spanned<SmolStr>]) {
        for (index, gateway) in gateways.iter().enumerate() {
            let (fault, is_last) = match gateway.split_once('/') {
                Some((namespace, name)) => (reference_fault(namespace, name), false),
                None => (domain_fault(gateway), true),
            };
            if let Some(fault) = fault {
                let message = format!("\"{}\" is no reference to a Gateway: {fault}", shorten(gateway));
                let help = "write `name` or `namespace/name`, or `mesh` for all sidecars";
                self.refuse(&INVALID_NAME, &place.item(index), gateway.span, message, help);
            }
            if is_last {
                return;
            }
        }
    }

    /// Judges a host whose first part may have a wildcard; `address`: whether it may be an IP address instead.
    pub(super) fn host(&mut self, place: &Place<'_>, host: &Spanned<SmolStr>, address: bool) -> bool {
        let Some(fault) = wildcard_fault(host).filter(|_| !(address && addresses::is_ip(host))) else { return true };
        let message = format!("\"{}\" is no host: {fault}", shorten(host));
        let help = if address {
            "write a DNS name, as `reviews` or `*.example.com`, or an IP address"
        } else {
            "write a DNS name, as `reviews` or `reviews.shop.svc.cluster.local`"
        };
        self.refuse(&INVALID_TEXT, place, host.span, message, help);
        false
    }
}

fn reference_fault(namespace: &str, name: &str) -> Option<String> {
    let part = |part: &str, what: &str| {
        if part.is_empty() {
            return Some(format!("its {what} is empty"));
        }
        (!is_label(part)).then(|| format!("its {what} `{}` is no DNS label", shorten(part)))
    };
    part(namespace, "namespace").or_else(|| part(name, "name"))
}

#[cfg(test)]
mod tests {
    use super::{covers, domain_fault, is_label, wildcard_fault};

    #[test]
    fn knows_labels() {
        let long = "x".repeat(63);
        for good in ["a", "A1", "a-b", "0", long.as_str()] {
            assert!(is_label(good), "{good}");
        }
        let too_long = "x".repeat(64);
        for bad in ["", "-a", "a-", "a_b", "a.b", "*", "\u{fc}", too_long.as_str()] {
            assert!(!is_label(bad), "{bad}");
        }
    }

    #[test]
    fn knows_domains() {
        for good in ["a", "a.b.c", "a.b.", "1.b", "a.99999999999999999999"] {
            assert_eq!(domain_fault(good), None, "{good}");
        }
        for bad in ["", "0", "1.2.3.4", "a..b", "*.a", "a b", &"a.".repeat(128)] {
            assert!(domain_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn knows_wildcards() {
        for good in ["*", "*.a.b", "*a.b", "*-a.b", "0", "a.", "*."] {
            assert_eq!(wildcard_fault(good), None, "{good}");
        }
        for bad in ["", "a.*", "*.*", "a*", "**", "*-", ".a", "a.1", "a..", "*_.a"] {
            assert!(wildcard_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn knows_what_covers_what() {
        for (wide, narrow, covered) in [
            ("*.a", "b.a", true),
            ("*.a", "*.b.a", true),
            ("*", "*.a", true),
            ("*.b.a", "*.a", false),
            ("b.a", "*.a", false),
            ("b.a", "b.a", true),
            ("b.a", "B.a", false),
        ] {
            assert_eq!(covers(wide, narrow), covered, "{wide} {narrow}");
        }
    }
}
