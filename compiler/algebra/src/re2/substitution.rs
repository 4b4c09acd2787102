//! The text that `uriRegexRewrite` puts in the place of a match (semantics C14).

use super::Pattern;

/// A substitution: literal text with references `\0` to `\9` to groups; `\\` is a backslash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Substitution {
    parts: Vec<Part>,
    broken: Option<usize>,
}

/// A piece of a substitution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Text that is copied.
    Text(String),
    /// What the group matched; 0 is the whole match.
    Group(u8),
}

impl Substitution {
    /// Reads `text` as RE2 does, which never fails: what begins with a broken reference is left out.
    pub fn parse(text: &str) -> Substitution {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut broken = None;
        let mut characters = text.char_indices();
        while let Some((offset, character)) = characters.next() {
            if character != '\\' {
                literal.push(character);
                continue;
            }
            match characters.next() {
                Some((_, '\\')) => literal.push('\\'),
                Some((_, digit @ '0'..='9')) => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Group(digit as u8 - b'0'));
                }
                _ => {
                    broken = Some(offset);
                    break;
                }
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Substitution { parts, broken }
    }

    /// The byte offset of the first backslash that neither a digit nor a backslash follows. RE2 writes what comes before
    /// it and no more.
    pub fn broken_at(&self) -> Option<usize> {
        self.broken
    }

    /// The pieces in order; neighbouring text is joined.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The highest group that is referred to.
    pub fn highest_group(&self) -> u32 {
        let group = |part: &Part| if let Part::Group(group) = part { u32::from(*group) } else { 0 };
        self.parts.iter().map(group).max().unwrap_or(0)
    }

    /// Whether the pattern has all groups that are referred to. If not, RE2 replaces nothing: the path stays as it is.
    pub fn suits(&self, pattern: &Pattern) -> bool {
        self.highest_group() <= pattern.groups()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_references() {
        let substitution = Substitution::parse(r"/v2\x/\1\2-\\\0");
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(substitution.parts(), [text("/v2")], "a letter after a backslash ends the substitution");
        assert_eq!(substitution.broken_at(), Some(3));

        let substitution = Substitution::parse(r"/\1\2-\\\0");
        assert_eq!(substitution.parts(), [text("/"), Part::Group(1), Part::Group(2), text(r"-\"), Part::Group(0)]);
        assert_eq!(substitution.broken_at(), None);
        assert_eq!(Substitution::parse("\\").broken_at(), Some(0));
        assert!(Substitution::parse("").parts().is_empty());
    }

    #[test]
    fn groups_must_exist() {
        let pattern = Pattern::parse("(a)(?:b)(?P<name>c)").expect("a pattern");
        assert!(Substitution::parse(r"\0\2").suits(&pattern));
        assert!(!Substitution::parse(r"\3").suits(&pattern));
    }
}
