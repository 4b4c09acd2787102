//! Holds lowering and the reference interpreter to the routing recordings: every request, in every field that
//! docs/conformance.md names.
//!
//! `ROUTING_CASE=gateway/0045 cargo test -p malha-mesh --test routing_conformance -- --nocapture` shows one case.

#[allow(dead_code, reason = "the clusters are compared elsewhere")]
mod recordings;

use malha_mesh::interpret;
use malha_table::Request;
use recordings::compare::{Difference, differences};
use recordings::{Case, each_case};
use serde_json::json;
use std::collections::BTreeMap;

/// How many differences are shown in full.
const SHOWN: usize = 20;

#[derive(Default)]
struct Tally {
    asked: usize,
    agreed: usize,
    fields: BTreeMap<&'static str, usize>,
}

#[test]
fn decisions_are_as_recorded() {
    let wanted = std::env::var("ROUTING_CASE").unwrap_or_default();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut differing = Vec::new();
    each_case(|case| {
        if !case.id.contains(&wanted) {
            return;
        }
        for (line, protocol, differences) in answers(&case) {
            let tally = tallies.entry(protocol).or_default();
            tally.asked += 1;
            if differences.is_empty() {
                tally.agreed += 1;
                continue;
            }
            for difference in &differences {
                *tally.fields.entry(difference.field).or_default() += 1;
            }
            differing.push(format!("{}:{line}: {}", case.id, describe(&differences)));
        }
    });
    for (protocol, tally) in &tallies {
        println!("{protocol}: {} of {} requests agree; differences: {:?}", tally.agreed, tally.asked, tally.fields);
    }
    let limit = if wanted.is_empty() { SHOWN } else { usize::MAX };
    for line in differing.iter().take(limit) {
        println!("{line}");
    }
    assert!(!wanted.is_empty() || tallies.len() == 3, "HTTP, TLS and TCP are all asked for");
    assert_eq!(differing.len(), 0, "requests answered otherwise than recorded");
}

/// For each request of a case: its line, its protocol, and what differs.
fn answers(case: &Case) -> Vec<(usize, String, Vec<Difference>)> {
    let lowered = case.lower();
    let answers = case.asked.iter().map(|asked| {
        let answer = |draw| {
            let request = Request { draw, ..case.request(asked) };
            match interpret(&lowered.program, &request, 0, &|location| lowered.place(location)) {
                Ok(decision) => differences(asked, &serde_json::to_value(decision).expect("a decision is JSON")),
                Err(error) => {
                    let recorded = asked.expect["outcome"].clone();
                    vec![Difference { field: "error", recorded, told: json!(error.to_string()) }]
                }
            }
        };
        let differences = asked.possible_draws().into_iter().map(answer).min_by_key(Vec::len);
        (asked.line, asked.protocol().to_owned(), differences.unwrap_or_default())
    });
    answers.collect()
}

fn describe(differences: &[Difference]) -> String {
    let one = |difference: &Difference| {
        format!("{}: recorded {}, told {}", difference.field, difference.recorded, difference.told)
    };
    differences.iter().map(one).collect::<Vec<_>>().join("; ")
}
