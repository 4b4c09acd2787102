//! Holds the reader to what Kubernetes' schemas and Istio's webhook made of objects that are one edit away from good ones.

mod common;
#[path = "common/patch.rs"]
mod patch;

use common::{findings_of, read_json, recordings};
use patch::patch;
use serde_json::Value;
use std::collections::BTreeMap;

/// Least share of the refused objects of a kind of which a finding stands at the edited field.
const LEAST_IN_PLACE: f64 = 0.95;

/// Whether a finding at `field` points at the edited field `at`: at itself, at what it holds, or at what holds it.
fn is_in_place(field: &str, at: &str) -> bool {
    let below = |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.starts_with(['.', '[']));
    let parent = at.rfind(['.', '[']).and_then(|end| at.get(..end)).unwrap_or_default();
    field == at || field == parent || below(field, at)
}

#[test]
fn refuses_what_the_cluster_refuses_and_nothing_that_is_accepted() {
    let recordings = recordings("validation.jsonl.gz");
    let bases: BTreeMap<&str, &Value> =
        recordings.iter().filter_map(|line| Some((line["base"].as_str()?, line.get("object")?))).collect();
    let mut wrong = Vec::new();
    let mut cases = 0;
    // By kind: how many were refused, and those of which no finding is in place.
    let mut places: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    for case in recordings.iter().filter(|line| line.get("object").is_none()) {
        cases += 1;
        let base = case["base"].as_str().expect("a case has a base");
        let kind = base.split('/').next().unwrap_or_default();
        let mut object = (*bases[base]).clone();
        for operation in case["patch"].as_array().expect("a case has a patch") {
            patch(&mut object, operation);
        }
        let (_reading, read) = read_json(&object);
        let refused = read.resources.iter().all(|resource| resource.refused);
        let right = match (case["verdict"].as_str(), case.get("schema")) {
            (Some("refused"), _) => refused,
            _ => !refused,
        };
        let report = || format!("{} {} at {}\n{}", case["id"], case["what"], case["at"], findings_of(&read));
        if !right {
            wrong.push(format!("refused = {refused}: {}", report()));
        }
        if case["verdict"] == "refused" && refused {
            let at = case["at"].as_str().expect("a case has a place");
            let (count, astray) = places.entry(kind).or_default();
            *count += 1;
            if !read.findings.iter().filter_map(|it| it.field.as_deref()).any(|field| is_in_place(field, at)) {
                astray.push(report());
            }
        }
    }
    assert!(cases > 7000, "only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(places.len(), 6, "all kinds have objects that are refused");
    for (kind, (count, astray)) in places {
        #[allow(clippy::cast_precision_loss, reason = "there are thousands")]
        let share = 1.0 - astray.len() as f64 / count as f64;
        assert!(share >= LEAST_IN_PLACE, "{kind}: only {share} of {count} in place:\n{}", astray.join("\n"));
    }
}
