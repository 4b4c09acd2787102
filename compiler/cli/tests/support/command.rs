//! The real command, run in a directory of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// What a command printed, and how it ended.
pub struct Told {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// A directory with these files.
pub fn tree(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    for (name, text) in files {
        write(&directory, name, text);
    }
    directory
}

/// Writes one file of a tree.
pub fn write(directory: &TempDir, name: &str, text: &str) {
    let path = directory.path().join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, text).expect("a file");
}

/// Runs `malha` in a directory.
pub fn malha(directory: &Path, arguments: &[&str]) -> Told {
    malha_with_input(directory, arguments, "")
}

/// Runs `malha` in a directory with something on its standard input.
pub fn malha_with_input(directory: &Path, arguments: &[&str], input: &str) -> Told {
    told(directory, arguments, input, &[])
}

/// Runs `malha` in a directory and an environment.
pub fn malha_in(directory: &Path, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Told {
    told(directory, arguments, "", environment)
}

fn told(directory: &Path, arguments: &[&str], input: &str, environment: &[(&str, &OsStr)]) -> Told {
    let mut child = Command::new(env!("CARGO_BIN_EXE_malha"))
        .args(arguments)
        .env_remove("COLUMNS")
        .envs(environment.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("malha starts");
    // A command that does not read its input closes it.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("malha ends");
    Told {
        status: output.status.code().expect("malha is not killed"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A gateway, a VirtualService with a route to `cart` by path, and `cart` itself.
pub const GOOD: &[(&str, &str)] = &[
    (
        "gateway.yaml",
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector:
    istio: ingressgateway
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [shop.example]
",
    ),
    (
        "routes.yaml",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
  - match:
    - uri: {prefix: /cart/}
    rewrite: {uri: /}
    route:
    - destination: {host: cart}
",
    ),
    (
        "cart.yaml",
        "apiVersion: v1
kind: Service
metadata:
  name: cart
spec:
  selector: {app: cart}
  ports:
  - {name: http, port: 8000}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart-v1
spec:
  selector:
    matchLabels: {app: cart}
  template:
    metadata:
      labels: {app: cart, version: v1}
    spec:
      containers:
      - name: cart
",
    ),
];
