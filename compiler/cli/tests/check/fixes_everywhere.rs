//! Fixes of every example: done once there is nothing left to do, and nothing new is found.

use super::{
    command::{Told, malha},
    report,
};
use malha_lint::RULES;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Rules that run only when they are asked for have fixes, too.
const ALL: [&str; 2] = ["--select", "all"];

/// How many findings of each code each file has.
fn counts(report: &Value) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for finding in report["findings"].as_array().expect("a list") {
        let text = |key: &str| finding[key].as_str().expect("a string").to_owned();
        *counts.entry((text("file"), text("code"))).or_default() += 1;
    }
    counts
}

fn fixed(said: &str) -> usize {
    let line = said.lines().find(|line| line.contains(" fixed in ")).expect("it is said");
    line.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// Fixes everything in a directory, and looks at it; says how many fixes that were.
fn hold(what: &str, directory: &Path, flag: &str) -> usize {
    let fix = || -> Told { malha(directory, &[&["check", "--format", "json", flag], &ALL[..]].concat()) };
    let (_, before) = report(directory, &ALL);
    let first = fix();
    let after: Value =
        serde_json::from_str(&first.out).unwrap_or_else(|error| panic!("{what}: {error}: {}", first.err));
    let (before, after) = (counts(&before), counts(&after));
    for (key, count) in &after {
        let allowed = before.get(key).copied().unwrap_or_default();
        assert!(*count <= allowed, "{what}: {key:?}: {allowed} before, {count} after\n{}", first.err);
    }
    let number = fixed(&first.err);
    assert_eq!(before.values().sum::<usize>(), after.values().sum::<usize>() + number, "{what}: {}", first.err);
    let (written, (_, read_again)) = (contents(directory), report(directory, &ALL));
    assert_eq!(counts(&read_again), after, "{what}: what is written is what was tried");
    let second = fix();
    assert_eq!(fixed(&second.err), 0, "{what}: {}", second.err);
    assert!(contents(directory) == written, "{what}: nothing is left to do");
    number
}

#[test]
fn every_rules_bad_example_can_be_fixed_again_and_again() {
    let mut fixes = 0;
    for rule in RULES {
        for flag in ["--fix", "--unsafe-fixes"] {
            let mesh = TempDir::new().expect("a directory");
            fs::write(mesh.path().join("a.yaml"), rule.bad.bytes()).expect("a file");
            fixes += hold(&format!("{} {flag}", rule.info.code), mesh.path(), flag);
        }
    }
    assert!(fixes >= 12, "only {fixes} fixes were applied");
}

#[test]
fn the_examples_can_be_fixed_again_and_again() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let copy = TempDir::new().expect("a directory");
    for (path, bytes) in contents(&examples) {
        let path = copy.path().join(path.strip_prefix(&examples).expect("it is below"));
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }
    hold("examples", copy.path(), "--fix");
    hold("examples", copy.path(), "--unsafe-fixes");
}
