//! Programs as they are, as clients of the mesh through a sidecar: HTTP, and TLS that is theirs from end to end.
//!
//! Where one of them is missing its test says so and does nothing, unless `CI` is set.

#[path = "support/command.rs"]
mod command;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/running.rs"]
mod running;

use command::{malha_in, tree, write};
use postgres::Postgres;
use running::{Running, get};
use std::{env, process::Command};
use tempfile::TempDir;

/// One service for HTTP, and a host outside of the mesh for TLS.
const MESH: &str = "apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec:
  selector: {app: orders}
  ports:
  - {name: http, port: 8000}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders-v1, namespace: shop}
spec:
  selector:
    matchLabels: {app: orders}
  template:
    metadata:
      labels: {app: orders, version: v1}
    spec:
      containers:
      - name: orders
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports:
  - {number: 443, name: tls, protocol: TLS}
";

const URLS: [&str; 2] = ["http://orders.shop:8000/", "https://api.example.com/"];

/// Whether a program is there; in CI it must be.
fn is_there(program: &str, arguments: &[&str]) -> bool {
    let found = Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success());
    assert!(found || env::var_os("CI").is_none(), "{program} {} fails, and in CI it must not", arguments.join(" "));
    if !found {
        eprintln!("skipped: {program} {} fails here", arguments.join(" "));
    }
    found
}

/// Runs a program in the mesh that calls the URLs which follow its arguments and prints each answer in a line.
fn calls(mesh: &TempDir, program: &[&str]) {
    let home = TempDir::new().expect("a place for the local authority");
    let arguments = [&["run", "--mock", "--ephemeral", "--as", "shop/app=web", ".", "--"], program, &URLS].concat();
    let told = malha_in(mesh.path(), &arguments, &[("XDG_DATA_HOME", home.path().as_os_str())]);
    assert_eq!(told.status, 0, "{program:?}: {}{}", told.out, told.err);
    let answers: Vec<serde_json::Value> =
        told.out.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
    let apps: Vec<&str> = answers.iter().filter_map(|answer| answer["app"].as_str()).collect();
    assert_eq!(apps, ["orders", "api.example.com"], "{program:?}: {}{}", told.out, told.err);
    assert!(told.err.contains("\"GET / HTTP/1.1\" 200"), "{program:?}: {}", told.err);
    let of_tls = told.err.lines().find(|line| line.contains(" outbound|443||api.example.com "));
    assert!(of_tls.is_some_and(|line| line.contains("\"- - -\" 0 ")), "nobody looks into TLS: {}", told.err);
}

fn with(name: &str, program: &str) -> TempDir {
    let mesh = tree(&[("mesh.yaml", MESH)]);
    write(&mesh, name, program);
    mesh
}

#[test]
fn curl() {
    if is_there("curl", &["--version"]) {
        calls(&tree(&[("mesh.yaml", MESH)]), &["curl", "-sS", "-w", "\\n"]);
    }
}

#[test]
fn python_requests() {
    let program = "import sys, requests\nfor url in sys.argv[1:]:\n    print(requests.get(url, timeout=60).text)\n";
    // A Python beside the system's does not see what that has.
    let own = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        Command::new(python).args(["-c", "import requests"]).output().is_ok_and(|output| output.status.success())
    });
    let python = own.unwrap_or("python3");
    if is_there(python, &["-c", "import requests"]) {
        calls(&with("client.py", program), &[python, "client.py"]);
    }
}

#[test]
fn python_urllib() {
    let program = "import sys, urllib.request\nfor url in sys.argv[1:]:\n    with urllib.request.urlopen(url) as answer:\n        print(answer.read().decode())\n";
    if is_there("python3", &["--version"]) {
        calls(&with("client.py", program), &["python3", "client.py"]);
    }
}

#[test]
fn go_net_http() {
    let program = r#"package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	for _, url := range os.Args[1:] {
		answer, err := http.Get(url)
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(body))
	}
}
"#;
    if !is_there("go", &["version"]) {
        return;
    }
    let mesh = with("client.go", program);
    let built = Command::new("go")
        .args(["build", "-o", "client", "client.go"])
        .envs([("GOTOOLCHAIN", "local"), ("GO111MODULE", "off"), ("CGO_ENABLED", "0")])
        .current_dir(mesh.path())
        .output()
        .expect("go runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    calls(&mesh, &["./client"]);
}

