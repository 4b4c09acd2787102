//! Back ends: a lowered program as a decision table, and a table as JSON for people.

mod write;

pub use write::{EmitError, table};
