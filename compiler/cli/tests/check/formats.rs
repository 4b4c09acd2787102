//! The formats: what each says of one mesh, and that all end alike.

use super::{
    DEAD,
    command::{Told, malha, tree},
    report,
};
use insta::assert_snapshot;
use serde_json::Value;

const FORMATS: [&str; 8] = ["pretty", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit"];

/// A silenced rule, a dead one, a slip in a field, and a good file.
fn mesh() -> tempfile::TempDir {
    let silenced = DEAD.replace("# needless", "# malha: ignore[R001] it goes in June").replace("shop", "old");
    let slip = DEAD.replace("shop", "slip").replace("status: 503", "statos: 503");
    let good = "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {ports: [{port: 80}]}\n";
    tree(&[("dead, one.yaml", DEAD), ("good.yaml", good), ("old.yaml", &silenced), ("slip.yaml", &slip)])
}

fn told(directory: &std::path::Path, format: &str, more: &[&str]) -> Told {
    malha(directory, &[&["check", "--format", format], more].concat())
}

#[test]
fn each_format_tells_the_same() {
    let mesh = mesh();
    for format in ["jsonl", "sarif", "github", "gitlab", "junit"] {
        let told = told(mesh.path(), format, &[]);
        // Help of rules is theirs to change.
        let mut page = told.out;
        if format == "sarif" {
            let mut log: Value = serde_json::from_str(&page).expect("JSON");
            let driver = &mut log["runs"][0]["tool"]["driver"];
            driver["semanticVersion"] = Value::Null;
            for rule in driver["rules"].as_array_mut().expect("a list") {
                let help = rule["help"]["markdown"].as_str().expect("text").to_owned();
                assert!(help.contains("## Why") && rule["fullDescription"]["text"].is_string(), "{help}");
                *rule = rule["id"].clone();
            }
            page = format!("{log:#}\n");
        }
        assert_snapshot!(format!("format_{format}"), page);
    }
}

#[test]
fn every_format_ends_alike() {
    let mesh = mesh();
    let good = tree(&[]);
    for format in FORMATS {
        assert_eq!(told(mesh.path(), format, &[]).status, 1, "{format}");
        assert_eq!(told(mesh.path(), format, &["--ignore", "R,K"]).status, 0, "{format}");
        assert_eq!(told(mesh.path(), format, &["--select", "Z"]).status, 2, "{format}");
        assert_eq!(told(mesh.path(), format, &["nowhere"]).status, 2, "{format}");
        assert_eq!(told(good.path(), format, &[]).status, 0, "{format}");
    }
    // Warnings are no errors, whatever the format makes of them.
    for format in FORMATS {
        let warnings = ["--select", "R", "--ignore", "K", "--fail-on", "error", "dead, one.yaml"];
        let (_, report) = report(mesh.path(), &warnings);
        let errors = report["summary"]["errors"].as_u64().expect("a number");
        assert_eq!(told(mesh.path(), format, &warnings).status, i32::from(errors > 0), "{format}");
    }
}

#[test]
fn each_line_of_jsonl_is_a_finding_and_the_last_one_the_sums() {
    let mesh = mesh();
    let (_, report) = report(mesh.path(), &[]);
    let lines = told(mesh.path(), "jsonl", &[]).out;
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = lines.pop().expect("a last line");
    assert_eq!((&last["version"], &last["summary"]), (&report["version"], &report["summary"]));
    assert_eq!(Value::Array(lines), report["findings"]);
}

#[test]
fn gitlab_knows_a_finding_again() {
    let mesh = mesh();
    let fingerprints = || -> Vec<String> {
        let issues: Value = serde_json::from_str(&told(mesh.path(), "gitlab", &[]).out).expect("JSON");
        let issues = issues.as_array().expect("a list").clone();
        issues.iter().map(|issue| issue["fingerprint"].as_str().expect("text").to_owned()).collect()
    };
    let before = fingerprints();
    let unlike: std::collections::BTreeSet<_> = before.iter().collect();
    assert_eq!(unlike.len(), before.len(), "no two are the same");
    std::fs::write(mesh.path().join("dead, one.yaml"), format!("# a line more\n\n{DEAD}")).expect("a file");
    assert_eq!(fingerprints(), before);
}

#[test]
fn statistics_count_by_rule() {
    let mesh = mesh();
    let told = malha(mesh.path(), &["check", "--statistics"]);
    assert_eq!(told.status, 1);
    assert_snapshot!("statistics", told.out);
    let (status, report) = report(mesh.path(), &["--statistics"]);
    assert_eq!(status, 1);
    assert_eq!(report["statistics"][0]["code"], "R001");
    assert_eq!(report["statistics"][0]["count"], 3);
}

#[test]
fn pages_for_people_are_as_wide_as_columns_says() {
    let mesh = mesh();
    let widest = |columns: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_malha"))
            .args(["check", "dead, one.yaml"])
            .current_dir(mesh.path())
            .env("COLUMNS", columns)
            .output()
            .expect("malha runs");
        let page = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(!page.contains('\u{1b}'), "no colour where nobody sees it");
        // Lines of files are not broken.
        page.lines().filter(|line| !line.contains('│')).map(|line| line.chars().count()).max().unwrap_or_default()
    };
    assert!(widest("60") <= 60, "{}", widest("60"));
    assert!(widest("200") > 60, "{}", widest("200"));
}

#[test]
fn timing_is_told_beside_the_report() {
    let mesh = mesh();
    let told = told(mesh.path(), "json", &["--timing"]);
    assert!(serde_json::from_str::<Value>(&told.out).is_ok());
    for part in ["read", "link", "lower", "lint", "report", "all", "R001 rule-shadowed"] {
        assert!(told.err.lines().any(|line| line.ends_with(&format!("ms  {part}"))), "{part}: {}", told.err);
    }
}

#[test]
fn manual_pages_are_written() {
    let directory = tree(&[]);
    let told = malha(directory.path(), &["man"]);
    assert!(told.status == 0 && told.out.contains(".TH malha 1"), "{}", told.out);
    assert_eq!(malha(directory.path(), &["man", "pages"]).status, 0);
    let page = std::fs::read_to_string(directory.path().join("pages/malha-check.1")).expect("it was written");
    assert!(page.contains("write\\-baseline") && page.contains("unsafe\\-fixes"), "{page}");
}

#[test]
fn the_page_about_check_names_every_flag() {
    let page = include_str!("../../../../docs/check.md");
    let command = <malha::args::Cli as clap::CommandFactory>::command();
    let check = command.find_subcommand("check").expect("there is one");
    let flags: Vec<&str> = check.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert!(flags.len() > 12, "{flags:?}");
    for flag in flags {
        assert!(page.contains(&format!("--{flag}")), "--{flag}");
    }
}
