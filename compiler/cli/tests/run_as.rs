//! `malha run --as ... -- COMMAND`: a program of this machine as a client of the mesh.

#[path = "support/command.rs"]
mod command;

use command::{Told, malha, tree};
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A rule by the caller's labels, and one for its namespace.
const MESH: &[(&str, &str)] = &[
    (
        "orders.yaml",
        "apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec:
  selector: {app: orders}
  ports:
  - {name: http, port: 8000}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  selector:
    matchLabels: {app: orders}
  template:
    metadata:
      labels: {app: orders, version: v1}
    spec:
      containers:
      - name: orders
",
    ),
    (
        "routes.yaml",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: shop}
spec:
  hosts: [orders.shop.svc.cluster.local]
  http:
  - match:
    - sourceLabels: {app: web}
    route:
    - destination: {host: orders}
  - match:
    - sourceNamespace: strangers
    directResponse: {status: 418}
  - directResponse: {status: 403}
",
    ),
];

fn mesh() -> TempDir {
    tree(MESH)
}

fn run(arguments: &[&str]) -> Told {
    let mesh = mesh();
    malha(mesh.path(), &[&["run", "--mock", "--ephemeral"], arguments].concat())
}

const STATUS: [&str; 6] = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"];

#[test]
fn a_program_calls_as_who_it_is() {
    let url = "http://orders.shop:8000/";
    let told = run(&["--as", "shop/app=web,version=v7", "--", "curl", "-s", url]);
    assert_eq!(told.status, 0, "{}", told.err);
    let answer: serde_json::Value = serde_json::from_str(&told.out).expect("the program alone writes to the output");
    assert_eq!((&answer["app"], &answer["version"]), (&"orders".into(), &"v1".into()));
    assert!(told.err.contains("sidecar shop/as on http://127.0.0.1:"), "{}", told.err);
    assert!(told.err.contains("\"GET / HTTP/1.1\" 200"), "the access log: {}", told.err);

    for (client, expected) in [("shop/app=web", "200"), ("shop/app=other", "403"), ("strangers", "418")] {
        let told = run(&[&["--as", client, "--"], &STATUS[..], &[url]].concat());
        assert_eq!((told.status, told.out.as_str()), (0, expected), "{client}: {}", told.err);
    }
    let told = run(&[&["--"], &STATUS[..], &[url]].concat());
    assert_eq!((told.status, told.out.as_str()), (0, "403"), "the default sidecar: {}", told.err);
}

#[test]
fn the_exit_status_is_the_programs() {
    for (script, expected) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        assert_eq!(run(&["--as", "shop", "--", "sh", "-c", script]).status, expected, "{script}");
    }
    let told = run(&["--as", "shop", "--", "no-such-program"]);
    assert_eq!(told.status, 2);
    assert!(told.err.contains("malha: no-such-program cannot be started: "), "{}", told.err);
}

#[test]
fn the_environment_names_the_sidecar_and_nothing_beside_it() {
    let script =
        "echo $http_proxy; echo $HTTP_PROXY; echo $https_proxy; echo $HTTPS_PROXY; echo \"$no_proxy$NO_PROXY\"";
    let mesh = mesh();
    let out = Command::new(env!("CARGO_BIN_EXE_malha"))
        .args(["run", "--mock", "--ephemeral", "--as", "shop", ".", "--", "sh", "-c", script])
        .current_dir(mesh.path())
        .envs([("no_proxy", "*"), ("NO_PROXY", "orders.shop"), ("http_proxy", "http://192.0.2.1:1")])
        .output()
        .expect("malha runs");
    let out = String::from_utf8(out.stdout).expect("UTF-8");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    assert!(lines[0].starts_with("http://127.0.0.1:") && lines[..4].iter().all(|line| *line == lines[0]), "{out}");
    assert_eq!(lines[4], "");
}

#[cfg(unix)]
#[test]
fn signals_are_the_programs_to_answer() {
    let mesh = mesh();
    let script =
        "trap 'echo interrupted' INT; trap 'echo ending; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = Command::new(env!("CARGO_BIN_EXE_malha"))
        .args(["run", "--mock", "--ephemeral", "--as", "shop", ".", "--", "sh", "-c", script])
        .current_dir(mesh.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("malha starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("UTF-8");
    assert_eq!(next(), "ready");
    let pid = child.id().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill runs").success());
    };
    // On a terminal Ctrl-C reaches the program by itself; here malha passes it on, and goes on until the program ends.
    signal("-INT");
    assert_eq!(next(), "interrupted");
    signal("-TERM");
    assert_eq!(next(), "ending");
    let since = Instant::now();
    let status = child.wait().expect("it ends");
    assert!(since.elapsed() < Duration::from_mins(1));
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_table_has_its_own_proxies() {
    let mesh = mesh();
    let compiled = malha(mesh.path(), &["compile", ".", "-o", "mesh.table"]);
    assert_eq!(compiled.status, 0, "{}", compiled.err);
    let told = malha(mesh.path(), &["run", "--ephemeral", "--as", "shop", "mesh.table", "--", "true"]);
    assert_eq!(told.status, 2);
    assert!(told.err.contains("--as is for a mesh's files"), "{}", told.err);
    let url = "http://orders.shop:8000/";
    let told = malha(mesh.path(), &[&["run", "--ephemeral", "mesh.table", "--"], &STATUS[..], &[url]].concat());
    assert_eq!((told.status, told.out.as_str()), (0, "403"), "{}", told.err);
}
