//! Every rule that `malha check` knows: those of the compiler, and those about a house's own policies.

use crate::house;
use malha_lint::Rule;

/// All of them: the compiler's by code, then the house's.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> + Clone {
    malha_lint::RULES.iter().chain(house::RULES).copied()
}

/// The rules of a code, a name or an alias, whatever its case.
pub(crate) fn named(name: &str) -> impl Iterator<Item = &'static Rule> {
    all().filter(move |rule| rule.is_called(name))
}
