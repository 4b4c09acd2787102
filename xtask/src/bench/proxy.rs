//! CPU time per request of `malha-proxy`, with its access log and its metrics on, beside that of the plainest proxy that
//! hyper allows, under the same load.

use super::{parts, scratch};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PAIRS: usize = 7;
const SECONDS: &str = "2";
/// Worker threads of each proxy, each with an event loop and upstream connections of its own.
const WORKERS: &str = "2";

/// Prints what each proxy took for a request, in pairs of rounds taken in turn.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let directory = scratch::directory("proxy")?;
    // Copies: another build may replace the originals while they run.
    for name in ["malha", "malha-proxy", "xtask"] {
        let copied = fs::copy(binaries.join(name), directory.join(name));
        copied.map_err(|error| format!("{name}: {error}"))?;
    }
    let part = |words: &[&str]| {
        let mut command = Command::new(directory.join("xtask"));
        command.arg(parts::TASK).args(words);
        command
    };
    let upstream = Running::part(&mut part(&["upstream"]))?;
    let plain = Running::part(&mut part(&["plain", &upstream.address, WORKERS]))?;
    let ours = proxy(&directory, &upstream.address)?;
    let sides = Sides { plain, ours, program: directory.join("xtask") };
    // Connections are opened, and memory is had, before anything counts.
    sides.round(&sides.plain, LOADS[0])?;
    sides.round(&sides.ours, LOADS[0])?;
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

/// Both proxies, and what loads them.
struct Sides {
    plain: Running,
    ours: Running,
    program: PathBuf,
}

impl Sides {
    /// One round of load on one of them.
    fn round(&self, proxy: &Running, load: Load) -> Result<Cost, String> {
        let before = proxy.cpu()?;
        let output = Command::new(&self.program)
            .args([parts::TASK, "load", &proxy.address, load.connections, SECONDS, load.rate])
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
            // Whoever is second may find the machine warmer.
            let (first, second) = if pair % 2 == 0 { (&self.ours, &self.plain) } else { (&self.plain, &self.ours) };
            let (first, second) = (self.round(first, load)?, self.round(second, load)?);
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

/// `malha-proxy` as people run it, but for its ports: routes, retries, access log and metrics.
fn proxy(directory: &Path, upstream: &str) -> Result<Running, String> {
    let (file, table, ready) = (directory.join("mesh.yaml"), directory.join("table"), directory.join("ready.json"));
    let port = upstream.rsplit(':').next().unwrap_or_default();
    fs::write(&file, MESH.replace("UPSTREAM", port)).map_err(|error| error.to_string())?;
    fs::write(directory.join("malha.toml"), "").map_err(|error| error.to_string())?;
    let compiled = Command::new(directory.join("malha"))
        .arg("compile")
        .args([&file])
        .arg("-o")
        .arg(&table)
        .output()
        .map_err(|error| format!("malha does not start: {error}"))?;
    if !compiled.status.success() {
        return Err(format!("the mesh does not compile: {}", String::from_utf8_lossy(&compiled.stderr)));
    }
    let child = Command::new(directory.join("malha-proxy"))
        .arg(&table)
        .args(["--ephemeral", "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cores", WORKERS])
        .args(["--access-log", "/dev/null", "--ready-file"])
        .arg(&ready)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("malha-proxy does not start: {error}"))?;
    let mut running = Running { child, address: String::new() };
    let started = Instant::now();
    while !ready.exists() {
        if started.elapsed() > Duration::from_secs(20) {
            return Err("malha-proxy did not become ready".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = fs::read_to_string(&ready).map_err(|error| error.to_string())?;
    let told: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let listeners = told["listeners"].as_array().into_iter().flatten();
    let gateway = listeners.filter(|one| one["role"] == "gateway").find_map(|one| one["address"].as_str());
    gateway.ok_or("no gateway listens")?.clone_into(&mut running.address);
    Ok(running)
}

/// A shop as small as it may be: a few routes, Istio's retries, one endpoint.
const MESH: &str = "apiVersion: networking.istio.io/v1
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

/// A process of the bench; ended when dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    /// One that says on its first line where it listens.
    fn part(command: &mut Command) -> Result<Running, String> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let child = started.map_err(|error| format!("a part of the bench does not start: {error}"))?;
        let mut running = Running { child, address: String::new() };
        let told = running.child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(told.take(100)).read_line(&mut line).map_err(|error| error.to_string())?;
        line.trim().clone_into(&mut running.address);
        Ok(running)
    }

    /// The time that its threads, and no others, have spent on processors, as the kernel tells in nanoseconds.
    fn cpu(&self) -> Result<Duration, String> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let said = |error: std::io::Error| format!("{tasks}: {error}");
        let mut sum = 0;
        for task in fs::read_dir(&tasks).map_err(said)? {
            let told = fs::read_to_string(task.map_err(said)?.path().join("schedstat")).map_err(said)?;
            sum += told.split(' ').next().and_then(|time| time.parse::<u64>().ok()).ok_or("no schedstat")?;
        }
        Ok(Duration::from_nanos(sum))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
