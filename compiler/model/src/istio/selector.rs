//! What several kinds use to point at services and workloads.

use crate::{
    Entries, Spanned,
    limits::{Limits, Pattern},
    read::message,
};
use smol_str::SmolStr;

message! {
    /// A service, or a part of it.
    pub struct Destination {
        /// Its name; a short one is completed with the namespace of the resource that says it.
        host: Option<Spanned<SmolStr>> = "host" [required],
        /// A subset that a DestinationRule for the host defines.
        subset: Option<Spanned<SmolStr>> = "subset",
        /// Its port; may be left out when the service has only one.
        port: Option<Spanned<PortSelector>> = "port",
    }
}

message! {
    /// A port of a service.
    pub struct PortSelector {
        /// Its number.
        number: Option<Spanned<u32>> = "number",
    }
}

const NO_STAR: Pattern = Pattern { regex: "^[^*]*$", accepts: |text| !text.contains('*'), demand: "not contain `*`" };

const LABEL_KEY: Pattern = Pattern {
    regex: "^[^*]+$",
    accepts: |text| !text.is_empty() && !text.contains('*'),
    demand: "not be empty and not contain `*`",
};

const LABEL_VALUE: Limits = Limits::NONE.max_length(63).pattern(&NO_STAR);

message! {
    /// Workloads with these labels.
    pub struct WorkloadSelector {
        /// All of these labels must be on the workload.
        labels: Entries<SmolStr> = "labels" [max_items(256), items(&LABEL_VALUE)],
    }
}

message! {
    /// Workloads with these labels.
    pub struct LabelSelector {
        /// All of these labels must be on the workload.
        match_labels: Entries<SmolStr> = "matchLabels" [max_items(4096), keys(&LABEL_KEY), items(&LABEL_VALUE)],
    }
}
