//! The load that the proxy's profile is taken under: HTTP/1.1 above all, and enough of the rest that none of it is taken
//! for what never happens.

use crate::{
    processes::{Programs, Running},
    scratch,
};
use std::{path::Path, process::Command};

/// Puts this build under load. When it has ended, its counts are where it was built to write them.
///
/// # Errors
/// Something does not start, or a request has no answer.
pub(super) fn run(counting: &Path, binaries: &Path) -> Result<(), String> {
    let directory = scratch::directory("training")?;
    make_certificate(&directory)?;
    let programs = Programs::copied([&binaries.join("malha"), counting, &binaries.join("xtask")], directory.clone())?;
    let upstream = Running::part(&mut programs.part(&["reader"]))?;
    let echo = Running::part(&mut programs.part(&["echo"]))?;
    let mesh = MESH
        .replace("UPSTREAM", upstream.port())
        .replace("ECHO", echo.port())
        .replace("DIRECTORY", &directory.display().to_string());
    let proxy = programs.proxy(&mesh, "2")?;
    let [http, https, bytes] = [proxy.gateway(80)?, proxy.gateway(443)?, proxy.gateway(9000)?];
    // The first is what most requests are like, and there are most of them.
    finish(&mut programs.part(&["load", http, "16", "4", "0"]))?;
    finish(&mut programs.part(&["load", http, "64", "4", "4000"]))?;
    finish(&mut programs.part(&["pour", bytes, "4", "1"]))?;
    // Not HTTP/2 in the clear: some versions of curl fail at the second request of a connection.
    for (scheme, address, version) in
        [("http", http, "--http1.1"), ("https", https, "--http1.1"), ("https", https, "--http2")]
    {
        finish(&mut ask(scheme, address, version))?;
    }
    proxy.running.end()
}

/// Requests of many kinds, each some hundred times, by `curl`.
fn ask(scheme: &str, address: &str, version: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--parallel", "--parallel-max", "16"]);
    // One way for all that follow; each part between `--next` has its own.
    let mut first = true;
    for (times, path, more) in REQUESTS {
        if !first {
            command.arg("--next").args(["--silent", "--show-error", "--insecure"]);
        }
        first = false;
        let to = format!("{HOST}:{}:{address}", if scheme == "https" { "443" } else { "80" });
        command.args([version, "--output", "/dev/null", "--connect-to", &to]).args(more);
        command.arg(format!("{scheme}://{HOST}{path}{}n=[1-{times}]", if path.contains('?') { '&' } else { '?' }));
    }
    command
}

/// How often, the path, and what else `curl` is told.
const REQUESTS: [(u32, &str, &[&str]); 8] = [
    (2000, "/catalogue/items?page=2", &["--header", "cookie: theme=dark; session=4f2a"]),
    (500, "/login", &["--header", "authorization: Bearer 0123456789"]),
    (500, "/account/7", &["--header", "x-version: v2"]),
    (500, "/orders", &["--data", "item=1&count=2&note=this+is+not+much"]),
    (300, "/images/1234.png", &["--header", "accept: image/*"]),
    (100, "/old", &[]),
    (100, "/health", &[]),
    (100, "/catalogue/items", &["--header", "host: unknown.example"]),
];

/// The certificate of the gateway.
fn make_certificate(directory: &Path) -> Result<(), String> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", &format!("/CN={HOST}"), "-addext", &format!("subjectAltName=DNS:{HOST}")]);
    command.args(["-keyout", "key.pem", "-out", "certificate.pem"]).current_dir(directory);
    finish(&mut command)
}

/// Runs a program to its end.
fn finish(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name} does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} failed: {}", told.trim().lines().next_back().unwrap_or("it does not say why")))
}

const HOST: &str = "shop.example";

/// A shop that uses what many do.
const MESH: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [shop.example]
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [shop.example]
    tls: {mode: SIMPLE, serverCertificate: DIRECTORY/certificate.pem, privateKey: DIRECTORY/key.pem}
  - port: {number: 9000, name: tcp, protocol: TCP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.internal]
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: UPSTREAM}
  - {number: 81, name: http2, protocol: HTTP2, targetPort: UPSTREAM}
  - {number: 90, name: tcp, protocol: TCP, targetPort: ECHO}
  endpoints:
  - {address: 127.0.0.1, labels: {version: v1}}
  - {address: 127.0.0.1, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: default}
spec:
  host: shop.internal
  trafficPolicy:
    connectionPool: {http: {http1MaxPendingRequests: 1000}}
    outlierDetection: {consecutive5xxErrors: 50, interval: 10s}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: cookie}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bytes, namespace: default}
spec:
  hosts: ['*']
  gateways: [gateway]
  tcp:
  - match: [{port: 9000}]
    route:
    - destination: {host: shop.internal, port: {number: 90}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example]
  gateways: [gateway]
  http:
  - match: [{uri: {exact: /login}}]
    rewrite: {uri: /sign-in}
    timeout: 5s
    headers: {request: {set: {x-from: '%DOWNSTREAM_REMOTE_ADDRESS%'}}, response: {add: {x-rule: login}, remove: [server]}}
    route:
    - destination: {host: shop.internal, subset: v1, port: {number: 80}}
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new, redirectCode: 302}
  - match: [{uri: {exact: /health}}]
    directResponse: {status: 200, body: {string: fine}}
  - match: [{headers: {x-version: {exact: v2}}}]
    route:
    - destination: {host: shop.internal, subset: v2, port: {number: 80}}
  - match: [{uri: {regex: '/images/[0-9]+\\\\.png'}}]
    corsPolicy: {allowOrigins: [{exact: 'https://other.example'}]}
    route:
    - {destination: {host: shop.internal, subset: v1, port: {number: 80}}, weight: 80}
    - {destination: {host: shop.internal, subset: v2, port: {number: 80}}, weight: 20}
  - match: [{uri: {prefix: /orders}, method: {exact: POST}}]
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: '5xx,reset'}
    route:
    - destination: {host: shop.internal, port: {number: 81}}
  - route:
    - destination: {host: shop.internal, port: {number: 80}}
";
