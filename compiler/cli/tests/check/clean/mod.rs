//! Clean repositories: whatever is found in one is a defect of the rule that finds it.

mod repository;

use super::{
    command::{tree, write},
    places, report,
};
use repository::repository;
use serde_json::{Value, json};
use tempfile::TempDir;

/// So many teams have more than 10,000 objects.
const TEAMS: usize = 104;

fn laid_out(teams: usize) -> TempDir {
    let directory = tree(&[]);
    for (name, text) in repository(teams) {
        write(&directory, &name, &text);
    }
    directory
}

/// How many objects of each kind a report counts.
fn objects(report: &Value) -> Vec<(&str, u64)> {
    let resources = report["summary"]["resources"].as_object().expect("a mapping");
    resources.iter().map(|(kind, count)| (kind.as_str(), count.as_u64().expect("a number"))).collect()
}

#[test]
fn nothing_is_said_of_ten_thousand_clean_objects() {
    let repository = laid_out(TEAMS);
    for registry in ["auto", "closed"] {
        write(&repository, "malha.toml", &format!("[mesh]\nregistry = \"{registry}\"\n"));
        let (status, report) = report(repository.path(), &[]);
        assert_eq!((status, &report["findings"]), (0, &json!([])), "{registry}");
        assert_eq!(report["summary"]["skipped"], json!([]));
        let objects = objects(&report);
        assert!(objects.iter().map(|(_, count)| count).sum::<u64>() > 10_000, "{objects:?}");
        for kind in [
            "DestinationRule",
            "Gateway",
            "Secret",
            "Service",
            "ServiceEntry",
            "Sidecar",
            "VirtualService",
            "WorkloadEntry",
        ] {
            assert!(objects.iter().any(|(counted, count)| *counted == kind && *count >= TEAMS as u64), "{kind}");
        }
    }
}

/// That the silence says something: each of these slips is told, where it is.
#[test]
fn a_slip_in_a_clean_repository_is_told() {
    let files = repository(2);
    let repository = laid_out(2);
    write(&repository, "malha.toml", "[mesh]\nregistry = \"closed\"\n");
    for (file, right, wrong, expected) in [
        ("teams/team-001/app-1.yaml", "subset: v2, port", "subset: v3, port", "D001"),
        ("teams/team-001/gateway.yaml", "credentialName: team-001-tls", "credentialName: team-001-tsl", "C001"),
        ("teams/team-000/app-3.yaml", "gateways: [team-000]", "gateways: [team-00]", "H007"),
        ("teams/team-001/portal.yaml", "name: portal-one", "name: portal-on", "D009"),
        ("teams/team-000/legacy.yaml", "host: legacy.team-000.internal", "host: legacy.team-00.internal", "D012"),
    ] {
        let text = files.get(file).unwrap_or_else(|| panic!("{file} is there"));
        assert!(text.contains(right), "{file}: {right}");
        write(&repository, file, &text.replacen(right, wrong, 1));
        let (status, report) = report(repository.path(), &[]);
        write(&repository, file, text);
        let told = places(&report);
        let is_there = |told: &String| told.starts_with(&format!("{expected} {file}:"));
        assert!(status == 1 && told.iter().any(is_there), "{wrong}: {told:?}");
    }
}
