//! Every rule that `malha check` knows: those of the compiler, and those about a house's own policies.

use crate::house;
use malha_lint::Rule;

/// All of them: the compiler's by code, then the house's.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> + Clone {
    malha_lint::RULES.iter().chain(house::RULES).copied()
}

/// The rule of a code, a name or an alias, whatever its case.
pub(crate) fn find(name: &str) -> Option<&'static Rule> {
    malha_lint::find(name).or_else(|| {
        let is_called =
            |rule: &&Rule| rule.info.code.eq_ignore_ascii_case(name) || rule.info.name.eq_ignore_ascii_case(name);
        house::RULES.iter().copied().find(is_called)
    })
}
