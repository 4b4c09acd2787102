//! Reads YAML and JSON into documents that keep every byte position.
//!
//! Reading never fails: it yields documents and findings, and one broken document never hides another.

mod finding;
mod span;

pub use finding::{Edit, Finding, Fix, Group, Related, ResourceName, RuleInfo, Severity};
pub use span::{LineColumn, Location, SourceId, Span};
