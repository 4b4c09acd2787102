//! The load that the proxy's profile is taken under: HTTP/1.1 above all, and enough of the rest that none of it is taken
//! for what never happens.

use crate::{
    processes::{Programs, Running, finish},
    scratch,
};
use std::{collections::BTreeMap, path::Path, process::Command};

/// Puts the middle one of `malha`, `malha-proxy` and this program under load, with the help of the others. When it has
/// ended, its counts are where it was built to write them.
///
/// # Errors
/// Something does not start, or a request is not answered as it should be.
pub(super) fn run(programs: [&Path; 3]) -> Result<(), String> {
    let directory = scratch::directory("training")?;
    make_certificate(&directory)?;
    let programs = Programs::copied(programs, directory.clone())?;
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
    ask("http", http, "--http1.1")?;
    ask("https", https, "--http1.1")?;
    ask("https", https, "--http2")?;
    proxy.running.end()
}

/// Requests of many kinds, by `curl`, of which each has to have the answer that it is meant for.
fn ask(scheme: &str, address: &str, version: &str) -> Result<(), String> {
    let to = format!("{HOST}:{}:{address}", if scheme == "https" { "443" } else { "80" });
    let mut command = Command::new("curl");
    // These two hold for all; curl forgets the others at each `--next`.
    command.args(["--parallel", "--parallel-max", "16"]);
    let mut wanted = BTreeMap::new();
    for (number, (times, path, status, more)) in REQUESTS.into_iter().enumerate() {
        if number > 0 {
            command.arg("--next");
        }
        command.args(["--silent", "--show-error", "--insecure", "--max-time", "30", version]).args(more);
        command.args(["--output", "/dev/null", "--write-out", "%{http_code}\\n", "--connect-to", &to]);
        command.arg(format!("{scheme}://{HOST}{path}{}n=[1-{times}]", if path.contains('?') { '&' } else { '?' }));
        *wanted.entry(status.to_owned()).or_insert(0) += times;
    }
    let mut answers = BTreeMap::new();
    for status in finish(&mut command)?.lines() {
        *answers.entry(status.to_owned()).or_insert(0) += 1;
    }
    if answers == wanted {
        return Ok(());
    }
    Err(format!("{scheme} by {version} was answered by {answers:?} in place of {wanted:?}"))
}

/// How often, the path, the status of the answer, and what else `curl` is told.
const REQUESTS: [(u32, &str, &str, &[&str]); 8] = [
    (2000, "/catalogue/items?page=2", "200", &["--header", "cookie: theme=dark; session=4f2a"]),
    (500, "/login", "200", &["--header", "authorization: Bearer 0123456789"]),
    (500, "/account/7", "200", &["--header", "x-version: v2"]),
    (500, "/orders", "200", &["--data", "item=1&count=2&note=this+is+not+much"]),
    (300, "/images/1234.png", "200", &["--header", "origin: https://other.example"]),
    (100, "/old", "302", &[]),
    (100, "/health", "204", &[]),
    (100, "/catalogue/items", "404", &["--header", "host: unknown.example"]),
];

/// The certificate of the gateway.
fn make_certificate(directory: &Path) -> Result<(), String> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", &format!("/CN={HOST}"), "-addext", &format!("subjectAltName=DNS:{HOST}")]);
    command.args(["-keyout", "key.pem", "-out", "certificate.pem"]).current_dir(directory);
    finish(&mut command).map(drop)
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
    tls: {mode: SIMPLE, serverCertificate: 'DIRECTORY/certificate.pem', privateKey: 'DIRECTORY/key.pem'}
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
    directResponse: {status: 204}
  - match: [{headers: {x-version: {exact: v2}}}]
    route:
    - destination: {host: shop.internal, subset: v2, port: {number: 80}}
  - match: [{uri: {regex: '/images/[0-9]+\\.png'}}]
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
