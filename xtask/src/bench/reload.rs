//! How soon a save shows: of a weight in the canary example under load, and of one file among 10,000.

use crate::{corpus::corpus, scratch};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const SAVES: usize = 200;
const LOAD: usize = 4;

/// Prints percentiles of the time from a save to the first request that obeys it, and what the load saw.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let malha = &binaries.join("malha");
    canary(malha)?;
    one_among_many(malha)
}

fn canary(malha: &Path) -> Result<(), String> {
    let directory = scratch::directory("reload")?;
    copy(&scratch::root().join("examples/simul-shop"), &directory)?;
    let file = directory.join("canary/front-end.yaml");
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let weights = |v1: u32| {
        // The 10 first: the 100 that may take the place of the 90 begins with it.
        let text = text.replace("weight: 10", &format!("weight: {}", 100 - v1));
        text.replace("weight: 90", &format!("weight: {v1}"))
    };
    scratch::save(&file, &weights(100))?;
    let mesh = Mesh::start(malha, &directory.join("canary"), true)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (served, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = (0..LOAD)
        .map(|_| {
            let (address, stop, served, failed) = (mesh.gateway.clone(), stop.clone(), served.clone(), failed.clone());
            thread::spawn(move || {
                let Ok(mut client) = Client::connect(&address) else {
                    failed.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                while !stop.load(Ordering::Relaxed) {
                    match client.get("/") {
                        Ok((200, _)) => served.fetch_add(1, Ordering::Relaxed),
                        _ => failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            })
        })
        .collect();
    let mut client = Client::connect(&mesh.gateway)?;
    let mut took = Vec::with_capacity(SAVES);
    for save in 0..SAVES {
        let (weight, version) = if save % 2 == 0 { (0, "\"version\":\"v2\"") } else { (100, "\"version\":\"v1\"") };
        let started = Instant::now();
        scratch::save(&file, &weights(weight))?;
        while !client.get("/")?.1.contains(version) {
            if started.elapsed() > Duration::from_secs(10) {
                return Err(format!("save {save} was not obeyed within 10 s"));
            }
        }
        took.push(started.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    for thread in load {
        let _ = thread.join();
    }
    took.sort();
    println!(
        "canary, {SAVES} saves under {LOAD} busy connections: p50 {}, p99 {}, most {}; {} requests, {} failed",
        milliseconds(took[SAVES / 2]),
        milliseconds(took[SAVES * 99 / 100]),
        milliseconds(took[SAVES - 1]),
        served.load(Ordering::Relaxed),
        failed.load(Ordering::Relaxed)
    );
    Ok(())
}

fn one_among_many(malha: &Path) -> Result<(), String> {
    const FILES: u64 = 10_000;
    const EDITS: usize = 20;
    let directory = scratch::directory("reload-many")?;
    fs::write(directory.join("malha.toml"), "").map_err(|error| error.to_string())?;
    let mut last = String::new();
    for (number, document) in corpus(FILES).split("---\n").enumerate() {
        fs::write(directory.join(format!("{number:05}.yaml")), document).map_err(|error| error.to_string())?;
        document.clone_into(&mut last);
    }
    let number = fs::read_dir(&directory).map_err(|error| error.to_string())?.count() - 2;
    let file = directory.join(format!("{number:05}.yaml"));
    let mesh = Mesh::start(malha, &directory, false)?;
    let host = last
        .lines()
        .find_map(|line| line.strip_prefix("  - app-"))
        .map(|rest| format!("app-{rest}"))
        .ok_or("the corpus has changed its shape")?;
    let mut client = Client::connect(&mesh.gateway)?;
    let mut took = Vec::new();
    for edit in 0..EDITS {
        let path = format!("/edited-{edit}");
        let text = last.replacen(
            "  http:\n",
            &format!(
                "  http:\n  - match:\n    - uri:\n        exact: {path}\n    directResponse:\n      status: 418\n"
            ),
            1,
        );
        let started = Instant::now();
        scratch::save(&file, &text)?;
        while client.ask(&host, &path)?.0 != 418 {
            if started.elapsed() > Duration::from_secs(10) {
                return Err(format!("edit {edit} was not obeyed within 10 s"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        took.push(started.elapsed());
    }
    took.sort();
    println!(
        "one file among {FILES}, {EDITS} saves: p50 {}, most {}",
        milliseconds(took[EDITS / 2]),
        milliseconds(took[EDITS - 1])
    );
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{}: {error}", from.display());
    for entry in fs::read_dir(from).map_err(said)? {
        let entry = entry.map_err(said)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).map_err(said)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(said)?;
        }
    }
    Ok(())
}

/// A running mesh; ended when dropped.
struct Mesh {
    child: Child,
    gateway: String,
}

impl Mesh {
    fn start(malha: &Path, path: &Path, mock: bool) -> Result<Mesh, String> {
        let ready = path.with_extension("ready.json");
        let _ = fs::remove_file(&ready);
        let mut command = Command::new(malha);
        command.args(["run", "--ephemeral", "--ready-file"]).arg(&ready).arg(path);
        if mock {
            command.arg("--mock");
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("malha does not start: {error}"))?;
        let mut mesh = Mesh { child, gateway: String::new() };
        let started = Instant::now();
        let told: serde_json::Value = loop {
            if let Ok(text) = fs::read_to_string(&ready) {
                break serde_json::from_str(&text).map_err(|error| error.to_string())?;
            }
            if started.elapsed() > Duration::from_mins(1) || mesh.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err("malha run did not become ready".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        };
        let gateway = told["listeners"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["role"] == "gateway"))
            .and_then(|one| one["address"].as_str())
            .ok_or("no gateway listens")?;
        gateway.clone_into(&mut mesh.gateway);
        Ok(mesh)
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with one open connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: &str) -> Result<Client, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(Duration::from_secs(10))))
            .map_err(|error| error.to_string())?;
        Ok(Client(BufReader::new(stream)))
    }

    fn get(&mut self, path: &str) -> Result<(u16, String), String> {
        self.ask("localhost", path)
    }

    /// Status and body of the answer.
    fn ask(&mut self, host: &str, path: &str) -> Result<(u16, String), String> {
        let said = |error: std::io::Error| error.to_string();
        self.0.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).map_err(said)?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).map_err(said)? == 0 {
                return Err("the connection was closed".to_owned());
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| "a bad content-length".to_owned())?;
            } else if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).map_err(said)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}
