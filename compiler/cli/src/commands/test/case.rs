//! A route test, read.

use super::written::Written;
use malha_syntax::Location;
use malha_table::Request;
use serde_json::{Map, Value};

/// One request, and what is expected of it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// What the test is called; each request of a list has the name of its test.
    pub(super) name: String,
    /// The request in the file; the test, where requests are made up of lists.
    pub(super) location: Location,
    /// What is asked.
    pub(super) request: Request,
    /// Who is asked.
    pub(super) entry: Entry,
    /// What is to become of it.
    pub(super) expected: Expected,
}

/// How the proxy and the listener of a request are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// As the request says.
    Said,
    /// As `malha route URL` does: a gateway, if one has the port, else the mesh.
    Url,
    /// By the VirtualService that has the host, among stand-ins for what the repository lacks.
    Found,
}

/// What is to become of a request.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// Facts of the decision; only those that are given count.
    Decision(Map<String, Value>),
    /// Parts of the rule that takes it, as the VirtualService writes them.
    Written(Written),
}
