//! A rule's page: what `malha rule CODE` prints and docs/rules holds.

use crate::Rule;
use malha_syntax::Group;
use std::fmt::Write;

/// The page of a rule, as Markdown.
pub fn page(rule: &Rule) -> String {
    let info = rule.info;
    let mut page = format!("# {} {}\n\n{}\n\n", info.code, info.name, rule.what);
    let _ = writeln!(page, "Group: {}.", group(info.group));
    if !info.aliases.is_empty() {
        let _ = writeln!(page, "Elsewhere: {}.", info.aliases.join(", "));
    }
    let _ = write!(page, "\n## Why\n\n{}\n", rule.why);
    let _ = write!(page, "\n## Example\n\n```yaml\n{}\n```\n", rule.bad.shown.trim_end());
    let _ = write!(page, "\n## Instead\n\n```yaml\n{}\n```\n", rule.good.shown.trim_end());
    if !rule.facts.is_empty() {
        let _ = write!(page, "\n## See\n\ndocs/semantics.md: {}.\n", rule.facts.join(", "));
    }
    page
}

/// The index of all rules, as Markdown.
pub fn index(rules: &[&Rule]) -> String {
    let mut page = String::from(
        "# Rules

What `malha check` finds. Y: reading; K: what the cluster refuses; H: hosts, gateways and Sidecars; D: destinations; \
         C: certificates and TLS; O: operations; P: paths and regular expressions; R: rules of VirtualServices; S: ServiceEntries; \
         T: timeouts and retries. `malha rule CODE` prints a page.

| code | name | group | finds |
| --- | --- | --- | --- |
",
    );
    for rule in rules {
        let info = rule.info;
        let first = rule.what.split_inclusive(". ").next().unwrap_or_default().trim_end();
        let _ = writeln!(
            page,
            "| [{code}]({code}.md) | {} | {} | {first} |",
            info.name,
            group_name(info.group),
            code = info.code
        );
    }
    page
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::Admission => "admission",
        Group::Correctness => "correctness",
        Group::Suspicious => "suspicious",
        Group::Pedantic => "pedantic",
        Group::Performance => "performance",
    }
}

fn group(group: Group) -> &'static str {
    match group {
        Group::Admission => "admission (error: the cluster refuses the object, or it cannot be read)",
        Group::Correctness => "correctness (error: a request is not treated as the file says)",
        Group::Suspicious => "suspicious (warning)",
        Group::Pedantic => "pedantic (info; off unless selected)",
        Group::Performance => "performance (info; off unless selected)",
    }
}
