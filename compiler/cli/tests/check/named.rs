//! `--force-exclude`: files that a tool names, as pre-commit does, count for no more than those of a directory.

use super::{
    DEAD,
    command::{GOOD, tree, write},
    report,
};
use serde_json::{Value, json};

/// What was left out of a report.
fn skipped(report: &Value) -> Vec<&str> {
    report["summary"]["skipped"].as_array().expect("a list").iter().filter_map(|one| one["file"].as_str()).collect()
}

#[test]
fn what_a_directory_leaves_out_is_left_out_though_it_is_named() {
    let names = ["routes.yaml", ".github/dead.yaml", "build/dead.yaml", "shop/templates/dead.yaml"];
    let mesh = tree(GOOD);
    names.iter().skip(1).for_each(|name| write(&mesh, name, DEAD));
    write(&mesh, ".gitignore", "build/\n");
    write(&mesh, "shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n");
    let forced = [["--force-exclude"].as_slice(), &names].concat();
    for has_config in [false, true] {
        if has_config {
            write(&mesh, "malha.toml", "");
        }
        // Who names them wants them read.
        let (status, told) = report(mesh.path(), &names);
        assert_eq!((status, skipped(&told).len()), (1, 0), "{told}");
        let (_, told) = report(mesh.path(), &forced);
        assert_eq!(skipped(&told), [".github/dead.yaml", "build/dead.yaml", "shop/templates"], "{told}");
        let dead: Vec<&Value> = told["findings"].as_array().expect("a list").iter().collect();
        assert!(dead.iter().all(|one| one["file"] == "routes.yaml"), "{told}");
        if has_config {
            // The rest of the mesh is linked, and what is left of it is good.
            assert_eq!(told["findings"], json!([]));
        }
    }
}

#[test]
fn a_directory_is_what_it_was() {
    let mesh = tree(&[("a/dead.yaml", DEAD), ("b/dead.yaml", "a: 1\n")]);
    assert_eq!(
        report(mesh.path(), &["--force-exclude", "a", "b/dead.yaml"]),
        report(mesh.path(), &["a", "b/dead.yaml"])
    );
}
