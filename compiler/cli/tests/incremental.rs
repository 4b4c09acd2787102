//! What one edit costs: files read again, virtual hosts lowered anew.

#[path = "support/command.rs"]
mod command;

use command::tree;
use malha::{
    inputs::Inputs,
    watch::Change,
    workspace::{Work, Workspace},
};
use std::{collections::BTreeSet, fs, path::Path};

const FILES: usize = 40;

fn routes(number: usize, prefix: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop-{number}}}
spec:
  hosts: [shop-{number}.example]
  gateways: [shop]
  http:
  - match: [{{uri: {{prefix: {prefix}}}}}]
    directResponse: {{status: 200}}
"
    )
}

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [\"*\"]
";

/// Brings a workspace up to date, and says what that cost.
fn update(workspace: &mut Workspace, inputs: &Inputs, change: &Change) -> Work {
    let files_read = workspace.update(inputs.mesh_alone().expect("one mesh"), change).expect("readable");
    let mesh = workspace.link().expect("readable");
    let proxies = workspace.proxies(&mesh);
    let (_, virtual_hosts_lowered) = workspace.lower(&mesh, &proxies);
    Work { files_read, virtual_hosts_lowered }
}

fn write(directory: &Path, name: &str, text: &str) -> Change {
    let path = directory.join(name);
    fs::write(&path, text).expect("a file");
    Change::Files(BTreeSet::from([path]))
}

#[test]
fn an_edit_costs_what_it_reaches() {
    let mesh = tree(&[("gateway.yaml", GATEWAY)]);
    let root = mesh.path().canonicalize().expect("it exists");
    for number in 0..FILES {
        write(&root, &format!("{number}.yaml"), &routes(number, "/a"));
    }
    let inputs = Inputs::find(std::slice::from_ref(&root)).expect("it exists");
    let mut workspace = Workspace::open(inputs.mesh_alone().expect("one mesh")).expect("readable");
    let work = |files_read, virtual_hosts_lowered| Work { files_read, virtual_hosts_lowered };

    // All were read when the workspace was opened.
    assert_eq!(update(&mut workspace, &inputs, &Change::Anything), work(0, FILES));
    assert_eq!(update(&mut workspace, &inputs, &Change::Anything), work(0, 0));
    let change = write(&root, "7.yaml", &routes(7, "/b"));
    assert_eq!(update(&mut workspace, &inputs, &change), work(1, 1));
    // A comment moves lines: the file is read, and its virtual host knows its new place.
    let change = write(&root, "7.yaml", &format!("# moved\n{}", routes(7, "/b")));
    let moved = update(&mut workspace, &inputs, &change);
    assert_eq!(moved.files_read, 1);
    assert!(moved.virtual_hosts_lowered <= 1, "{moved:?}");
    // The same bytes again are no change.
    let change = write(&root, "7.yaml", &format!("# moved\n{}", routes(7, "/b")));
    assert_eq!(update(&mut workspace, &inputs, &change), work(0, 0));
    // A file that sorts before all others renumbers the sources, yet is the only one that is read.
    let change = write(&root, "+.yaml", &routes(FILES, "/a"));
    assert_eq!(update(&mut workspace, &inputs, &change).files_read, 1);
    fs::remove_file(root.join("7.yaml")).expect("it goes");
    assert_eq!(update(&mut workspace, &inputs, &Change::Anything).files_read, 0);
    assert_eq!(workspace.summary().resources["VirtualService"], FILES);
}

#[test]
fn an_updated_workspace_is_as_a_new_one() {
    let mesh = tree(&[("gateway.yaml", GATEWAY)]);
    let root = mesh.path().canonicalize().expect("it exists");
    write(&root, "b.yaml", &routes(1, "/b"));
    let inputs = Inputs::find(std::slice::from_ref(&root)).expect("it exists");
    let mut workspace = Workspace::open(inputs.mesh_alone().expect("one mesh")).expect("readable");
    update(&mut workspace, &inputs, &Change::Anything);
    // The same object twice: the last file's counts, whichever was read first.
    let change = write(&root, "a.yaml", &routes(1, "/a"));
    update(&mut workspace, &inputs, &change);
    let table = |workspace: &mut Workspace| {
        let mesh = workspace.link().expect("readable");
        let proxies = workspace.proxies(&mesh);
        let (program, _) = workspace.lower(&mesh, &proxies);
        workspace.table(&program).expect("a table")
    };
    let mut anew = Workspace::open(inputs.mesh_alone().expect("one mesh")).expect("readable");
    assert!(table(&mut workspace) == table(&mut anew), "the tables differ");
}
