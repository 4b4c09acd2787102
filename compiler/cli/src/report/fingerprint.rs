//! What a finding is recognised by when its file has been edited elsewhere.

use malha_syntax::{Finding, Location, Sources};
use std::{collections::HashMap, fmt};
use xxhash_rust::xxh3::xxh3_128;

/// No more bytes of a place are looked at: a finding may be about a whole object.
const LONGEST: usize = 4096;

/// A finding by its rule, its file, its object, its field and the lines it is about; not by where these stand, nor by
/// its message, which tells of other places too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    /// The fingerprint of a finding in what is called `file`.
    pub(crate) fn new(finding: &Finding, sources: &Sources, file: &str) -> Fingerprint {
        let resource = finding.resource.as_ref();
        let resource = resource.map(|name| format!("{} {}/{}", name.kind, name.namespace, name.name));
        let field = finding.field.as_deref().map(without_indexes);
        let lines = lines(sources, finding.location);
        let parts = [
            finding.rule.code,
            file,
            resource.as_deref().unwrap_or_default(),
            field.as_deref().unwrap_or_default(),
            &lines,
        ];
        Fingerprint(xxh3_128(parts.join("\0").as_bytes()))
    }

    /// Reads what [`Fingerprint`] is written as.
    pub(crate) fn parse(text: &str) -> Option<Fingerprint> {
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hexadecimal.then(|| u128::from_str_radix(text, 16).ok().map(Fingerprint)).flatten()
    }

    /// That of the finding which is alike to `before` earlier ones.
    fn after(self, before: u32) -> Fingerprint {
        if before == 0 {
            return self;
        }
        Fingerprint(xxh3_128(format!("{self}\0{before}").as_bytes()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Gives the findings of a report fingerprints, no two the same.
#[derive(Default)]
pub(crate) struct Fingerprints {
    seen: HashMap<Fingerprint, u32>,
}

impl Fingerprints {
    /// The fingerprint of the next finding.
    pub(crate) fn next(&mut self, finding: &Finding, sources: &Sources) -> Fingerprint {
        let plain = Fingerprint::new(finding, sources, super::file(sources, finding.location));
        let seen = self.seen.entry(plain).or_default();
        let unlike = plain.after(*seen);
        *seen += 1;
        unlike
    }
}

/// `spec.http[].match[]`: rules above come and go.
fn without_indexes(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        out.push('[');
        rest = after.trim_start_matches(|character: char| character.is_ascii_digit());
    }
    out + rest
}

/// The lines that a place is on, however they are indented.
fn lines(sources: &Sources, place: Location) -> String {
    let Some(source) = sources.get(place.source) else { return String::new() };
    let text = source.text.as_bytes();
    let (start, end) = (place.span.start as usize, place.span.end as usize);
    let before = text.get(..start.min(text.len())).unwrap_or_default();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // A block that ends with its last line ends where the next one begins.
    let last = end.saturating_sub(1).max(start);
    let after = text.get(last..).unwrap_or_default();
    let end = last + after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
    let lines = text.get(start..end.min(start + LONGEST)).unwrap_or_default();
    String::from_utf8_lossy(lines).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_syntax::{Group, RuleInfo, Span};

    static RULE: RuleInfo = RuleInfo { code: "R001", name: "x", group: Group::Correctness, aliases: &[] };

    fn fingerprint(text: &str, word: &str, field: &str) -> Fingerprint {
        let mut sources = Sources::default();
        let (source, _) = sources.decode("a.yaml", text.as_bytes());
        let start = text.find(word).expect("it is there") as u32;
        let place = Location { source, span: Span::new(start, start + word.len() as u32) };
        Fingerprint::new(&Finding::new(&RULE, place, "x").field(field), &sources, "a.yaml")
    }

    #[test]
    fn what_stands_elsewhere_does_not_matter() {
        let before = fingerprint("a:\n- b: 1\n", "b: 1", "a[0].b");
        assert_eq!(before, fingerprint("# new\na:\n  - c\n  - b:  1\n", "b:  1", "a[1].b"));
        assert_ne!(before, fingerprint("a:\n- b: 2\n", "b: 2", "a[0].b"));
        assert_ne!(before, fingerprint("a:\n- b: 1\n", "b: 1", "a[0].c"));
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let told = fingerprint("a:\n- b: 1\n", "b", "a");
        assert_eq!(Fingerprint::parse(&told.to_string()), Some(told));
        assert_eq!(Fingerprint::parse("+1"), None);
    }
}
