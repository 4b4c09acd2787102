//! Every witness of a report, sent to a running proxy: what takes it is what its finding says.

#[path = "support/command.rs"]
mod command;
#[path = "support/running.rs"]
mod running;

use command::{malha, tree};
use running::{PATIENCE, Running};
use serde_json::Value;
use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// Rules that no request reaches, for each reason that we know; and VirtualServices that meet on a host.
const MESH: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: dead, namespace: default}
spec:
  hosts: [dead.example.com]
  gateways: [shop]
  http:
    - match: [{uri: {prefix: /a}}, {uri: {prefix: /b}}, {uri: {exact: /a/twice}}]
      directResponse: {status: 200}
    - match: [{uri: {regex: '/[ab]/c+'}}]
      directResponse: {status: 201}
    - match: [{uri: {prefix: /q}, headers: {x-user: {exact: \"it's me\"}}, method: {exact: PUT}}]
      directResponse: {status: 202}
    - match: [{uri: {prefix: /q/deep}, headers: {x-user: {exact: \"it's me\"}}, method: {exact: PUT}, queryParams: {v: {exact: '2'}}}]
      directResponse: {status: 203}
    - match: [{uri: {prefix: /two}, withoutHeaders: {x-version: {exact: '1'}}}]
      directResponse: {status: 204}
    - match: [{uri: {prefix: /two}, headers: {x-version: {exact: '2'}}}]
      directResponse: {status: 205}
    - directResponse: {status: 206}
    - match: [{uri: {prefix: /late}}]
      directResponse: {status: 207}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: default}
spec:
  hosts: [both.example.com]
  gateways: [shop]
  http:
    - match: [{uri: {prefix: /api}}]
      directResponse: {status: 208}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: two, namespace: default}
spec:
  hosts: [both.example.com]
  gateways: [shop]
  http:
    - match: [{uri: {prefix: /api/v2}}]
      directResponse: {status: 209}
";

/// The rule by which a running gateway says that it took a request, as `default/dead http[0]`.
fn taken_by(address: &str, request: &Value) -> String {
    let text = |name: &str| request[name].as_str();
    let mut stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let (method, path) = (text("method").unwrap_or("GET"), text("path").unwrap_or("/"));
    let host = text("authority").expect("a witness names its host");
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, lines) in request["headers"].as_object().into_iter().flatten() {
        let lines = lines.as_array().cloned().unwrap_or_else(|| vec![lines.clone()]);
        for line in lines {
            let _ = write!(head, "{name}: {}\r\n", line.as_str().expect("a header is text"));
        }
    }
    if method == "PUT" {
        head.push_str("Content-Length: 0\r\n");
    }
    write!(stream, "{head}\r\n").expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    let rule = answer.lines().find_map(|line| line.strip_prefix("x-malha-rule: "));
    rule.unwrap_or_else(|| panic!("no rule is named: {answer}")).to_owned()
}

#[test]
fn witnesses_behave_as_their_findings_say() {
    let mesh = tree(&[("mesh.yaml", MESH)]);
    let verified = malha(mesh.path(), &["check", "--verify", "--format", "json", "."]);
    assert!(verified.err.contains("witnesses replayed"), "{}", verified.err);
    let report: Value = serde_json::from_str(&verified.out).expect("a report");
    let findings = report["findings"].as_array().expect("findings");
    let running = Running::start(&["--explain"], &mesh.path().join("mesh.yaml"));
    let mut told = Vec::new();
    for finding in findings {
        if finding["witness"].is_null() {
            continue;
        }
        let taker = taken_by(&running.address(80), &finding["witness"]);
        let field = finding["field"].as_str().unwrap_or_default().trim_start_matches("spec.");
        let rule = field.split(".match").next().unwrap_or_default();
        let name = format!("default/{}", finding["resource"]["name"].as_str().unwrap_or_default());
        let is_own = taker.starts_with(&format!("{name} {rule}"));
        let code = finding["code"].as_str().unwrap_or_default();
        // A match that is never needed is part of the rule that takes its requests; the other rules take nothing.
        assert_eq!(is_own, matches!(code, "R002" | "R007"), "{taker} took the witness of {finding}");
        told.push(code.to_owned());
    }
    running.stop();
    told.sort_unstable();
    assert_eq!(told, ["H002", "R001", "R001", "R002", "R006", "R007"], "{}", verified.out);
}
