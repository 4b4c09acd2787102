//! The text that `uriRegexRewrite` puts in the place of a match (semantics C14).

use std::fmt;

/// A substitution: literal text with references `\0` to `\9` to groups; `\\` is a backslash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Substitution {
    parts: Vec<Part>,
}

/// A piece of a substitution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Text that is copied.
    Text(String),
    /// What the group matched; 0 is the whole match.
    Group(u8),
}

/// A backslash that neither a digit nor a backslash follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubstitutionError {
    /// Byte offset of that backslash.
    pub offset: usize,
}

impl fmt::Display for SubstitutionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a backslash in a substitution must be followed by a digit or a backslash")
    }
}

impl std::error::Error for SubstitutionError {}

impl Substitution {
    /// Reads `text`.
    pub fn parse(text: &str) -> Result<Substitution, SubstitutionError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
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
                _ => return Err(SubstitutionError { offset }),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Substitution { parts })
    }

    /// The pieces in order; neighbouring text is joined.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The highest group that is referred to. Above the pattern's number of groups, RE2 replaces nothing, so the path
    /// stays as it is.
    pub fn highest_group(&self) -> usize {
        let group = |part: &Part| if let Part::Group(group) = part { usize::from(*group) } else { 0 };
        self.parts.iter().map(group).max().unwrap_or(0)
    }
}
