//! The GitHub action and the template for GitLab: their own commands, run as these run them.

#[path = "support/command.rs"]
mod command;

use command::{GOOD, tree, write};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// A destination that lacks its subset, in the rules of [`GOOD`].
fn bad() -> String {
    GOOD[1].1.replace("{host: cart}", "{host: cart, subset: v9}")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout exists")
}

fn read(name: &str) -> Value {
    let text = fs::read_to_string(root().join(name)).expect("it is there");
    serde_yaml::from_str(&text).expect("YAML")
}

/// A directory with `.malha/bin/malha`, as both put it there.
fn home() -> TempDir {
    let home = tree(&[(".malha/bin/README", "")]);
    symlink(env!("CARGO_BIN_EXE_malha"), home.path().join(".malha/bin/malha")).expect("a link");
    home
}

fn bash(script: &str, directory: &Path, variables: &[(&str, &str)]) -> Output {
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).current_dir(directory).env_remove("COLUMNS");
    bash.envs(variables.iter().copied()).output().expect("bash runs it")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The step of the action whose script contains a text.
fn step<'a>(action: &'a Value, text: &str) -> &'a Value {
    let steps = action["runs"]["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["run"].as_str().is_some_and(|run| run.contains(text))).expect("there is such a step")
}

/// Runs the check of the action as with these inputs; tells how it ended, what it printed, and its output `status`.
fn act(mesh: &Path, inputs: &[(&str, &str)]) -> (i32, String, String) {
    let (action, home) = (read("action.yml"), home());
    let check = step(&action, "malha check");
    let outputs = home.path().join("outputs");
    fs::write(&outputs, "").expect("a file");
    let mut variables = vec![
        ("HOME".to_owned(), home.path().display().to_string()),
        ("GITHUB_OUTPUT".to_owned(), outputs.display().to_string()),
    ];
    for (name, value) in check["env"].as_object().expect("variables") {
        let value = value.as_str().expect("a string");
        let input = value.strip_prefix("${{ inputs.").and_then(|rest| rest.strip_suffix(" }}")).expect("an input");
        let default = action["inputs"][input]["default"].as_str().expect("a default");
        let given = inputs.iter().find(|(name, _)| *name == input).map_or(default, |(_, given)| given);
        variables.push((name.clone(), given.to_owned()));
    }
    for (name, _) in inputs {
        assert!(action["inputs"][name].is_object(), "{name} is no input");
    }
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let output = bash(check["run"].as_str().expect("a script"), mesh, &variables);
    let told = fs::read_to_string(&outputs).expect("it is there");
    (output.status.code().expect("an exit status"), out(&output), told)
}

#[test]
fn the_action_annotates_and_ends_as_the_check_does() {
    let mesh = tree(GOOD);
    let (status, told, outputs) = act(mesh.path(), &[]);
    assert_eq!((status, told.contains("::"), outputs.as_str()), (0, false, "status=0\n"), "{told}");
    let mesh = tree(&[GOOD[0], GOOD[2], ("more routes/bad.yaml", &bad())]);
    let (status, told, outputs) = act(mesh.path(), &[]);
    assert_eq!((status, outputs.as_str()), (1, "status=1\n"));
    assert!(told.contains("::error file=more routes/bad.yaml,"), "{told}");
    // Paths and arguments one a line, whatever is in them.
    let (status, told, _) = act(mesh.path(), &[("paths", "more routes\ncart.yaml\n"), ("args", "--ignore=all\n")]);
    assert_eq!((status, told.contains("::")), (0, false), "{told}");
    assert!(told.contains("in 2 files"), "{told}");
    let (status, told, outputs) = act(mesh.path(), &[("paths", "$(touch here)")]);
    assert_eq!((status, told.as_str(), outputs.as_str()), (2, "", "status=2\n"));
    assert!(!mesh.path().join("here").exists());
}

