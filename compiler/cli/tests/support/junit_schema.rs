//! Reports against the schema of JUnit's XML, as Jenkins has it.
//!
//! The schema is in a Python package: `.ci/junit-schema` puts it where this looks. In CI it must be there.
#![allow(unreachable_pub, reason = "each test file uses its part")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Holds every report to the schema.
pub fn holds_for(reports: &[String]) {
    let schema = junit_schema();
    let has_xmllint = Command::new("xmllint").arg("--version").output().is_ok();
    let missing: Vec<&str> = [
        (!schema.is_file(), "junit-10.xsd (`bash .ci/junit-schema` fetches it)"),
        (!has_xmllint, "xmllint (Debian's libxml2-utils)"),
    ]
    .into_iter()
    .filter_map(|(is_missing, what)| is_missing.then_some(what))
    .collect();
    if !missing.is_empty() {
        assert!(env::var_os("CI").is_none(), "CI must check JUnit's XML, and these are missing: {missing:?}");
        eprintln!("JUnit's XML is NOT checked against its schema; missing: {}", missing.join(", "));
        return;
    }
    let directory = TempDir::new().expect("a temporary directory");
    let valid = |xml: &str| {
        let file = directory.path().join("report.xml");
        fs::write(&file, xml).expect("a file");
        let told = Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(&schema).arg(&file).output();
        let told = told.expect("xmllint runs");
        (told.status.success(), String::from_utf8_lossy(&told.stderr).into_owned())
    };
    for report in reports {
        let (is_valid, said) = valid(report);
        assert!(is_valid, "{said}\n{report}");
    }
    assert!(!valid("<testsuites><testcase/></testsuites>").0, "the schema refuses nothing");
}

/// Where `.ci/junit-schema` puts it.
fn junit_schema() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    target.join("schemas/junit-10.xsd")
}
