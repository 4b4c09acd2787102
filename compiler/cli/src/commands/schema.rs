//! `malha schema`: the JSON Schema of a kind.

use crate::{
    args::SchemaArgs,
    failure::{Failure, Status},
    terminal,
};
use malha_model::SCHEMA_KINDS;
use malha_syntax::nearest;

/// Prints the schema.
///
/// # Errors
/// There is no schema for such a kind.
pub fn schema(args: &SchemaArgs) -> Result<Status, Failure> {
    let schema = malha_model::schema(&args.kind).ok_or_else(|| unknown(&args.kind))?;
    terminal::print(format!("{schema:#}\n").as_bytes())?;
    Ok(Status::Clean)
}

fn unknown(kind: &str) -> Failure {
    let failure = Failure::new(format!("there is no schema for the kind `{kind}`"));
    failure.help(match nearest(kind, SCHEMA_KINDS.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the kinds are {}", SCHEMA_KINDS.join(", ")),
    })
}
