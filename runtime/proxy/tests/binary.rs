//! `malha-proxy TABLE`, as a process.

#![cfg(unix)]

mod common;

use common::{
    client::{Client, get},
    echo::Echo,
    mesh, wait_for,
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

/// A running process, its words, and where it listens.
struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
    ready: Value,
}

impl Process {
    fn start(table: &Path) -> Self {
        Process::start_with(table, &[])
    }

    fn start_with(table: &Path, arguments: &[&str]) -> Self {
        let ready_file = table.with_extension("ready");
        let mut child = command()
            .arg(table)
            .args(["--ephemeral", "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cores", "1"])
            .args(arguments)
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .arg("--ready-file")
            .arg(&ready_file)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, into) = (BufReader::new(child.stderr.take().expect("piped")).lines(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                into.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        wait_for("the ready file", || ready_file.exists());
        let ready = serde_json::from_slice(&std::fs::read(ready_file).unwrap()).unwrap();
        Process { child, said, ready }
    }

    fn gateway(&self) -> std::net::SocketAddr {
        self.ready["listeners"][0]["address"].as_str().unwrap().parse().unwrap()
    }

    fn said(&self, words: &str) -> bool {
        self.said.lock().unwrap().contains(words)
    }

    fn terminate(&mut self) -> i32 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code().expect("it ends by itself")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_malha-proxy"))
}

fn replace(path: &Path, bytes: &[u8]) {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, bytes).unwrap();
    std::fs::rename(partial, path).unwrap();
}

#[test]
fn a_table_is_served_and_replaced_under_open_connections() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let table = |host: &str| {
        let rules = format!("  - route:\n    - destination: {{host: {host}}}\n");
        mesh::gateway(&rules, &[a.address], &[b.address]).as_bytes().to_vec()
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mesh.table");
    replace(&path, &table("a"));
    let mut process = Process::start(&path);
    let mut client = Client::connect(process.gateway());
    assert_eq!(client.get("x.com", "/", "").json()["name"], "a");
    for turn in 0..6 {
        let host = ["b", "a"][turn % 2];
        replace(&path, &table(host));
        wait_for("the new table", || client.get("x.com", "/", "").json()["name"] == host);
    }
    replace(&path, b"no table");
    wait_for("the refusal", || process.said("the table at hand stays"));
    assert_eq!(client.get("x.com", "/", "").json()["name"], "a");
    let admin = process.ready["admin"].as_str().unwrap().parse().unwrap();
    assert_eq!(get(admin, "localhost", "/status", "").json()["reloadFailures"], 1);
    assert_eq!(process.terminate(), 0);
}

#[test]
fn the_access_log_goes_to_a_file_in_the_format_that_is_asked_for() {
    let a = Echo::start("a");
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = (directory.path().join("mesh.table"), directory.path().join("log"));
    let rules = "  - route:\n    - destination: {host: a}\n";
    replace(&path, mesh::gateway(rules, &[a.address], &[]).as_bytes());
    let arguments = ["--access-log", log.to_str().unwrap(), "--access-log-format", "json"];
    let process = Process::start_with(&path, &arguments);
    assert_eq!(get(process.gateway(), "x.com", "/one", "").status, 200);
    let line = || std::fs::read_to_string(&log).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    wait_for("the line", || line().is_some());
    assert_eq!(line().unwrap()["path"], "/one");
}

#[test]
fn a_collector_that_cannot_be_told_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mesh.table");
    replace(&path, mesh::gateway("  - route:\n    - destination: {host: a}\n", &[], &[]).as_bytes());
    let variable = "OTEL_EXPORTER_OTLP_ENDPOINT";
    for (arguments, environment, words) in [
        (vec!["--otlp", "https://x"], "", "plain HTTP"),
        (vec!["--otlp", "http://x", "--trace-sampling", "101"], "", "no percentage"),
        (vec![], "localhost", "OTEL_EXPORTER_OTLP_ENDPOINT: `localhost` is no collector's address"),
    ] {
        let output = command().arg(&path).args(arguments).env(variable, environment).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(words), "{said}");
    }
}

#[test]
fn what_cannot_be_served_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mesh.table");
    std::fs::write(&path, b"not a table").unwrap();
    for (argument, words) in [(path.as_os_str(), "cannot be served"), ("nowhere.table".as_ref(), "cannot read")] {
        let output = command().arg(argument).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("error: ") && said.contains(words), "{said}");
    }
    let help = command().arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--ready-file"));
}
