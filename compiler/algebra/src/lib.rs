//! Predicates over requests, and the languages they denote.

mod dfa;
mod predicate;
pub mod re2;

pub use dfa::{Dfa, TooLarge};
pub use predicate::{Condition, Field, PathTest, Predicate, Static, ValueTest};
