//! Rules of family Y: what can be wrong with a text before anything is known about the object in it.

use crate::finding::{Group, RuleInfo};

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal $kebab:literal $group:ident;)*) => {
        $($(#[$doc])* pub static $name: RuleInfo =
            RuleInfo { code: $code, name: $kebab, group: Group::$group, aliases: &[] };)*

        /// All rules of the family, by code.
        pub static RULES: &[&RuleInfo] = &[$(&$name),*];
    };
}

rules! {
    /// The text is not YAML as Kubernetes reads it, so the document is refused as a whole.
    SYNTAX_ERROR = "Y001" "syntax-error" Admission;
    /// A mapping has a key twice. Kubernetes' strict reading refuses it; elsewhere the last one wins in silence.
    DUPLICATE_KEY = "Y002" "duplicate-key" Admission;
    /// A line is indented with a tab, which YAML does not allow.
    TAB_INDENTATION = "Y003" "tab-indentation" Admission;
    /// A byte is no text in the file's encoding.
    INVALID_ENCODING = "Y004" "invalid-encoding" Admission;
    /// A `*` that is not quoted: YAML reads it as an alias, though a wildcard was meant.
    UNQUOTED_WILDCARD = "Y005" "unquoted-wildcard" Admission;
    /// Aliases that multiply beyond all measure, or contain themselves.
    ALIAS_LIMIT = "Y006" "alias-limit" Admission;
    /// Mappings and sequences nested deeper than any real object.
    TOO_DEEP = "Y007" "too-deep" Admission;
    /// A file or a document too large to be read.
    TOO_LARGE = "Y008" "too-large" Admission;
    /// A key that a merge (`<<`) brings in as well; strict reading refuses it as it refuses duplicates.
    MERGE_KEY_OVERRIDE = "Y009" "merge-key-override" Admission;
    /// An alias to an anchor that the document does not have.
    UNKNOWN_ANCHOR = "Y010" "unknown-anchor" Admission;
    /// A line that is indented as nothing above it is.
    BAD_INDENTATION = "Y011" "bad-indentation" Admission;
    /// A mapping key, or a value, that JSON cannot hold: null as a key, infinity as a value.
    NOT_JSON = "Y012" "not-json" Admission;
    /// Text after the end of the document, which Kubernetes drops in silence.
    LOST_TEXT = "Y013" "lost-text" Correctness;
}
