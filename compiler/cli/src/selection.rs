//! Which rules count: selectors of the command line and of `malha.toml`.

use crate::{config::LintSection, failure::Failure, rules};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use malha_syntax::{Finding, Group, RuleInfo, Severity, nearest};
use std::path::Path;

/// Names one rule or several.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Selector {
    All,
    Group(Group),
    /// What a code begins with.
    Prefix(String),
    /// Codes, as they are written in the rules.
    Rules(Vec<&'static str>),
}

/// Decides which findings count, and how much.
#[derive(Clone, Debug)]
pub struct Selection {
    select: Vec<Selector>,
    ignore: Vec<Selector>,
    /// Paths relative to the root of the mesh, and what is ignored there.
    per_file: Vec<(Gitignore, Vec<Selector>)>,
    severity: Vec<(Selector, Severity)>,
}

const GROUPS: [(&str, Group); 5] = [
    ("admission", Group::Admission),
    ("correctness", Group::Correctness),
    ("suspicious", Group::Suspicious),
    ("pedantic", Group::Pedantic),
    ("performance", Group::Performance),
];

impl Selector {
    fn parse(text: &str) -> Result<Selector, Failure> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Selector::All);
        }
        if let Some((_, group)) = GROUPS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
            return Ok(Selector::Group(*group));
        }
        let codes: Vec<&str> = rules::named(text).map(|rule| rule.info.code).collect();
        if !codes.is_empty() {
            return Ok(Selector::Rules(codes));
        }
        let prefix = text.trim_end_matches('*').to_ascii_uppercase();
        if rules::all().any(|rule| !prefix.is_empty() && rule.info.code.starts_with(&prefix)) {
            return Ok(Selector::Prefix(prefix));
        }
        let names = rules::all().flat_map(|rule| [rule.info.code, rule.info.name]);
        let meant = nearest(text, names.chain(GROUPS.iter().map(|(name, _)| *name)));
        let failure = Failure::new(format!("`{text}` is no rule, no prefix of a code, and no group"));
        Err(failure.help(match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "`malha rule` lists them all".to_owned(),
        }))
    }

    fn parse_all(texts: &[String]) -> Result<Vec<Selector>, Failure> {
        texts.iter().map(|text| Selector::parse(text.trim())).collect()
    }

    /// Those of a key of `malha.toml`, which is named if one of them is unknown.
    fn parse_key(section: &LintSection, key: &str, texts: &[String]) -> Result<Vec<Selector>, Failure> {
        Selector::parse_all(texts).map_err(|failure| failure.within(format!("{}: lint.{key}", section.file)))
    }

    fn matches(&self, rule: &RuleInfo) -> bool {
        match self {
            Selector::All => true,
            Selector::Group(group) => rule.group == *group,
            Selector::Prefix(prefix) => rule.code.starts_with(prefix.as_str()),
            Selector::Rules(codes) => codes.contains(&rule.code),
        }
    }

    /// How closely it names its rules: the closer word wins.
    fn closeness(&self) -> usize {
        match self {
            Selector::All => 1,
            Selector::Group(_) => 2,
            Selector::Prefix(prefix) => 2 + prefix.len(),
            Selector::Rules(_) => usize::MAX,
        }
    }
}

impl Selection {
    /// What `malha.toml` says, and the command line after it: `select` takes the place of the file's, `ignore` is added.
    ///
    /// # Errors
    /// A selector names nothing.
    pub fn new(section: &LintSection, select: &[String], ignore: &[String]) -> Result<Selection, Failure> {
        let mut selection = Selection {
            select: Selector::parse_key(section, "select", &section.select)?,
            ignore: Selector::parse_key(section, "ignore", &section.ignore)?,
            per_file: Vec::new(),
            severity: Vec::new(),
        };
        if !select.is_empty() {
            selection.select = Selector::parse_all(select)?;
        }
        selection.ignore.extend(Selector::parse_all(ignore)?);
        for (glob, selectors) in &section.per_file_ignores {
            let mut builder = GitignoreBuilder::new("");
            let added = builder.add_line(None, glob).and_then(|builder| builder.build());
            let matcher = added.map_err(|error| Failure::new(format!("lint.per-file-ignores: `{glob}`: {error}")))?;
            selection.per_file.push((matcher, Selector::parse_key(section, "per-file-ignores", selectors)?));
        }
        for (selector, severity) in &section.severity {
            let parsed = Selector::parse_key(section, "severity", std::slice::from_ref(selector))?;
            selection.severity.extend(parsed.into_iter().map(|selector| (selector, *severity)));
        }
        Ok(selection)
    }

