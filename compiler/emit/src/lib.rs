//! Back ends: a lowered program as a decision table; a table as JSON for people, and as the program that it was.

mod json;
mod read;
mod write;

pub use json::json;
pub use read::{FromTable, ReadError, program};
pub use write::{EmitError, table};
