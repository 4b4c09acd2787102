//! RE2's dialect: the one reading of it in Malha.

use smol_str::SmolStr;

/// A pattern that RE2 accepts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: SmolStr,
}

impl Pattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
