//! Throughput of `malha-proxy` for plain bytes, and CPU time for a gigabyte of them, beside a proxy that only copies.

use super::{pair_of_rounds, programs};
use crate::processes::{Programs, Running};
use std::{path::Path, time::Duration};

const PAIRS: usize = 7;
const SECONDS: &str = "2";
/// Worker threads of each proxy.
const WORKERS: &str = "2";

/// Prints what each proxy passed in each of some pairs of rounds taken in turn, and the ratios of the medians.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let programs = programs(binaries, "tcp")?;
    let upstream = Running::part(&mut programs.part(&["echo"]))?;
    let plain = Running::part(&mut programs.part(&["copy", &upstream.told, WORKERS]))?;
    let proxy = programs.proxy(&MESH.replace("UPSTREAM", upstream.port()), WORKERS)?;
    let (plain, ours) = ((&plain, plain.told.as_str()), (&proxy.running, proxy.gateway(5432)?));
    for connections in ["1", "8"] {
        let pour = |to| pour(&programs, to, connections);
        // Memory is had before anything counts.
        pour(plain)?;
        pour(ours)?;
        println!(
            "{PAIRS} pairs of {SECONDS} s, connections that send all the time and have it sent back: {connections}\n"
        );
        println!(
            "| pair | plain, MB/s | malha-proxy, MB/s | ratio | plain, CPU ms/GB | malha-proxy, CPU ms/GB | ratio |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- |");
        let mut rounds = [Vec::new(), Vec::new()];
        for pair in 1..=PAIRS {
            let (plain, ours) = pair_of_rounds(pair, (plain, ours), pour)?;
            tell(&pair.to_string(), plain, ours);
            rounds[0].push(plain);
            rounds[1].push(ours);
        }
        let [plain, ours] =
            rounds.map(|rounds| Passed { rate: median(&rounds, |one| one.rate), cpu: median(&rounds, |one| one.cpu) });
        tell("medians", plain, ours);
        println!();
    }
    Ok(())
}

fn tell(what: &str, plain: Passed, ours: Passed) {
    println!(
        "| {what} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {:.2} |",
        plain.rate,
        ours.rate,
        plain.rate / ours.rate,
        plain.cpu,
        ours.cpu,
        ours.cpu / plain.cpu
    );
}

fn median(rounds: &[Passed], of: impl Fn(&Passed) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a round came to.
#[derive(Clone, Copy)]
struct Passed {
    /// Megabytes that came back in a second.
    rate: f64,
    /// Milliseconds on processors for a gigabyte, there and back.
    cpu: f64,
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn pour(programs: &Programs, (proxy, address): (&Running, &str), connections: &str) -> Result<Passed, String> {
    let before = proxy.cpu()?;
    let output = programs
        .part(&["pour", address, connections, SECONDS])
        .output()
        .map_err(|error| format!("the load does not start: {error}"))?;
    let cpu: Duration = proxy.cpu()?.saturating_sub(before);
    let told = String::from_utf8_lossy(&output.stdout);
    let told = told.trim().split_once(' ').filter(|_| output.status.success());
    let told = told.and_then(|(bytes, took)| Some((bytes.parse::<u64>().ok()?, took.parse::<u64>().ok()?)));
    let Some((bytes, took)) = told.filter(|&(bytes, took)| bytes > 0 && took > 0) else {
        return Err(format!("the load failed: {}", String::from_utf8_lossy(&output.stderr)));
    };
    Ok(Passed { rate: bytes as f64 / took as f64, cpu: cpu.as_secs_f64() * 1e3 / (bytes as f64 / 1e9) })
}

/// A database as small as it may be.
pub(super) const MESH: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 5432, name: tcp, protocol: TCP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: default}
spec:
  hosts: [db.internal]
  resolution: STATIC
  ports:
  - {number: 5432, name: tcp, protocol: TCP, targetPort: UPSTREAM}
  endpoints:
  - {address: 127.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: default}
spec:
  hosts: ['*']
  gateways: [gateway]
  tcp:
  - route:
    - destination: {host: db.internal}
";
