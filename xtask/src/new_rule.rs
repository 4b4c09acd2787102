//! The beginning of a lint: its file, and its line in `rules/mod.rs`.

use malha_lint::RULES;
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

/// The families of codes, as design and documentation have them.
const FAMILIES: &str = "YKRHDTPSCO";

/// Groups by the names that people use.
const GROUPS: [(&str, &str); 5] = [
    ("admission", "Admission"),
    ("correctness", "Correctness"),
    ("suspicious", "Suspicious"),
    ("pedantic", "Pedantic"),
    ("performance", "Performance"),
];

/// Writes the file of a rule into the directory of the rules, and registers it between those whose codes are before and
/// after its own; tells which file that is.
///
/// # Errors
/// The code, the name or the group is none or is taken, or the directory is not as expected. Then nothing is written.
pub(crate) fn begin(rules: &Path, code: &str, name: &str, group: &str) -> Result<PathBuf, String> {
    if !is_code(code) {
        return Err(format!("`{code}` is no code: a letter of {FAMILIES} and three digits"));
    }
    if !is_name(name) {
        return Err(format!("`{name}` is no name: small letters and digits, in words with `-` between them"));
    }
    let Some((_, group)) = GROUPS.iter().find(|(known, _)| *known == group) else {
        return Err(format!("`{group}` is no group: {}", GROUPS.map(|(known, _)| known).join(", ")));
    };
    let register = rules.join("mod.rs");
    let text = read(&register)?;
    let module = name.replace('-', "_");
    let registered = register_in(&text, &module, code, &|module| code_of(rules, module))?;
    let file = rules.join(format!("{module}.rs"));
    let page = TEMPLATE.replace("CODE", code).replace("NAME", name).replace("GROUP", group);
    let mut new =
        OpenOptions::new().write(true).create_new(true).open(&file).map_err(|error| cannot("make", &file, &error))?;
    new.write_all(page.as_bytes()).map_err(|error| cannot("write", &file, &error))?;
    fs::write(&register, registered).map_err(|error| cannot("write", &register, &error))?;
    Ok(file)
}

fn is_code(code: &str) -> bool {
    let mut characters = code.chars();
    let has_family = characters.next().is_some_and(|family| FAMILIES.contains(family));
    has_family && code.len() == 4 && characters.all(|digit| digit.is_ascii_digit())
}

fn is_name(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('-').all(is_word)
}

/// `rules/mod.rs` with one module more in its list, which is in the order of codes.
fn register_in(
    text: &str,
    module: &str,
    code: &str,
    code_of: &dyn Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    const LIST: &str = "\nrules! {\n";
    let begin = text.find(LIST).map(|at| at + LIST.len()).ok_or("rules/mod.rs has no list `rules! {`")?;
    let (before, rest) = text.split_at(begin);
    let (list, after) = rest.split_at(rest.find('}').ok_or("the list of rules/mod.rs has no end")?);
    let mut lines = String::new();
    let mut is_placed = false;
    for known in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let its = code_of(known)?;
        if its == code {
            return Err(format!("{code} is the code of `{known}`"));
        }
        if known == module {
            return Err(format!("`{known}` is the name of {its}"));
        }
        if !is_placed && its.as_str() > code {
            lines.extend(["    ", module, "\n"]);
            is_placed = true;
        }
        lines.extend(["    ", known, "\n"]);
    }
    if !is_placed {
        lines.extend(["    ", module, "\n"]);
    }
    Ok([before, &lines, after].concat())
}

/// The code of a rule: as its file gives it, or as reading has it, for whose rules the file only documents.
fn code_of(rules: &Path, module: &str) -> Result<String, String> {
    let file = rules.join(format!("{module}.rs"));
    let text = read(&file)?;
    let written = text.split_once("code: \"").and_then(|(_, rest)| rest.split_once('"')).map(|(code, _)| code);
    let of_reading = || RULES.iter().find(|rule| rule.info.name.replace('-', "_") == module).map(|rule| rule.info.code);
    written.or_else(of_reading).map(str::to_owned).ok_or_else(|| format!("{} has no code", file.display()))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| cannot("read", file, &error))
}

fn cannot(what: &str, file: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} {}: {error}", file.display())
}

/// A rule that compiles, and that its own examples refuse until it finds something.
const TEMPLATE: &str = r#"use crate::rule::{Context, Example, Rule};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "CODE", name: "NAME", group: Group::GROUP, aliases: &[] },
    what: "What it finds, in a sentence or two.",
    why: "What becomes of it in a cluster, and to whom that matters.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders}
