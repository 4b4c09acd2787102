//! `malha diff` as people use it: directories, revisions, exit statuses.

#[path = "support/command.rs"]
mod command;

use command::{malha, tree, write};
use serde_json::Value;
use std::{path::Path, process::Command};

const MESH: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: ['*']
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec:
  ports: [{name: http, port: 8000}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: default}
spec:
  host: cart
  subsets:
    - {name: v1, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match: [{uri: {prefix: /cart}}]
      route: [{destination: {host: cart, subset: v1}}]
    - match: [{uri: {prefix: /old}}]
      redirect: {uri: /cart}
    - match: [{uri: {prefix: /health}}]
      directResponse: {status: 200}
";

/// The report on a change of `MESH`.
fn changes(edits: &[(&str, &str)]) -> (i32, Value) {
    let text = edits.iter().fold(MESH.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let trees = tree(&[("old/mesh.yaml", MESH)]);
    write(&trees, "new/mesh.yaml", &text);
    let told = malha(trees.path(), &["diff", "old", "new", "--format", "json"]);
    (told.status, serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {} {}", told.out, told.err)))
}

fn classes(report: &Value) -> Vec<&str> {
    report["changes"].as_array().into_iter().flatten().filter_map(|change| change["class"].as_str()).collect()
}

#[test]
fn lines_that_move_are_no_change() {
    let (status, report) = changes(&[("spec:\n  hosts: [shop", "# a comment\nspec:\n  hosts: [shop")]);
    assert_eq!((status, report["identical"].as_bool()), (0, Some(true)), "{report}");
    // Rules that exclude each other may change places.
    let (status, report) = changes(&[
        ("    - match: [{uri: {prefix: /old}}]\n      redirect: {uri: /cart}\n", ""),
        ("  http:\n", "  http:\n    - match: [{uri: {prefix: /old}}]\n      redirect: {uri: /cart}\n"),
    ]);
    assert_eq!((status, classes(&report)), (0, Vec::new()), "{report}");
}

#[test]
fn each_class_with_a_witness() {
    let cases = [
        (vec![("prefix: /old", "prefix: /older")], vec!["removed"]),
        (
            vec![(
                "    - match: [{uri: {prefix: /health",
                "    - match: [{uri: {prefix: /new}}]\n      directResponse: {status: 204}\n    - match: [{uri: {prefix: /health",
            )],
            vec!["added"],
        ),
        (vec![("redirect: {uri: /cart}", "redirect: {uri: /basket}")], vec!["rerouted"]),
        (vec![("subset: v1}}]", "subset: v1}}]\n      timeout: 5s")], vec!["policy"]),
    ];
    for (edits, expected) in cases {
        let (status, report) = changes(&edits);
        assert_eq!((status, classes(&report)), (1, expected), "{edits:?}: {report}");
        let change = &report["changes"][0];
        assert_eq!(change["host"], "shop.example.com");
        assert_ne!(change["before"], change["after"]);
        assert!(change["witness"]["path"].as_str().is_some_and(|path| path.starts_with('/')), "{report}");
        assert!(change["region"].as_str().is_some_and(|words| words.contains("path")), "{report}");
    }
}

#[test]
fn a_subset_that_comes_with_its_use_is_a_hazard() {
    let (_, report) = changes(&[
        (
            "    - {name: v1, labels: {version: v1}}",
            "    - {name: v1, labels: {version: v1}}\n    - {name: v2, labels: {version: v2}}",
        ),
        ("{host: cart, subset: v1}", "{host: cart, subset: v2}"),
    ]);
    let hazard = &report["hazards"][0];
    assert_eq!(hazard["code"], "O001", "{report}");
    assert!(hazard["message"].as_str().is_some_and(|words| words.contains("`v2`")), "{report}");
    assert!(hazard["range"]["start"]["line"].as_u64().is_some_and(|line| line > 1), "{report}");
}

fn git(directory: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let status =
        Command::new("git").arg("-C").arg(directory).args(identity).args(arguments).status().expect("git runs");
    assert!(status.success(), "git {arguments:?}");
}

#[test]
fn a_revision_is_compared_with_the_working_tree() {
    let repository = tree(&[("istio/mesh.yaml", MESH), ("other/readme.txt", "no mesh\n")]);
    git(repository.path(), &["init", "--quiet"]);
    git(repository.path(), &["add", "."]);
    git(repository.path(), &["commit", "--quiet", "-m", "first"]);
    let same = malha(repository.path(), &["diff", "HEAD"]);
    assert_eq!((same.status, same.err.as_str()), (0, ""), "{}", same.out);
    write(&repository, "istio/mesh.yaml", &MESH.replace("prefix: /old", "prefix: /older"));
    for arguments in [&["diff", "HEAD"][..], &["diff", "HEAD", "istio"], &["diff", "HEAD", "istio/mesh.yaml"]] {
        let told = malha(repository.path(), arguments);
        assert_eq!(told.status, 1, "{arguments:?}: {} {}", told.out, told.err);
        assert!(told.out.contains("removed shop.example.com"), "{arguments:?}: {}", told.out);
    }
    let inside = malha(&repository.path().join("istio"), &["diff", "HEAD"]);
    assert_eq!(inside.status, 1, "{}", inside.err);
    git(repository.path(), &["commit", "--quiet", "-am", "second"]);
    let revisions = malha(repository.path(), &["diff", "HEAD~1", "HEAD", "--format", "markdown"]);
    assert_eq!(revisions.status, 1, "{}", revisions.err);
    assert!(revisions.out.starts_with("### 1 change"), "{}", revisions.out);
    let unknown = malha(repository.path(), &["diff", "no-such-branch"]);
    assert_eq!(unknown.status, 2);
    assert!(unknown.err.contains("neither a path nor a revision"), "{}", unknown.err);
    let option = malha(repository.path(), &["diff", "--", "--output=x"]);
    assert_eq!(option.status, 2, "{}", option.out);
}

#[test]
fn what_takes_no_part_is_said() {
    let trees = tree(&[("old/mesh.yaml", MESH)]);
    write(&trees, "new/mesh.yaml", &MESH.replace("redirect:", "redirekt:"));
    let told = malha(trees.path(), &["diff", "old", "new"]);
    assert_eq!(told.status, 1, "{}", told.out);
    assert!(told.err.contains("1 objects of NEW take no part"), "{}", told.err);
    let compiled = malha(trees.path(), &["compile", "old", "-o", "old.table"]);
    assert_eq!(compiled.status, 0, "{}", compiled.err);
    let table = malha(trees.path(), &["diff", "old.table", "new"]);
    assert_eq!((table.status, table.out.as_str()), (2, ""), "{}", table.err);
    assert!(table.err.contains("is a table"), "{}", table.err);
}
