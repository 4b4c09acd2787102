//! CPU time per request of `malha-proxy`, with its access log and its metrics on, beside that of the plainest proxy that
//! hyper allows, under the same load.

use super::{pair_of_rounds, programs};
use crate::{
    parts,
    processes::{Programs, Running},
};
use std::{path::Path, time::Duration};

const PAIRS: usize = 7;
const SECONDS: &str = "2";
/// Worker threads of each proxy, each with an event loop and upstream connections of its own.
const WORKERS: &str = "2";

/// Prints what each proxy took for a request, in pairs of rounds taken in turn.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let programs = programs(binaries, "proxy")?;
    let upstream = Running::part(&mut programs.part(&["upstream"]))?;
    let plain = Running::part(&mut programs.part(&["plain", &upstream.told, WORKERS]))?;
    let proxy = programs.proxy(&MESH.replace("UPSTREAM", upstream.port()), WORKERS)?;
    let sides = Sides { plain: (&plain, &plain.told), ours: (&proxy.running, proxy.gateway(80)?), programs: &programs };
    // Connections are opened, and memory is had, before anything counts.
    sides.round(sides.plain, LOADS[0])?;
    sides.round(sides.ours, LOADS[0])?;
    for load in LOADS {
        println!(
            "{PAIRS} pairs of {SECONDS} s, {} connections of HTTP/1.1, {}, answers of {} bytes, {WORKERS} workers\n",
            load.connections,
            if load.rate == "0" { "as fast as they go".to_owned() } else { format!("{} requests a second", load.rate) },
            parts::BODY
        );
        sides.compare(load)?;
    }
    Ok(())
}

/// Requests that come.
#[derive(Clone, Copy)]
struct Load {
    connections: &'static str,
    /// In a second; 0: each connection asks again as soon as it is answered, and so the faster proxy has more to do.
    rate: &'static str,
}

/// What both proxies are measured under: all that they take, and the same for both.
const LOADS: [Load; 2] = [Load { connections: "16", rate: "0" }, Load { connections: "64", rate: "16000" }];

/// A proxy, and where it listens.
type Side<'a> = (&'a Running, &'a str);

/// Both proxies, and what loads them.
struct Sides<'a> {
    plain: Side<'a>,
    ours: Side<'a>,
    programs: &'a Programs,
}

impl Sides<'_> {
    /// One round of load on one of them.
    fn round(&self, (proxy, address): Side<'_>, load: Load) -> Result<Cost, String> {
        let before = proxy.cpu()?;
        let output = self
            .programs
            .part(&["load", address, load.connections, SECONDS, load.rate])
            .output()
            .map_err(|error| format!("the load does not start: {error}"))?;
        let after = proxy.cpu()?;
        let told = String::from_utf8_lossy(&output.stdout);
        let requests = told.trim().parse::<u64>().ok().filter(|&requests| output.status.success() && requests > 0);
        let requests =
            requests.ok_or_else(|| format!("the load failed: {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(Cost { requests, cpu: after.saturating_sub(before) })
    }

    /// Prints what each took for a request in each of some pairs of rounds, and the ratio of the medians.
    fn compare(&self, load: Load) -> Result<(), String> {
        println!("| pair | plain, µs | malha-proxy, µs | ratio | requests |\n| --- | --- | --- | --- | --- |");
        let mut costs = [Vec::new(), Vec::new()];
        for pair in 1..=PAIRS {
            let (plain, ours) = pair_of_rounds(pair, (self.plain, self.ours), |side| self.round(side, load))?;
            let (a, b) = (plain.microseconds(), ours.microseconds());
            println!("| {pair} | {a:.1} | {b:.1} | {:.2} | {} + {} |", b / a, plain.requests, ours.requests);
            costs[0].push(a);
            costs[1].push(b);
        }
        let [plain, ours] = costs.map(|mut costs| {
            costs.sort_by(f64::total_cmp);
            costs[PAIRS / 2]
        });
        println!("\nmedians: plain {plain:.1} µs, malha-proxy {ours:.1} µs, ratio {:.2}\n", ours / plain);
        Ok(())
    }
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