",
    ),
    facts: &[],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        // Begin here: which rules are wrong?
        for (index, rule) in spec.http.iter().enumerate().filter(|(_, rule)| rule.route.is_empty()) {
            let finding = Finding::new(RULE.info, resource.location(rule.span), "what is wrong, then why")
                .help("how to mend it")
                .resource(resource.resource_name())
                .field(format!("spec.http[{index}]"));
            findings.push(finding);
        }
    }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::folder;
    use tempfile::TempDir;

    /// A copy of the rules as they are.
    fn rules() -> TempDir {
        let copy = TempDir::new().expect("a temporary directory");
        for entry in fs::read_dir(folder("compiler/lint/src/rules")).expect("the rules are there") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                fs::copy(&path, copy.path().join(path.file_name().expect("a name"))).expect("a copy");
            }
        }
        copy
    }

    /// The modules in the list, in order.
    fn listed(rules: &TempDir) -> Vec<String> {
        let text = read(&rules.path().join("mod.rs")).expect("it is there");
        let list = text.split_once("\nrules! {\n").and_then(|(_, rest)| rest.split_once('}')).expect("a list").0;
        list.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_rule_begins_at_its_place() {
        let rules = rules();
        let before = listed(&rules);
        // Between families, amid one, at both ends.
        for (code, name) in [("D999", "dull"), ("D998", "dimly-lit"), ("Y999", "yonder-2"), ("C000", "calm")] {
            let file = begin(rules.path(), code, name, "suspicious").expect("a rule");
            let module = name.replace('-', "_");
            assert_eq!(file, rules.path().join(format!("{module}.rs")));
            let text = read(&file).expect("it is there");
            let info = format!(
                "info: &RuleInfo {{ code: \"{code}\", name: \"{name}\", group: Group::Suspicious, aliases: &[] }},"
            );
            assert!(text.contains(&info), "{text}");
            for part in
                ["pub(super) static RULE: Rule = Rule {", "    check: Some(check),\n", "    bad: Example::yaml("]
            {
                assert!(text.contains(part), "{text}");
            }
            assert!(!["CODE", "NAME", "GROUP"].iter().any(|left| text.contains(left)), "{text}");
        }
        let after = listed(&rules);
        let codes: Vec<String> = after.iter().map(|module| code_of(rules.path(), module).expect("a code")).collect();
        assert!(codes.is_sorted(), "{codes:?}");
        let kept: Vec<&String> = after
            .iter()
            .filter(|module| !["dull", "dimly_lit", "yonder_2", "calm"].contains(&module.as_str()))
            .collect();
        assert_eq!(kept, before.iter().collect::<Vec<_>>());
        assert_eq!(after.len(), before.len() + 4);
        // All but the list is as it was.
        let text = read(&rules.path().join("mod.rs")).expect("it is there");
        let original = read(&folder("compiler/lint/src/rules/mod.rs")).expect("it is there");
        assert_eq!(text.split_once("\nrules! {\n").map(|it| it.0), original.split_once("\nrules! {\n").map(|it| it.0));
    }

    #[test]
    fn what_is_taken_or_wrong_is_refused() {
        let rules = rules();
        let before = listed(&rules);
        let refused =
            |code: &str, name: &str, group: &str| begin(rules.path(), code, name, group).expect_err("refused");
        assert_eq!(refused("D001", "dull", "suspicious"), "D001 is the code of `subset_undefined`");
        assert_eq!(refused("D999", "subset-undefined", "suspicious"), "`subset_undefined` is the name of D001");
        for code in ["D01", "D0001", "d001", "Z001", "D00x", ""] {
            assert!(refused(code, "dull", "suspicious").contains("is no code"), "{code}");
        }
        for name in ["", "Dull", "dull_one", "dull--one", "-dull", "2-dull", "../dull"] {
            assert!(refused("D999", name, "suspicious").contains("is no name"), "{name}");
        }
        assert!(refused("D999", "dull", "funny").contains("is no group: admission, "));
        // A file of that name that is no rule stays as it is.
        fs::write(rules.path().join("dull.rs"), "kept").expect("a file");
        assert!(refused("D999", "dull", "suspicious").contains("cannot make"));
        assert_eq!(read(&rules.path().join("dull.rs")).as_deref(), Ok("kept"));
        assert_eq!(listed(&rules), before);
    }
}
