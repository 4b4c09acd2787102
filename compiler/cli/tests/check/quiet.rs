//! What is found, and not told: selection, baselines, comments.

use super::{
    DEAD,
    command::{malha, tree, write},
    places, report,
};
use serde_json::Value;
use std::fs;

#[test]
fn malha_toml_selects_weighs_and_excuses() {
    let mesh = tree(&[("malha.toml", ""), ("old/a.yaml", DEAD), ("new/b.yaml", &DEAD.replace("shop", "other"))]);
    let told = |toml: &str| {
        write(&mesh, "malha.toml", toml);
        let (status, report) = report(mesh.path(), &[]);
        (status, places(&report).join(" "))
    };
    let all = "R001 new/b.yaml:11 R001 new/b.yaml:14 R001 old/a.yaml:11 R001 old/a.yaml:14";
    let new = "R001 new/b.yaml:11 R001 new/b.yaml:14";
    assert_eq!(told(""), (1, all.to_owned()));
    assert_eq!(told("[lint.per-file-ignores]\n\"old/**\" = [\"R\"]\n"), (1, new.to_owned()));
    assert_eq!(told("[lint.per-file-ignores]\n\"*.yaml\" = [\"rule-shadowed\"]\n"), (0, String::new()));
    assert_eq!(told("[lint]\nignore = [\"R001\"]\n"), (0, String::new()));
    assert_eq!(told("[lint]\nselect = [\"suspicious\"]\n"), (0, String::new()));
    assert_eq!(told("[lint.severity]\ncorrectness = \"info\"\n"), (0, all.to_owned()));
    assert_eq!(told("[lint.severity]\ncorrectness = \"info\"\nR001 = \"warning\"\n"), (1, all.to_owned()));
    for (toml, expected) in [
        (
            "[lint]\nselect = [\"R01\"]\n",
            "malha.toml: lint.select: `R01` is no rule, no prefix of a code, and no group\n  help: did you mean `R001`?",
        ),
        ("[lint]\nignore = [\"rule-shadwed\"]\n", "malha.toml: lint.ignore: `rule-shadwed` is no rule"),
        ("[lint.severity]\nQ001 = \"info\"\n", "malha.toml: lint.severity: `Q001` is no rule"),
        ("[lint.per-file-ignores]\n\"*\" = [\"suspicous\"]\n", "did you mean `suspicious`?"),
    ] {
        write(&mesh, "malha.toml", toml);
        let told = malha(mesh.path(), &["check"]);
        assert_eq!(told.status, 2, "{toml}");
        assert!(told.err.contains(expected), "{toml}: {}", told.err);
    }
}

#[test]
fn a_baseline_keeps_what_was_not_looked_at() {
    let mesh = tree(&[("malha.toml", ""), ("a.yaml", DEAD), ("b.yaml", &DEAD.replace("shop", "other"))]);
    let check = |more: &[&str]| malha(mesh.path(), &[&["check", "--baseline", "known.json"], more].concat());
    assert!(check(&["--write-baseline"]).err.contains("knows 4 findings"));
    let one = check(&["a.yaml"]);
    assert_eq!((one.status, one.err.as_str()), (0, "2 findings left out: the baseline knows them\n"), "{}", one.out);
    let other = check(&["--select", "D001"]);
    assert!(!other.err.contains("no longer found"), "{}", other.err);
    write(&mesh, "a.yaml", "");
    let gone = check(&["a.yaml"]);
    assert!(gone.err.contains("2 findings of the baseline no longer found"), "{}", gone.err);
    assert!(check(&["a.yaml", "--write-baseline"]).err.contains("knows 2 findings"), "those of b.yaml stay");
    fs::remove_file(mesh.path().join("b.yaml")).expect("it is there");
    assert!(check(&["--write-baseline"]).err.contains("knows 0 findings"), "a file that is gone has none");
}

