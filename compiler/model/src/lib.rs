//! The typed model of Istio networking and of the Kubernetes objects it refers to.
//!
//! Every field of Istio's kinds is here, each declared once: the declaration yields the type, the reader, and the JSON
//! Schema. Reading never fails: it yields what could be read, and findings.

mod bytes;
mod duration;
pub mod istio;
pub mod kubernetes;
mod limits;
mod names;
mod object;
mod read;
mod resource;
pub mod rules;
mod schema;
mod spanned;
mod webhook;

pub use bytes::Bytes;
pub use duration::Duration;
pub use object::{OtherObject, PassedOver, ReadResources, read_documents, read_resources, read_resources_by_schema};
pub use resource::{Kind, Metadata, Resource, Spec};
pub use schema::{SCHEMA_KINDS, schema};
pub use spanned::{Entries, EntriesIter, Spanned};
