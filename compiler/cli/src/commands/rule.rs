//! `malha rule`: what a finding means.

use crate::{
    args::RuleArgs,
    failure::{Failure, Status},
    rules, terminal,
};
use malha_syntax::nearest;

/// Prints the page of one rule, or the list of all.
///
/// # Errors
/// There is no such rule.
pub fn rule(args: &RuleArgs) -> Result<Status, Failure> {
    let page = match &args.code {
        None => list(),
        Some(name) => malha_lint::page(rules::find(name).ok_or_else(|| unknown(name))?),
    };
    terminal::print(page.as_bytes())?;
    Ok(Status::Clean)
}

fn list() -> String {
    let width = rules::all().map(|rule| rule.info.name.len()).max().unwrap_or_default();
    let line = |rule: &'static malha_lint::Rule| {
        let first = rule.what.split_inclusive(". ").next().unwrap_or_default().trim_end();
        format!("{} {:width$}  {first}\n", rule.info.code, rule.info.name)
    };
    rules::all().map(line).collect()
}

fn unknown(name: &str) -> Failure {
    let failure = Failure::new(format!("there is no rule `{name}`"));
    let names = rules::all().flat_map(|rule| [rule.info.code, rule.info.name]);
    failure.help(match nearest(name, names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`malha rule` lists them all".to_owned(),
    })
}
