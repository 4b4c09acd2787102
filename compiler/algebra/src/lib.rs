//! Predicates over requests, and the languages they denote.

mod predicate;
pub mod re2;

pub use predicate::{Condition, Field, PathTest, Predicate, Static, ValueTest};
