//! Rules of reading objects: what Kubernetes' schema of an object refuses, and what Istio's webhook does.

use malha_syntax::{Group, RuleInfo};

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal $kebab:literal;)*) => {
        $($(#[doc = $doc])* pub static $name: RuleInfo =
            RuleInfo { code: $code, name: $kebab, group: Group::Admission, aliases: &[] };)*

        /// All rules that the model finds, by code.
        pub static RULES: &[&RuleInfo] = &[$(&$name),*];
    };
}

rules! {
    /// A field that its object does not have.
    UNKNOWN_FIELD = "K001" "unknown-field";
    /// A field is missing that its object must have.
    MISSING_FIELD = "K002" "missing-field";
    /// A value of another type than its field has, as `weight: "80"` or `name: yes`.
    WRONG_TYPE = "K003" "wrong-type";
    /// A value that is not among those of its field.
    UNKNOWN_ENUM_VALUE = "K004" "unknown-enum-value";
    /// A number, a length or a count beyond what its field allows.
    OUT_OF_RANGE = "K005" "out-of-range";
    /// Fields that cannot stand together.
    EXCLUSIVE_FIELDS = "K006" "exclusive-fields";
    /// A text that is no duration, or one that its field does not allow.
    INVALID_DURATION = "K007" "invalid-duration";
    /// A text of another form than its field demands.
    INVALID_TEXT = "K008" "invalid-text";
    /// A name, namespace or label that Kubernetes does not allow.
    INVALID_NAME = "K009" "invalid-name";
    /// A version of Istio's API that does not exist.
    UNKNOWN_API_VERSION = "K010" "unknown-api-version";
    /// A kind that Istio's API does not have.
    UNKNOWN_KIND = "K011" "unknown-kind";
    /// Two items of a list that must differ do not.
    DUPLICATE_ITEM = "K012" "duplicate-item";
    /// A regular expression that Istio does not take.
    INVALID_REGEX = "K013" "invalid-regex";
    /// A wildcard whose addresses were to be found by DNS.
    SE_WILDCARD_DNS = "S006" "se-wildcard-dns";
}
