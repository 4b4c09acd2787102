//! What the schema demands of a field beyond its type.

/// A demand on the text of a string.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// The demand as a regular expression for the JSON Schema.
    pub(crate) regex: &'static str,
    /// The same demand in code.
    pub(crate) accepts: fn(&str) -> bool,
    /// What a good value looks like, as the end of "must ...".
    pub(crate) demand: &'static str,
}

/// The demands on one field. Those on items and keys concern lists and maps.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each of them is a demand of its own")]
pub(crate) struct Limits {
    pub(crate) required: bool,
    pub(crate) nullable: bool,
    /// Whether a duration must be a millisecond or more.
    pub(crate) positive: bool,
    pub(crate) minimum: Option<u32>,
    pub(crate) maximum: Option<u32>,
    pub(crate) max_length: Option<usize>,
    /// Least number of items.
    pub(crate) min_items: usize,
    /// Most items of a list or entries of a map.
    pub(crate) max_items: Option<usize>,
    /// Name of the field of the items that must differ between them.
    pub(crate) unique_by: &'static [&'static str],
    pub(crate) pattern: Option<&'static Pattern>,
    /// Whether the text must be a regular expression. No JSON Schema can say that.
    pub(crate) regex: bool,
    pub(crate) keys: Option<&'static Pattern>,
    pub(crate) items: Option<&'static Limits>,
}

impl Limits {
    /// No demands.
    pub(crate) const NONE: Limits = Limits {
        required: false,
        nullable: false,
        positive: false,
        minimum: None,
        maximum: None,
        max_length: None,
        min_items: 0,
        max_items: None,
        unique_by: &[],
        pattern: None,
        regex: false,
        keys: None,
        items: None,
    };

    pub(crate) const fn required(self) -> Self {
        Limits { required: true, ..self }
    }

    pub(crate) const fn nullable(self) -> Self {
        Limits { nullable: true, ..self }
    }

    pub(crate) const fn positive(self) -> Self {
        Limits { positive: true, ..self }
    }

    pub(crate) const fn minimum(self, minimum: u32) -> Self {
        Limits { minimum: Some(minimum), ..self }
    }

    pub(crate) const fn maximum(self, maximum: u32) -> Self {
        Limits { maximum: Some(maximum), ..self }
    }

    pub(crate) const fn max_length(self, characters: usize) -> Self {
        Limits { max_length: Some(characters), ..self }
    }

    pub(crate) const fn min_items(self, count: usize) -> Self {
        Limits { min_items: count, ..self }
    }

    pub(crate) const fn max_items(self, count: usize) -> Self {
        Limits { max_items: Some(count), ..self }
    }

    pub(crate) const fn unique_by(self, fields: &'static [&'static str]) -> Self {
        Limits { unique_by: fields, ..self }
    }

    pub(crate) const fn pattern(self, pattern: &'static Pattern) -> Self {
        Limits { pattern: Some(pattern), ..self }
    }

    pub(crate) const fn regex(self) -> Self {
        Limits { regex: true, ..self }
    }

    pub(crate) const fn keys(self, pattern: &'static Pattern) -> Self {
        Limits { keys: Some(pattern), ..self }
    }

    pub(crate) const fn items(self, items: &'static Limits) -> Self {
        Limits { items: Some(items), ..self }
    }
}
