//! The pages of the rules.

use crate::generated::{Files, folder};
use malha_lint::{RULES, index, page};

/// docs/rules/*.md, from the lints.
pub(crate) fn files() -> Files {
    let folder = folder("docs/rules");
    let mut files: Files =
        RULES.iter().map(|rule| (folder.join(format!("{}.md", rule.info.code)), page(rule))).collect();
    files.push((folder.join("README.md"), index(RULES)));
    files
}
