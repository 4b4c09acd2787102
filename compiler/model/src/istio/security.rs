//! `PeerAuthentication` and `RequestAuthentication`: the parts of them that decide whether traffic gets through. Other
//! fields are read past.

use crate::{Entries, Spanned, read::message};
use smol_str::SmolStr;

message! {
    /// Whether workloads take connections with the mesh's mutual TLS, without it, or both.
    pub struct PeerAuthentication {
        /// The workloads that it is for; all of the namespace by default, and of the mesh in the root namespace.
        selector: Option<Spanned<PolicySelector>> = "selector",
        /// What they take.
        mtls: Option<Spanned<MutualTls>> = "mtls",
        /// What single ports take.
        port_level_mtls: Entries<MutualTls> = "portLevelMtls",
    }
}

message! {
    /// Which connections are taken.
    pub struct MutualTls {
        /// `UNSET`, `DISABLE`, `PERMISSIVE` or `STRICT`.
        mode: Option<Spanned<SmolStr>> = "mode",
    }
}

message! {
    /// How tokens of requests are checked, which makes claims of them.
    pub struct RequestAuthentication {
        /// The workloads that it is for; all of the namespace by default, and of the mesh in the root namespace.
        selector: Option<Spanned<PolicySelector>> = "selector",
        /// What it is for, where that is no workload.
        target_refs: Vec<Spanned<TargetRef>> = "targetRefs",
        /// The same, where it is one.
        target_ref: Option<Spanned<TargetRef>> = "targetRef",
    }
}

message! {
    /// Workloads with these labels.
    pub struct PolicySelector {
        /// All of these labels must be on the workload.
        match_labels: Entries<SmolStr> = "matchLabels",
    }
}

message! {
    /// An object that a policy is for.
    pub struct TargetRef {
        /// Its kind.
        kind: Option<Spanned<SmolStr>> = "kind",
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
    }
}
