//! Reports against the schemas that others publish.
//!
//! The JSON Schema of SARIF is in a crate that this one is tested with.

use super::{
    DEAD,
    command::{malha, tree},
    junit_schema,
};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Everything that a report may hold: fixes, related places, witnesses, silenced findings, odd names.
fn mesh() -> tempfile::TempDir {
    let silenced = DEAD.replace("# needless", "# malha: ignore[R001] it goes in June").replace("shop", "old");
    let slip = DEAD.replace("shop", "slip").replace("status: 503", "statos: 503");
    let odd = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: \"<&'\\\"\\u0001\"}\nspec: {hosts: [a b]}\n";
    tree(&[
        ("dead, one.yaml", DEAD),
        ("good.yaml", "a: 1\n"),
        ("old.yaml", &silenced),
        ("slip.yaml", &slip),
        ("ü&%.yaml", odd),
    ])
}

/// Reports of a mesh with findings, of one without, and of one whose findings a baseline knows.
fn reports(format: &str) -> Vec<String> {
    let (mesh, empty) = (mesh(), tree(&[]));
    let check = |directory: &Path, more: &[&str]| {
        let told = malha(directory, &[&["check", "--format", format], more].concat());
        assert!(told.status < 2, "{}", told.err);
        told.out
    };
    vec![
        check(mesh.path(), &["--select", "all"]),
        check(empty.path(), &[]),
        check(mesh.path(), &["--baseline", "known.json", "--write-baseline"]),
    ]
}

#[test]
fn sarif_is_as_its_schema_says() {
    let schema = fs::read_to_string(sarif_schema()).expect("a file");
    let mut schema: Value = serde_json::from_str(&schema).expect("JSON");
    // Two patterns have a bracket too many, by the strict reading of patterns. No report says its language.
    for holder in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][holder]["properties"]["language"];
        assert!(language.as_object_mut().is_some_and(|language| language.remove("pattern").is_some()), "{holder}");
    }
    let validator = jsonschema::draft7::new(&schema).expect("a schema");
    let mut results = 0;
    for report in reports("sarif") {
        let log: Value = serde_json::from_str(&report).expect("JSON");
        let errors: Vec<String> =
            validator.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(errors, [""; 0]);
        results += log["runs"][0]["results"].as_array().expect("a list").len();
    }
    assert!(results > 8, "only {results} results");
    // A schema that takes everything would prove nothing.
    assert!(!validator.is_valid(&serde_json::json!({"version": "2.1.0", "runs": [{"results": []}]})));
}

/// The schema that comes with the crate `serde-sarif`.
fn sarif_schema() -> PathBuf {
    let told = |command: &str, arguments: &[&str]| {
        let told = Command::new(command).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        let told = told.unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(told.status.success(), "{command}: {}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).expect("UTF-8")
    };
    let version = told("rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    // Of other systems not all crates may be here.
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = told(&cargo, &["metadata", "--format-version", "1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let package = packages.iter().find(|package| package["name"] == "serde-sarif").expect("a dependency of the tests");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    manifest.with_file_name("src").join("schema.json")
}

#[test]
fn junit_is_as_its_schema_says() {
    junit_schema::holds_for(&reports("junit"));
}