#[test]
fn a_baseline_knows_findings_wherever_they_move() {
    let mesh = tree(&[("a.yaml", DEAD)]);
    let told = malha(mesh.path(), &["check", "--baseline", "known.json", "--write-baseline"]);
    assert_eq!(told.status, 0, "{}", told.out);
    assert!(told.err.contains("the baseline known.json knows 2 findings"), "{}", told.err);
    let baseline: Value =
        serde_json::from_str(&fs::read_to_string(mesh.path().join("known.json")).expect("a file")).expect("JSON");
    assert_eq!(baseline["version"], 1);
    assert_eq!(baseline["findings"].as_array().map(Vec::len), Some(2));

    // Lines above, and a rule above: every line and every index is another.
    let moved =
        DEAD.replace("  http:\n", "  http:\n  - match: [{uri: {exact: /first}}]\n    directResponse: {status: 201}\n");
    write(&mesh, "a.yaml", &format!("# a line more\n{moved}"));
    let told = malha(mesh.path(), &["check", "--baseline", "known.json"]);
    assert_eq!((told.status, told.err.as_str()), (0, "2 findings left out: the baseline knows them\n"), "{}", told.out);
    // From another directory it is the same baseline.
    fs::create_dir(mesh.path().join("deep")).expect("a directory");
    assert_eq!(malha(&mesh.path().join("deep"), &["check", "--baseline", "../known.json", ".."]).status, 0);

    // One more of the same kind is new, and one that is mended is told of.
    let more = moved.replace("  # kept\n", "  - match: [{uri: {prefix: /a/d}}]\n    directResponse: {status: 200}\n");
    write(&mesh, "a.yaml", &more);
    let (status, left) = report(mesh.path(), &["--baseline", "known.json"]);
    assert_eq!((status, places(&left)), (1, vec!["R001 a.yaml:15".to_owned()]));
    write(
        &mesh,
        "a.yaml",
        &DEAD.replace("  - match: [{uri: {prefix: /a/c}}]\n    directResponse: {status: 404}\n", ""),
    );
    let told = malha(mesh.path(), &["check", "--baseline", "known.json"]);
    assert!(told.err.contains("1 finding of the baseline no longer found"), "{}", told.err);

    write(&mesh, "known.json", "{\"version\": 2, \"findings\": []}");
    let told = malha(mesh.path(), &["check", "--baseline", "known.json"]);
    assert_eq!(told.status, 2);
    assert!(told.err.contains("known.json: this is no baseline: it is of version 2, not 1"), "{}", told.err);
}

#[test]
fn as_many_as_the_baseline_knows_are_left_out() {
    // Two findings that are alike in everything.
    let twice = DEAD
        .replace("  # kept\n", "  - match: [{uri: {prefix: /a/b}}] # needless\n    directResponse: {status: 200}\n");
    let mesh = tree(&[("a.yaml", &twice)]);
    malha(mesh.path(), &["check", "--baseline", "known.json", "--write-baseline"]);
    let thrice = twice.replace(
        "  - directResponse",
        "  - match: [{uri: {prefix: /a/b}}] # needless\n    directResponse: {status: 200}\n  - directResponse",
    );
    write(&mesh, "a.yaml", &thrice);
    let (_, left) = report(mesh.path(), &["--baseline", "known.json"]);
    assert_eq!(places(&left).len(), 1, "{left}");
}

#[test]
fn comments_are_added_once_and_as_deep_as_what_they_silence() {
    let text = DEAD.replace("  # kept", "  # malha: ignore[D001] for later");
    let mesh = tree(&[
        ("a.yaml", &text.replace('\n', "\r\n")),
        ("b.json", "{\"apiVersion\": \"networking.istio.io/v1\", \"kind\": \"Gatway\"}\n"),
    ]);
    let told = malha(mesh.path(), &["check", "--add-ignore", "--ignore", "O005"]);
    assert_eq!(told.status, 1);
    assert!(told.err.contains("no comment: b.json: JSON has no comments"), "{}", told.err);
    assert!(told.err.contains("2 findings silenced in 1 file"), "{}", told.err);
    let expected = text
        .replace("  - match: [{uri: {prefix: /a/b}}]", "  # malha: ignore[R001]\n  - match: [{uri: {prefix: /a/b}}]")
        .replace("ignore[D001] for later", "ignore[D001, R001] for later");
    let written = fs::read_to_string(mesh.path().join("a.yaml")).expect("text");
    assert_eq!(written, expected.replace('\n', "\r\n"));
    let again = malha(mesh.path(), &["check", "--add-ignore", "a.yaml"]);
    assert_eq!((again.status, again.err.as_str()), (0, "0 findings silenced in 0 files\n"), "{}", again.out);
    assert_eq!(fs::read_to_string(mesh.path().join("a.yaml")).expect("text"), written);
}

#[test]
fn a_comment_where_none_can_stand_is_not_written() {
    // The line of the finding is inside of a text.
    let text = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec: {hosts: [a.com], http: [{name: \"one
  two\", directResponse: {statos: 200}}]}
";
    let mesh = tree(&[("a.yaml", text)]);
    let told = malha(mesh.path(), &["check", "--add-ignore"]);
    assert_eq!(told.status, 1, "{}", told.out);
    assert!(told.err.contains("no comment: a.yaml:6: "), "{}", told.err);
    assert_eq!(fs::read_to_string(mesh.path().join("a.yaml")).expect("text"), text);
}
