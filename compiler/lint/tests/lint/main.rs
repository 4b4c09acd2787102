//! The rules, held to recordings, to the algebra and to tables of cases: a file for each subject. One program, since linking
//! takes longer than most of them do.

#[path = "../common/mod.rs"]
mod common;

#[path = "../../../model/tests/common/patch.rs"]
mod patch;

#[path = "../../../mesh/tests/recordings/mod.rs"]
#[allow(dead_code, reason = "decisions are compared where the interpreter lives")]
mod recorded;

mod certificates;
mod checks_page;
mod destination_rules;
mod examples;
mod fixes;
mod gateway_servers;
mod gateways;
mod hosts;
mod open_registry;
mod partial;
mod paths;
mod probes;
mod recorded_clusters;
mod recordings;
mod rule_kinds;
mod service_entries;
mod side_by_side;
mod sidecars;
mod subsets;
mod timeouts;
mod unknown_hosts;
mod validation_warnings;
mod witnesses;