#[test]
fn the_action_writes_sarif() {
    let mesh = tree(GOOD);
    write(&mesh, "routes.yaml", &bad());
    let (status, told, _) = act(mesh.path(), &[("sarif-file", "malha report.sarif")]);
    assert_eq!(status, 1);
    assert!(told.contains("::error file=routes.yaml,"), "{told}");
    let report = fs::read_to_string(mesh.path().join("malha report.sarif")).expect("it is written");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["runs"][0]["results"][0]["ruleId"], "D001");
    assert_eq!(act(mesh.path(), &[("sarif-file", "report"), ("args", "--no-such-flag")]).0, 2);
}

#[test]
fn the_action_builds_what_it_came_with() {
    let (action, home) = (read("action.yml"), home());
    let outputs = home.path().join("outputs");
    let (sources, path) = (root().display().to_string(), outputs.display().to_string());
    let variables = [("MALHA_SOURCES", sources.as_str()), ("GITHUB_OUTPUT", &path)];
    let output = bash(step(&action, "sha256sum")["run"].as_str().expect("a script"), home.path(), &variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = fs::read_to_string(&outputs).expect("it is written");
    let hash = told.trim_end().strip_prefix("hash=").expect("a hash");
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");

    // In place of cargo stands one that says what it is asked for.
    write(&home, "bin/cargo", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
    let cargo = home.path().join("bin/cargo");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let search = format!("{}:/usr/bin:/bin", home.path().join("bin").display());
    let install = step(&action, "cargo install")["run"].as_str().expect("a script");
    let output = bash(install, home.path(), &[("MALHA_SOURCES", &sources), ("HOME", "/home/x"), ("PATH", &search)]);
    let words: Vec<String> = out(&output).lines().map(str::to_owned).collect();
    let package = format!("{sources}/compiler/cli");
    assert_eq!(words, ["install", "--quiet", "--locked", "--root", "/home/x/.malha", "--path", &package]);
    assert!(Path::new(&package).join("Cargo.toml").is_file());
}

/// Runs the job of the template, with these variables in place of its own.
fn job(mesh: &Path, home: &Path, given: &[(&str, &str)]) -> Output {
    let template = read("templates/gitlab.yml");
    let job = &template["malha"];
    let lines = |key: &str| {
        let lines = job[key].as_array().expect("commands").clone();
        lines.into_iter().map(|line| line.as_str().expect("a command").to_owned()).collect::<Vec<_>>()
    };
    let script = [lines("before_script"), lines("script")].concat().join("\n");
    let home = home.display().to_string();
    let mut variables = vec![("CI_PROJECT_DIR", home.as_str()), ("PATH", "/usr/bin:/bin")];
    let own = job["variables"].as_object().expect("variables");
    variables.extend(own.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("a string"))));
    for (name, _) in given {
        assert!(own.contains_key(*name), "{name} is no variable of the job");
    }
    variables.extend(given);
    bash(&script, mesh, &variables)
}

#[test]
fn the_job_reports_and_ends_as_the_check_does() {
    let (mesh, home) = (tree(GOOD), home());
    let report = || -> Value {
        let text = fs::read_to_string(mesh.path().join("gl-code-quality-report.json")).expect("it is written");
        serde_json::from_str(&text).expect("JSON")
    };
    let template = read("templates/gitlab.yml");
    assert_eq!(template["malha"]["artifacts"]["reports"]["codequality"], "gl-code-quality-report.json");
    let output = job(mesh.path(), home.path(), &[]);
    assert_eq!((output.status.code(), report()), (Some(0), Value::Array(Vec::new())), "{}", out(&output));
    write(&mesh, "routes.yaml", &bad());
    let output = job(mesh.path(), home.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report()[0]["check_name"], "D001");
    assert!(out(&output).contains("routes.yaml:13:"), "{}", out(&output));
    let output =
        job(mesh.path(), home.path(), &[("MALHA_PATHS", "cart.yaml gateway.yaml"), ("MALHA_ARGS", "--ignore all")]);
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    assert_eq!(job(mesh.path(), home.path(), &[("MALHA_ARGS", "--no-such-flag")]).status.code(), Some(2));
    // Without a malha, and without a place to get it from.
    let nothing = tree(&[]);
    let output = job(mesh.path(), nothing.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MALHA_REPOSITORY"));
}
