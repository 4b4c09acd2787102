//! Back ends: a lowered program as a decision table, and a table as JSON for people.

mod json;
mod write;

pub use json::json;
pub use write::{EmitError, table};
