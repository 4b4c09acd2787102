//! Every rule's bad example makes exactly that rule fire, and its good example none.

use crate::common::all_findings;
use malha_lint::{Example, RULES, Rule};
use malha_syntax::Finding;
use std::collections::BTreeSet;

/// All findings on an example of rules that run by default, and of the rule itself.
fn findings(rule: &Rule, example: &Example) -> Vec<Finding> {
    let mut findings = all_findings(&example.bytes());
    findings.retain(|finding| finding.rule.group.on_by_default() || finding.rule == rule.info);
    findings
}

fn codes(rule: &Rule, example: &Example) -> BTreeSet<String> {
    let said = findings(rule, example);
    for finding in &said {
        assert!(
            !finding.message.is_empty() && !finding.message.ends_with('.'),
            "{}: {}",
            rule.info.code,
            finding.message
        );
    }
    said.iter().map(|finding| format!("{} {}", finding.rule.code, finding.rule.name)).collect()
}

#[test]
fn a_bad_example_makes_exactly_its_rule_fire() {
    for rule in RULES {
        let expected = BTreeSet::from([format!("{} {}", rule.info.code, rule.info.name)]);
        assert_eq!(codes(rule, &rule.bad), expected, "{}", rule.bad.shown);
    }
}

#[test]
fn a_good_example_makes_none_fire() {
    for rule in RULES {
        assert_eq!(codes(rule, &rule.good), BTreeSet::new(), "{}: {}", rule.info.code, rule.good.shown);
    }
}

/// Rules that reading decides have their page here, and no code or name is used twice.
#[test]
fn every_rule_has_one_page() {
    let told: Vec<&str> = RULES.iter().map(|rule| rule.info.code).collect();
    assert!(told.is_sorted(), "rules are registered in the order of their codes: {told:?}");
    let codes: BTreeSet<&str> = told.iter().copied().collect();
    let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.info.name).collect();
    assert_eq!((codes.len(), names.len()), (RULES.len(), RULES.len()));
    for info in malha_syntax::rules::RULES.iter().chain(malha_model::rules::RULES) {
        assert!(codes.contains(info.code), "{} {} has no page", info.code, info.name);
    }
}

#[test]
fn rules_are_called_by_code_name_and_alias() {
    let called = |name: &str| -> Vec<&str> {
        RULES.iter().filter(|rule| rule.is_called(name)).map(|rule| rule.info.code).collect()
    };
    for name in ["D001", "d001", "subset-undefined", "KIA1107", "kia1107"] {
        assert_eq!(called(name), ["D001"], "{name}");
    }
    assert!(called("IST0101").len() > 1, "one alias of several rules");
    assert!(called("D999").is_empty());
}
