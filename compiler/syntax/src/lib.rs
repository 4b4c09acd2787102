//! Reads YAML and JSON into documents that keep every byte position.
//!
//! Reading never fails: it yields documents and findings, and one broken document never hides another.

mod alias;
mod base64;
mod characters;
mod document;
mod encoding;
mod explain;
mod fast;
mod finding;
mod granit;
mod indicator;
mod keys;
mod lines;
mod locate;
mod nearest;
mod problem;
mod reading;
pub mod rules;
mod scalar;
mod source;
mod span;
mod split;
mod suppression;
mod tape;
mod template;

pub use document::{Document, Entries, Items, Node, NodeKind};
pub use encoding::Encoding;
pub use finding::{Claim, Edit, Finding, Fix, Group, Related, ResourceName, RuleInfo, RuleName, Severity};
pub use nearest::nearest;
#[doc(hidden)]
pub use reading::read_both;
pub use reading::{Reading, read, read_each};
pub use scalar::Scalar;
pub use source::{MAX_SOURCE_BYTES, NOT_TEXT, Source, Sources};
pub use span::{LineColumn, Location, SourceId, Span};
pub use suppression::Suppression;