/// From version 24 on Node heeds the environment; before, a program brings an agent that does, as this one.
#[test]
fn node() {
    let program = r#"const http = require("http");
const https = require("https");
const tls = require("tls");

const heeds = Number(process.versions.node.split(".")[0]) >= 24;
const proxy = new URL(process.env.https_proxy);
const at = { host: proxy.hostname, port: proxy.port };

class Tunnel extends https.Agent {
  createConnection(options, done) {
    const path = `${options.host}:${options.port}`;
    const asked = http.request({ ...at, method: "CONNECT", path, agent: false });
    asked.on("error", done);
    asked.on("connect", (answer, socket) => done(null, tls.connect({ socket, servername: options.host })));
    asked.end();
  }
}

function request(url, done) {
  if (heeds) return (url.protocol === "https:" ? https : http).get(url, done);
  if (url.protocol === "https:") return https.get(url, { agent: new Tunnel() }, done);
  return http.get({ ...at, path: url.href, headers: { host: url.host } }, done);
}

function get(url) {
  return new Promise((resolve, reject) => {
    const asked = request(new URL(url), async (answer) => {
      let body = "";
      for await (const piece of answer) body += piece;
      resolve(body);
    });
    asked.on("error", reject);
  });
}

(async () => {
  for (const url of process.argv.slice(2)) console.log(await get(url));
  process.exit(0);
})();
"#;
    if is_there("node", &["--version"]) {
        calls(&with("client.js", program), &["node", "client.js"]);
    }
}

/// What psql gets through the forward of an address of the mesh.
fn select(running: &Running, forward: &str) -> String {
    let address = running.forward(forward);
    let port = address.rsplit_once(':').expect("a port").1;
    let psql = Command::new("psql")
        .args(["-h", "127.0.0.1", "-p", port, "-U", "shop", "-d", "postgres", "-Atc"])
        .arg("select 6 * 7, current_user from generate_series(1, 1000)")
        .output()
        .expect("psql runs");
    let err = String::from_utf8_lossy(&psql.stderr);
    assert!(psql.status.success(), "{forward}: {err}\n{}", running.log());
    String::from_utf8(psql.stdout).expect("UTF-8")
}

#[test]
fn postgresql_through_a_forward() {
    if !is_there("psql", &["--version"]) {
        return;
    }
    let Some(server) = Postgres::start() else {
        assert!(env::var_os("CI").is_none(), "the server of PostgreSQL is missing, and in CI it must not be");
        eprintln!("skipped: the server of PostgreSQL is not here");
        return;
    };
    let port = server.port;
    // What the mesh calls postgres.db is elsewhere: a rule says so, and a ServiceEntry where.
    let mesh = tree(&[(
        "mesh.yaml",
        &format!(
            "apiVersion: v1
kind: Service
metadata: {{name: postgres, namespace: db}}
spec:
  ports:
  - {{name: tcp, port: 5432}}
---
apiVersion: v1
kind: Service
metadata: {{name: ledger, namespace: db}}
spec:
  selector: {{app: ledger}}
  ports:
  - {{name: tcp, port: 5433}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: managed, namespace: db}}
spec:
  hosts: [managed.example.com]
  resolution: STATIC
  ports:
  - {{number: 5432, name: tcp, protocol: TCP}}
  workloadSelector:
    labels: {{app: managed}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: managed, namespace: db}}
spec:
  address: 127.0.0.1
  ports: {{tcp: {port}}}
  labels: {{app: managed}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: postgres, namespace: db}}
spec:
  hosts: [postgres.db.svc.cluster.local]
  tcp:
  - match: [{{port: 5432}}]
    route:
    - destination: {{host: managed.example.com, port: {{number: 5432}}}}
"
        ),
    )]);
    let endpoint = format!("ledger.db:5433=127.0.0.1:{port}");
    let forwards = ["--forward", "postgres.db:5432", "--forward", "ledger.db:5433"];
    let running = Running::start(&[&forwards[..], &["--endpoint", &endpoint]].concat(), mesh.path());
    let expected = "42|shop\n".repeat(1000);
    assert_eq!(select(&running, "postgres.db:5432"), expected, "by the rule");
    assert_eq!(select(&running, "ledger.db:5433"), expected, "by --endpoint");
    let metrics = get(&running.admin(), "/metrics");
    let opened: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("istio_tcp_connections_opened_total")).collect();
    for service in ["managed.example.com", "ledger.db.svc.cluster.local"] {
        let counted = opened.iter().any(|line| line.contains(&format!("destination_service=\"{service}\"")));
        assert!(counted, "{service}: {opened:?}");
    }
    running.stop();
}
