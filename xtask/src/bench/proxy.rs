//! CPU time per request of `malha-proxy`, with its access log and its metrics on, beside that of the plainest proxy that
//! hyper allows, under the same load.

use super::{
    parts,
    processes::{Programs, Running},
    scratch,
};
use std::{path::Path, time::Duration};

const PAIRS: usize = 7;
const CONNECTIONS: &str = "16";
const SECONDS: &str = "2";
/// Worker threads of each proxy, each with an event loop and upstream connections of its own.
const WORKERS: &str = "2";

/// Prints what each proxy took for a request in each of some pairs of rounds taken in turn, and the ratio of the medians.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let programs = Programs::copied(binaries, scratch::directory("proxy")?)?;
    let upstream = Running::part(&mut programs.part(&["upstream"]))?;
    let plain = Running::part(&mut programs.part(&["plain", &upstream.told, WORKERS]))?;
    let proxy = programs.proxy(&MESH.replace("UPSTREAM", upstream.port()), WORKERS)?;
    let (plain, ours) = ((&plain, plain.told.as_str()), (&proxy.running, proxy.gateway(80)?));
    let load = |(proxy, address): (&Running, &str)| -> Result<Cost, String> {
        let before = proxy.cpu()?;
        let output = programs
            .part(&["load", address, CONNECTIONS, SECONDS])
            .output()
            .map_err(|error| format!("the load does not start: {error}"))?;
        let after = proxy.cpu()?;
        let told = String::from_utf8_lossy(&output.stdout);
        let requests = told.trim().parse::<u64>().ok().filter(|&requests| output.status.success() && requests > 0);
        let requests =
            requests.ok_or_else(|| format!("the load failed: {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(Cost { requests, cpu: after.saturating_sub(before) })
    };
    // Connections are opened, and memory is had, before anything counts.
    load(plain)?;
    load(ours)?;
    println!(
        "{PAIRS} pairs of {SECONDS} s, {CONNECTIONS} connections of HTTP/1.1, answers of {} bytes, {WORKERS} workers\n",
        parts::BODY
    );
    println!("| pair | plain, µs | malha-proxy, µs | ratio | requests |\n| --- | --- | --- | --- | --- |");
    let mut costs = [Vec::new(), Vec::new()];
    for pair in 1..=PAIRS {
        // Whoever is second may find the machine warmer.
        let (first, second) = if pair % 2 == 0 { (ours, plain) } else { (plain, ours) };
        let (first, second) = (load(first)?, load(second)?);
        let (plain, ours) = if pair % 2 == 0 { (second, first) } else { (first, second) };
        let (a, b) = (plain.microseconds(), ours.microseconds());
        println!("| {pair} | {a:.1} | {b:.1} | {:.2} | {} + {} |", b / a, plain.requests, ours.requests);
        costs[0].push(a);
        costs[1].push(b);
    }
    let [plain, ours] = costs.map(|mut costs| {
        costs.sort_by(f64::total_cmp);
        costs[PAIRS / 2]
    });
    println!("\nmedians: plain {plain:.1} µs, malha-proxy {ours:.1} µs, ratio {:.2}", ours / plain);
    Ok(())
}

/// What a round cost.
struct Cost {
    requests: u64,
    cpu: Duration,
}

impl Cost {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    fn microseconds(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }
}

/// A shop as small as it may be: a few routes, Istio's retries, one endpoint.
pub(super) const MESH: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
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
  endpoints:
  - {address: 127.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example]
  gateways: [gateway]
  http:
  - match:
    - uri: {exact: /login}
    - uri: {prefix: /account/}
    route:
    - destination: {host: shop.internal}
  - match:
    - headers: {x-version: {exact: v2}}
    route:
    - destination: {host: shop.internal}
  - route:
    - destination: {host: shop.internal}
";