    /// Whether the findings of a rule count; `file` is relative to the root of the mesh.
    pub fn selects(&self, rule: &RuleInfo, file: &str) -> bool {
        let is_excused = || {
            self.per_file.iter().any(|(matcher, selectors)| {
                selectors.iter().any(|selector| selector.matches(rule))
                    && matcher.matched_path_or_any_parents(Path::new(file), false).is_ignore()
            })
        };
        self.selects_somewhere(rule) && !is_excused()
    }

    /// Whether the findings of a rule count in a file that is not excused from it.
    pub fn selects_somewhere(&self, rule: &RuleInfo) -> bool {
        let closest = |selectors: &[Selector]| {
            selectors.iter().filter(|selector| selector.matches(rule)).map(Selector::closeness).max()
        };
        let selected = match closest(&self.select) {
            Some(closeness) => closeness,
            None if self.select.is_empty() && rule.group.on_by_default() => 0,
            // What the cluster refuses is not a matter of taste.
            None if rule.group == Group::Admission => 0,
            None => return false,
        };
        closest(&self.ignore).is_none_or(|ignored| ignored < selected)
    }

    /// Gives a finding the severity that `malha.toml` says.
    pub fn weigh(&self, finding: &mut Finding) {
        let named = self.severity.iter().filter(|(selector, _)| selector.matches(finding.rule));
        if let Some((_, severity)) = named.max_by_key(|(selector, _)| selector.closeness()) {
            finding.severity = *severity;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PEDANTIC: RuleInfo = RuleInfo { code: "H009", name: "x", group: Group::Pedantic, aliases: &[] };
    static SUSPICIOUS: RuleInfo = RuleInfo { code: "H008", name: "y", group: Group::Suspicious, aliases: &[] };
    static ADMISSION: RuleInfo = RuleInfo { code: "Y001", name: "z", group: Group::Admission, aliases: &[] };

    fn selected(select: &[&str], ignore: &[&str]) -> Vec<&'static str> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let selection = Selection::new(&LintSection::default(), &owned(select), &owned(ignore)).expect("known names");
        let rules = [&PEDANTIC, &SUSPICIOUS, &ADMISSION];
        rules.into_iter().filter(|rule| selection.selects(rule, "a.yaml")).map(|rule| rule.code).collect()
    }

    #[test]
    fn the_closer_word_wins() {
        assert_eq!(selected(&[], &[]), ["H008", "Y001"]);
        assert_eq!(selected(&["pedantic"], &[]), ["H009", "Y001"]);
        assert_eq!(selected(&["all"], &["H"]), ["Y001"]);
        assert_eq!(selected(&["H008"], &["H"]), ["H008", "Y001"]);
        assert_eq!(selected(&["H"], &["H008"]), ["H009", "Y001"]);
        assert_eq!(selected(&[], &["admission"]), ["H008"]);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let failure = Selection::new(&LintSection::default(), &["suspicous".to_owned()], &[]).expect_err("a slip");
        assert!(failure.to_string().contains("did you mean `suspicious`?"), "{failure}");
    }

    #[test]
    fn files_may_be_excused() {
        let section = LintSection {
            per_file_ignores: vec![("legacy/".to_owned(), vec!["suspicious".to_owned()])],
            ..LintSection::default()
        };
        let selection = Selection::new(&section, &[], &[]).expect("known names");
        assert!(!selection.selects(&SUSPICIOUS, "legacy/deep/a.yaml"));
        assert!(selection.selects(&SUSPICIOUS, "other/a.yaml"));
        assert!(selection.selects(&ADMISSION, "legacy/a.yaml"));
    }
}
