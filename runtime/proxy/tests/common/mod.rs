//! What the tests share: meshes as YAML, upstreams that tell what they saw, and a client that writes bytes.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod client;
pub mod echo;
pub mod faulty;
pub mod held;
pub mod lines;
pub mod load;
pub mod mesh;
pub mod name_server;
pub mod plain;
#[cfg(unix)]
pub mod process;
pub mod tls;

use malha_proxy::{Handle, Options, Proxy, Revision};
use std::{
    net::SocketAddr,
    ops::Deref,
    time::{Duration, Instant},
};

/// A running proxy that ends with its test.
pub struct Running(pub Handle);

impl Deref for Running {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.shutdown(Duration::ZERO);
    }
}

/// Options for tests: free ports, repeatable chance.
pub fn options() -> Options {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Options { ephemeral: true, admin: Some(any), outbound: any, seed: Some(1), explain: true, ..Options::default() }
}

/// Starts a proxy.
pub fn start(revision: impl Into<Revision>, options: Options) -> Running {
    Running(Proxy::start(revision, options).expect("free ports are free"))
}

impl Running {
    /// The address of the gateway listener on this port of the table.
    pub fn gateway(&self, port: u16) -> SocketAddr {
        let listeners = self.listeners();
        let found = listeners.iter().find(|listener| listener.role == "gateway" && listener.port == port);
        found.unwrap_or_else(|| panic!("no gateway listener on {port} among {listeners:?}")).address
    }

    /// The address of a sidecar's outbound listener.
    pub fn outbound(&self) -> SocketAddr {
        let listeners = self.listeners();
        let found = listeners.iter().find(|listener| listener.role == "mesh");
        found.unwrap_or_else(|| panic!("no outbound listener among {listeners:?}")).address
    }
}

/// A sample of `/metrics`, by what its line begins with.
pub fn sample(admin: SocketAddr, name: &str) -> u64 {
    let metrics = client::get(admin, "localhost", "/metrics", "").text();
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    values.next().unwrap_or_else(|| panic!("no {name}: {metrics}"))
}

/// How long a drill lasts: as a variable of the environment says, for longer runs, else so many seconds.
pub fn lasting(variable: &str, seconds: u64) -> Duration {
    let told = std::env::var(variable).ok();
    Duration::from_secs(told.map_or(seconds, |told| told.parse().expect("a number of seconds")))
}

/// Waits until a condition holds; a test that waits for more than ten seconds has failed.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
