//! A `malha run` on free ports, and plain requests to it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take to come true on a loaded machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The root of the checkout.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout exists")
}

/// A running `malha run`; killed when dropped.
pub struct Running {
    child: Child,
    ready: serde_json::Value,
    scratch: tempfile::TempDir,
}

impl Running {
    /// Starts `malha run --ephemeral` with `arguments` over `path`, and waits until its listeners accept.
    pub fn start(arguments: &[&str], path: &Path) -> Running {
        Running::start_in(arguments, path, "")
    }

    /// The same, where the environment names a collector of traces.
    pub fn start_in(arguments: &[&str], path: &Path, collector: &str) -> Running {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let ready_file = scratch.path().join("ready.json");
        let log = fs::File::create(scratch.path().join("log")).expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_malha"))
            .arg("run")
            .args(["--ephemeral", "--ready-file"])
            .arg(&ready_file)
            .args(arguments)
            .arg(path)
            .current_dir(repository())
            .env("XDG_DATA_HOME", scratch.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("malha starts");
        let mut running = Running { child, ready: serde_json::Value::Null, scratch };
        let started = Instant::now();
        running.ready = loop {
            if let Ok(text) = fs::read_to_string(&ready_file) {
                break serde_json::from_str(&text).expect("the ready file is written whole");
            }
            let ended = running.child.try_wait().expect("the child can be asked");
            assert!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "malha run did not become ready ({ended:?}):\n{}",
                running.log()
            );
            thread::sleep(Duration::from_millis(10));
        };
        running
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    /// The ready file as it is now.
    pub fn ready_again(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.scratch.path().join("ready.json")).expect("it is there");
        serde_json::from_str(&text).expect("the ready file is written whole")
    }

    /// Address of the gateway listener of a port.
    pub fn address(&self, port: u64) -> String {
        self.listener(port, "gateway").unwrap_or_else(|| panic!("no gateway listener of port {port} in {}", self.ready))
    }

    /// Address of the default sidecar.
    pub fn sidecar(&self) -> String {
        let mut listeners = self.ready["listeners"].as_array().into_iter().flatten();
        let sidecar = listeners.find(|one| one["role"] == "mesh" && one["proxy"] == "default/default");
        sidecar.and_then(|one| one["address"].as_str()).expect("there is a default sidecar").to_owned()
    }

    /// Address of the forward to an address of the mesh.
    pub fn forward(&self, to: &str) -> String {
        let mut listeners = self.ready["listeners"].as_array().into_iter().flatten();
        let forward = listeners.find(|one| one["forward"] == true && one["name"] == to);
        let address = forward.and_then(|one| one["address"].as_str());
        address.unwrap_or_else(|| panic!("no forward to {to} in {}", self.ready)).to_owned()
    }

    fn listener(&self, port: u64, role: &str) -> Option<String> {
        let mut listeners = self.ready["listeners"].as_array()?.iter();
        Some(listeners.find(|one| one["port"] == port && one["role"] == role)?["address"].as_str()?.to_owned())
    }

    /// Address of the admin server.
    pub fn admin(&self) -> String {
        self.ready["admin"].as_str().expect("an admin address").to_owned()
    }

    /// What stands in a README, and what it is here.
    pub fn replacements(&self) -> Vec<(String, String)> {
        let mut replace = Vec::new();
        if let Some(address) = self.listener(80, "gateway") {
            let port = address.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default();
            replace.extend([("localhost:8080".to_owned(), address), (":8080".to_owned(), format!(":{port}"))]);
        }
        replace.extend([
            ("localhost:15001".to_owned(), self.sidecar()),
            ("localhost:15000".to_owned(), self.admin()),
            ("~/.local/share".to_owned(), self.scratch.path().display().to_string()),
        ]);
        let of_tls = self.ready["listeners"].as_array().and_then(|all| all.iter().find(|one| one["port"] == 443));
        if let Some(address) = of_tls.and_then(|one| one["address"].as_str()) {
            let port = address.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default();
            replace.push((":8443".to_owned(), format!(":{port}")));
        }
        replace
    }

    /// The body of the answer to a GET through the gateway's port 80.
    pub fn get(&self, path: &str) -> String {
        get(&self.address(80), path)
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(told.success());
        let started = Instant::now();
        while self.child.try_wait().expect("the child can be asked").is_none() {
            assert!(started.elapsed() < PATIENCE, "malha run does not stop:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
        let status = self.child.wait().expect("the child has ended");
        assert!(status.success(), "malha run ended with {status}:\n{}", self.log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of the answer to a GET, on a connection of its own.
pub fn get(address: &str, path: &str) -> String {
    answer(address, path).split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// The status of the answer to a GET, on a connection of its own.
#[allow(dead_code, reason = "each test file uses its part")]
pub fn status(address: &str, path: &str) -> String {
    answer(address, path).split(' ').nth(1).unwrap_or_default().to_owned()
}

fn answer(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the listener accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    answer
}

/// Waits until `condition` holds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
