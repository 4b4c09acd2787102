//! `malha rule`: what a finding means.

use crate::{
    args::RuleArgs,
    failure::{Failure, Status},
    rules, terminal,
};
use malha_syntax::nearest;

/// Prints the pages of the rules of a name, which are several where it is another tool's; or the list of all.
///
/// # Errors
/// There is no such rule.
pub fn rule(args: &RuleArgs) -> Result<Status, Failure> {
    let page = match &args.code {
        None => list(),
        Some(name) => {
            let pages: Vec<String> = rules::named(name).map(malha_lint::page).collect();
            if pages.is_empty() {
                return Err(unknown(name));
            }
            pages.join("\n")
        }
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
