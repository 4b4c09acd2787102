//! `malha-proxy TABLE`, as a process.

#![cfg(unix)]

use crate::common::{
    client::{Client, get},
    echo::{self, Echo},
    mesh,
    process::{Process, command},
    tls::{Authority, Certified, Speaker},
    wait_for,
};
use malha_table::Role;
use serde_json::Value;
use std::path::Path;

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
    assert_eq!(get(process.admin(), "localhost", "/status", "").json()["reloadFailures"], 1);
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
        (vec!["--trace-sampling", "101"], "http://x", "no percentage"),
    ] {
        let output = command().arg(&path).args(arguments).env(variable, environment).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(words), "{said}");
    }
}

#[test]
fn the_environment_may_name_a_collector_that_is_not_to_be_told() {
    let a = Echo::start("a");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mesh.table");
    replace(&path, mesh::gateway("  - route:\n    - destination: {host: a}\n", &[a.address], &[]).as_bytes());
    let sound = format!("http://{}", echo::dead());
    let note = "note: nothing is traced: OTEL_EXPORTER_OTLP_ENDPOINT: `https://x` is no collector's address";
    for (arguments, environment, is_traced, is_noted) in [
        (vec![], sound.as_str(), true, false),
        (vec!["--otlp", ""], &sound, false, false),
        (vec!["--otlp", ""], "https://x", false, false),
        (vec![], "https://x", false, true),
    ] {
        let mut process = Process::start_in(&path, &arguments, environment);
        let answer = get(process.gateway(), "x.com", "/", "").json();
        let headers = answer["headers"].as_object().unwrap();
        assert_eq!(headers.contains_key("traceparent"), is_traced, "{arguments:?} in {environment}");
        assert_eq!(process.terminate(), 0);
        wait_for("its last words", || process.said("stopping"));
        assert_eq!(process.said(note), is_noted, "{arguments:?} in {environment}");
        std::fs::remove_file(path.with_extension("ready")).unwrap();
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

#[test]
fn certificates_are_read_from_directories_and_followed() {
    let (echo, before, after) = (Echo::start("a"), Authority::new(), Authority::new());
    let rules = "  - route: [{destination: {host: a}}]\n";
    let text = mesh::gateway_text(rules).replace(
        "  - port: {number: 80, name: http, protocol: HTTP}\n    hosts: ['*']\n",
        "  - port: {number: 443, name: https, protocol: HTTPS}\n    hosts: ['*']\n    tls: {mode: SIMPLE, credentialName: shop}\n",
    );
    let table = mesh::compile(&text, &[echo.address], &[]);
    let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mesh.table");
    replace(&path, table.as_bytes());
    let secret = directory.path().join("secrets").join(namespace).join("shop");
    std::fs::create_dir_all(&secret).unwrap();
    let put = |certified: &Certified| {
        replace(&secret.join("tls.key"), certified.key_pem().as_bytes());
        replace(&secret.join("tls.crt"), certified.pem().as_bytes());
    };
    put(&before.issue(&["shop.com"]));
    let secrets = directory.path().join("secrets");
    let mut process = Process::start_with(&path, &["--credentials".as_ref(), secrets.as_os_str()]);
    let mut client = Speaker::new(&before).connect(process.gateway(), "shop.com");
    assert_eq!(client.get("shop.com", "/", "").status, 200);
    put(&after.issue(&["shop.com"]));
    wait_for("the new certificate", || Speaker::new(&after).shake(process.gateway(), "shop.com").is_ok());
    assert_eq!(client.get("shop.com", "/", "").status, 200, "an open connection goes on");
    assert_eq!(process.terminate(), 0);
    let output = command().arg(&path).args(["--credentials", "nowhere"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("cannot read certificates: nowhere"), "{said}");
}
