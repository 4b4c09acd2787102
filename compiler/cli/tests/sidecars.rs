//! Workloads see what their Sidecars let through, in answers of commands and over sockets.

#[path = "support/command.rs"]
mod command;
#[path = "support/running.rs"]
mod running;

use command::{malha, tree, write};
use running::{PATIENCE, Running, wait_for};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};
use tempfile::TempDir;

/// A Service with one workload; `NAME` and `NAMESPACE` are written in their places.
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  selector: {app: NAME}
  ports: [{name: http, port: 8000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME-v1, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, version: v1}}
    spec: {containers: [{name: NAME}]}
";

const SIDECAR: &str = "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: desk
  namespace: shop
spec:
  workloadSelector: {labels: {app: desk}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress:
  - hosts: [\"./*\"]
";

const RUN: &str = "[[run.sidecars]]
name = \"desk\"
namespace = \"shop\"
labels = { app = \"desk\" }

[[run.sidecars]]
name = \"till\"
namespace = \"shop\"
labels = { app = \"till\" }
";

fn mesh() -> TempDir {
    let service = |name: &str, namespace: &str| SERVICE.replace("NAMESPACE", namespace).replace("NAME", name);
    tree(&[
        ("cart.yaml", &service("cart", "shop")),
        ("depot.yaml", &service("depot", "stock")),
        ("sidecar.yaml", SIDECAR),
        ("malha.toml", RUN),
    ])
}

const TO_DEPOT: &str = "http://depot.stock:8000/";

/// The status and the body that a client of the mesh gets through an outbound proxy.
fn through(proxy: &str, url: &str) -> (String, String) {
    let mut stream = TcpStream::connect(proxy).expect("the proxy accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("a host");
    write!(stream, "GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
}

#[test]
fn a_sidecar_hides_a_host_from_its_workloads_alone() {
    let mesh = mesh();
    let running = Running::start(&["--mock"], mesh.path());
    let listeners = running.ready_again()["listeners"].clone();
    let sidecar = |name: &str| {
        let found = listeners.as_array().and_then(|all| all.iter().find(|one| one["name"] == name));
        found.and_then(|one| one["address"].as_str()).unwrap_or_else(|| panic!("{listeners}")).to_owned()
    };
    let (desk, till) = (sidecar("desk"), sidecar("till"));
    let (status, body) = through(&desk, "http://cart:8000/");
    assert!(status == "200" && body.contains("\"app\":\"cart\""), "{status} {body}");
    assert_eq!(through(&desk, TO_DEPOT), ("502".to_owned(), String::new()), "{}", running.log());
    let (status, body) = through(&till, TO_DEPOT);
    assert!(status == "200" && body.contains("\"app\":\"depot\""), "{status} {body}");

    write(&mesh, "sidecar.yaml", &SIDECAR.replace("[\"./*\"]", "[\"./*\", stock/depot.stock.svc.cluster.local]"));
    wait_for("the host to be let through", || through(&desk, TO_DEPOT).0 == "200");
    write(&mesh, "sidecar.yaml", &SIDECAR.replace("[\"./*\"]", "[\"stock/*\"]"));
    wait_for("the other to be hidden", || through(&desk, "http://cart:8000/").0 == "502");
    running.stop();
}

fn route(mesh: &TempDir, proxy: &str, url: &str) -> Value {
    let told = malha(mesh.path(), &["route", "--via", "mesh", "--proxy", proxy, url, "--format", "json"]);
    serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}", told.err))
}

#[test]
fn route_names_the_sidecar_that_hides_a_host() {
    let mesh = mesh();
    let hidden = route(&mesh, "shop/app=desk", TO_DEPOT);
    assert_eq!(hidden["outcome"], "blackhole");
    let told = &hidden["hidden"];
    assert_eq!(
        (&told["host"], &told["sidecar"], &told["file"], &told["line"]),
        (&json!("depot.stock.svc.cluster.local"), &json!("shop/desk"), &json!("sidecar.yaml"), &json!(4))
    );
    assert!(told["help"].as_str().is_some_and(|help| help.contains("`stock/depot.stock.svc.cluster.local`")), "{told}");
    let page = malha(mesh.path(), &["route", "--via", "mesh", "--proxy", "shop/app=desk", TO_DEPOT]).out;
    assert!(page.contains("Sidecar shop/desk (sidecar.yaml:4) does not let"), "{page}");

    assert_eq!(route(&mesh, "shop/app=till", TO_DEPOT)["outcome"], "forward");
    assert_eq!(route(&mesh, "stock/app=desk", TO_DEPOT)["outcome"], "forward");
    for (proxy, url) in [("shop/app=till", TO_DEPOT), ("shop/app=desk", "http://nobody.stock:8000/")] {
        assert_eq!(route(&mesh, proxy, url)["hidden"], Value::Null, "{proxy} {url}");
    }
    write(&mesh, "sidecar.yaml", &SIDECAR.replace("REGISTRY_ONLY", "ALLOW_ANY"));
    let passed = route(&mesh, "shop/app=desk", TO_DEPOT);
    assert_eq!((&passed["outcome"], &passed["hidden"]["sidecar"]), (&json!("passthrough"), &json!("shop/desk")));
}

#[test]
fn a_destination_on_a_port_that_no_listener_has_is_explained() {
    let mesh = mesh();
    let of_cart = "egress:\n  - {port: {number: 8000, protocol: HTTP, name: http}, hosts: [\"./*\", \"*/cart.com\"]}\n";
    let (start, _) = SIDECAR.split_once("egress:").expect("it has hosts");
    write(&mesh, "sidecar.yaml", &format!("{start}{of_cart}"));
    write(
        &mesh,
        "routes.yaml",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http:
  - match: [{uri: {prefix: /depot}}]
    route: [{destination: {host: depot.stock.svc.cluster.local, port: {number: 8000}}}]
  - route: [{destination: {host: other.stock.svc.cluster.local, port: {number: 9000}}}]
",
    );
    let other = SERVICE.replace("NAMESPACE", "stock").replace("NAME", "other").replace("port: 8000", "port: 9000");
    write(&mesh, "other.yaml", &other);
    let led_to = route(&mesh, "shop/app=desk", "http://cart:8000/depot");
    assert_eq!(led_to["outcome"], "forward", "{led_to}");
    let missing = route(&mesh, "shop/app=desk", "http://cart:8000/");
    assert_eq!(missing["outcome"], "no-cluster");
    assert_eq!(missing["unavailable"][0]["reason"], "host-not-let-through", "{missing}");
    assert_eq!(route(&mesh, "shop/app=till", "http://cart:8000/")["outcome"], "forward");
}

#[test]
fn lists_are_of_what_is_let_through() {
    let mesh = mesh();
    let listed = |what: &str, proxy: &str| malha(mesh.path(), &["show", what, "--proxy", proxy, "."]).out;
    let routes = listed("routes", "shop/app=desk");
    assert!(routes.contains("cart.shop") && !routes.contains("depot.stock"), "{routes}");
    assert!(listed("routes", "shop/app=till").contains("depot.stock"));
    write(&mesh, "sidecar.yaml", &SIDECAR.replace("./*", "~/*"));
    assert!(!listed("listeners", "shop/app=desk").contains("8000"));
    assert!(listed("listeners", "shop/app=till").contains("8000"));
}

#[test]
fn diff_tells_what_a_sidecar_changes() {
    let (before, after) = (mesh(), mesh());
    write(&after, "sidecar.yaml", &SIDECAR.replace("./*", "*/*"));
    let paths = [before.path(), after.path()].map(|path| path.display().to_string());
    let told = malha(before.path(), &["diff", &paths[0], &paths[1], "--format", "json"]);
    assert_eq!(told.status, 1, "{}{}", told.out, told.err);
    assert!(told.out.contains("depot.stock") && told.out.contains("\"desk\""), "{}", told.out);
    let same = malha(before.path(), &["diff", &paths[0], &paths[0]]);
    assert_eq!(same.status, 0, "{}{}", same.out, same.err);
}

/// What a Sidecar may ask for beside hosts.
const ASKS: &str = "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: cart.shop.svc.cluster.local, port: {number: 8000}}}
  inboundConnectionPool: {tcp: {maxConnections: 1}}
  ingress: [{port: {number: 9080, protocol: HTTP, name: own}, defaultEndpoint: '127.0.0.1:8080'}]
  egress:
  - {port: {number: 3128, protocol: HTTP_PROXY, name: proxy}, bind: 127.0.0.1, hosts: ['*/*']}
  - {port: {number: 0, protocol: HTTP, name: socket}, bind: 'unix:///var/run/shop.sock', hosts: ['*/*']}
  - {hosts: ['*/*']}
";

#[test]
fn what_a_sidecar_asks_for_in_vain_is_named_at_the_start() {
    let mesh = mesh();
    write(&mesh, "default.yaml", ASKS);
    let running = Running::start(&[], mesh.path());
    let log = running.log();
    let notes: Vec<&str> =
        log.lines().filter_map(|line| line.strip_prefix("note: of Sidecar shop/default, ")).collect();
    let begin = |note: &&str| note.split([' ', ':']).take(3).collect::<Vec<_>>().join(" ");
    assert_eq!(
        notes.iter().map(begin).collect::<Vec<_>>(),
        ["inboundConnectionPool is not", "ingress is not"],
        "{log}"
    );
    // Those that nobody here has are not told of.
    assert!(!log.contains("of Sidecar shop/desk"), "{log}");
    running.stop();
}

#[test]
fn diff_tells_listeners_of_their_own_and_the_egress_proxy() {
    let (before, after) = (mesh(), mesh());
    write(&after, "default.yaml", ASKS);
    let paths = [before.path(), after.path()].map(|path| path.display().to_string());
    let told = malha(before.path(), &["diff", &paths[0], &paths[1], "--format", "json"]);
    assert_eq!(told.status, 1, "{}{}", told.out, told.err);
    for what in ["unix:///var/run/shop.sock", "3128", "sent to the egress proxy cart.shop.svc.cluster.local:8000"] {
        assert!(told.out.contains(what), "{what} in {}", told.out);
    }
    let same = malha(before.path(), &["diff", &paths[1], &paths[1]]);
    assert_eq!(same.status, 0, "{}{}", same.out, same.err);
}

#[cfg(unix)]
#[test]
fn a_running_mesh_listens_where_its_sidecars_say() {
    let mesh = mesh();
    let socket = mesh.path().join("shop.sock").display().to_string();
    write(&mesh, "default.yaml", &ASKS.replace("/var/run/shop.sock", &socket));
    let running = Running::start(&["--mock"], mesh.path());
    let (log, ready) = (running.log(), running.ready_again());
    let of = |protocol: &str| {
        let all = ready["egress"].as_array().expect("egress listeners");
        let is_it = |one: &&Value| one["protocol"] == protocol && one["proxy"] == "shop/till";
        let found = all.iter().find(is_it).unwrap_or_else(|| panic!("no {protocol} in {ready}"));
        found["address"].as_str().expect("an address").to_owned()
    };
    let http = of("HTTP");
    let path = http.strip_prefix("unix://").expect("a socket");
    assert_ne!(path, socket, "--ephemeral takes another");
    assert!(log.contains(&format!("on {http}, for unix://{socket}")), "{log}");
    let asked = "GET / HTTP/1.1\r\nHost: cart:8000\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    let mut stream = std::os::unix::net::UnixStream::connect(path).expect("somebody listens");
    stream.write_all(asked.as_bytes()).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (status, body) = through(&of("HTTP_PROXY"), "http://cart:8000/");
    assert!(status == "200" && body.contains("\"app\":\"cart\""), "{status} {body}");
    let (status, body) = through(&of("HTTP_PROXY"), "http://unknown.example/");
    assert!(status == "200" && body.contains("\"app\":\"cart\""), "E37: {status} {body}");
    running.stop();
    assert!(!std::path::Path::new(path).exists());
}
