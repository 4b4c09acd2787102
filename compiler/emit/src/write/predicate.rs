//! Conditions and value tests.

use super::{EmitError, Writer, flag, none};
use malha_algebra::{Condition, Field, ValueTest};
use malha_table::format::{ConditionRecord, Str, U32, ValueTestRecord};
use smol_str::SmolStr;

impl Writer<'_> {
    pub(super) fn condition(&mut self, condition: &Condition) -> Result<U32, EmitError> {
        let (field, name) = match &condition.field {
            Field::Method => (0, None),
            Field::Scheme => (1, None),
            Field::Authority => (2, None),
            Field::PathWithQuery => (3, None),
            Field::Header(name) => (4, Some(name)),
            Field::Query(name) => (5, Some(name)),
            Field::Claim(path) => (6, Some(path)),
        };
        let record = ConditionRecord {
            field: U32::new(field),
            name: self.strings.optional(name.map(SmolStr::as_str))?,
            test: self.value_test(&condition.test)?,
            negated: flag(condition.negated),
        };
        self.conditions.one(record)
    }

    pub(super) fn value_test(&mut self, test: &ValueTest) -> Result<ValueTestRecord, EmitError> {
        let (kind, value, pattern) = match test {
            ValueTest::Present => (0, Str::NONE, none()),
            ValueTest::Exact(value) => (1, self.strings.str(value)?, none()),
            ValueTest::Prefix(value) => (2, self.strings.str(value)?, none()),
            ValueTest::Regex(pattern) => (3, Str::NONE, self.pattern(pattern)?),
        };
        Ok(ValueTestRecord { kind: U32::new(kind), value, pattern })
    }
}
