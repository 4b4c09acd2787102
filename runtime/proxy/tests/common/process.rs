//! `malha-proxy` as a process.

use super::wait_for;
use serde_json::Value;
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

/// A running process, its words, and where it listens.
pub struct Process {
    pub child: Child,
    said: Arc<Mutex<String>>,
    pub ready: Value,
}

impl Process {
    pub fn start(table: &Path) -> Self {
        Self::start_with::<&str>(table, &[])
    }

    pub fn start_with<A: AsRef<OsStr>>(table: &Path, more: &[A]) -> Self {
        Self::start_in(table, more, "")
    }

    /// Where the environment names a collector of traces.
    pub fn start_in<A: AsRef<OsStr>>(table: &Path, more: &[A], collector: &str) -> Self {
        let ready_file = table.with_extension("ready");
        let mut child = command()
            .arg(table)
            .args(more)
            .args(["--ephemeral", "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cores", "1"])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .arg("--ready-file")
            .arg(&ready_file)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, into) = (BufReader::new(child.stderr.take().expect("piped")).lines(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                into.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        wait_for("the ready file", || ready_file.exists());
        let ready = serde_json::from_slice(&std::fs::read(ready_file).unwrap()).unwrap();
        Process { child, said, ready }
    }

    pub fn gateway(&self) -> std::net::SocketAddr {
        self.ready["listeners"][0]["address"].as_str().unwrap().parse().unwrap()
    }

    pub fn admin(&self) -> std::net::SocketAddr {
        self.ready["admin"].as_str().unwrap().parse().unwrap()
    }

    pub fn said(&self, words: &str) -> bool {
        self.said.lock().unwrap().contains(words)
    }

    pub fn terminate(&mut self) -> i32 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code().expect("it ends by itself")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_malha-proxy"))
}
