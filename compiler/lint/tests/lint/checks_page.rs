//! docs/checks.md says of every code of other tools that a rule names which rule it is, and nothing else.

use malha_lint::RULES;
use std::collections::BTreeSet;
use std::{fs, path::Path};

/// The rows of the table, as pairs of a code and a rule.
fn rows(page: &str) -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| IST0") || line.starts_with("| KIA")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, codes, rules, difference, _] = cells.as_slice() else { panic!("three cells: {row}") };
        assert!(!difference.is_empty(), "{row}");
        let is_code = |word: &&str| word.starts_with("IST0") || word.starts_with("KIA");
        for code in codes.split([' ', ',']).filter(is_code) {
            pairs.extend(
                rules.split(", ").filter(|rule| *rule != "none").map(|rule| (code.to_owned(), rule.to_owned())),
            );
        }
    }
    pairs
}

#[test]
fn the_page_and_the_rules_name_the_same_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks.md");
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let named: BTreeSet<(String, String)> = RULES
        .iter()
        .flat_map(|rule| rule.info.aliases.iter().map(|alias| ((*alias).to_owned(), rule.info.code.to_owned())))
        .collect();
    assert_eq!(rows(&page), named);
    let table: Vec<&str> = page.lines().filter(|line| line.starts_with("| IST") || line.starts_with("| KIA")).collect();
    let codes: Vec<&str> = table[1..].iter().filter_map(|row| row.split([' ', ',']).nth(1)).collect();
    assert!(codes.is_sorted(), "rows are sorted by their codes");
}
