//! All stand-ins of a running mesh.

use super::{
    LocalAuthority,
    answer::Identity,
    counts::Counts,
    server::{Log, StandIn},
    tls,
};
use crate::failure::Failure;
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::oneshot,
};
use tokio_rustls::TlsAcceptor;

/// A stand-in that a mesh wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who it stands for.
    pub identity: Identity,
    /// Whom it calls when it is asked for `/s`.
    pub calls: Vec<String>,
}

/// The stand-ins of a mesh, all on one thread. They stay when the mesh changes, so that their addresses and counts do.
pub struct StandIns {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    running: BTreeMap<Identity, Running>,
    counts: Counts,
    log: Log,
    tls: Arc<OnceLock<TlsAcceptor>>,
}

struct Running {
    address: SocketAddr,
    stand_in: Arc<StandIn>,
}

impl StandIns {
    /// Starts without any. Each request is counted, then logged, then answered.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(counts: Counts, log: Log) -> Result<StandIns, Failure> {
        let failed = |error: io::Error| Failure::new(format!("the stand-ins cannot be started: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            // Either way it is time to end.
            let _ = runtime.block_on(stopped);
        };
        let thread = thread::Builder::new().name("stand-ins".to_owned()).spawn(serve).map_err(failed)?;
        Ok(StandIns {
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
            running: BTreeMap::new(),
            counts,
            log,
            tls: Arc::default(),
        })
    }

    /// The address of a stand-in, which is started if there is none yet.
    ///
    /// # Errors
    /// Loopback has no free port.
    pub fn address(&mut self, identity: &Identity) -> Result<SocketAddr, Failure> {
        if let Some(running) = self.running.get(identity) {
            return Ok(running.address);
        }
        let bind = || {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let _runtime = self.runtime.enter();
            let address = listener.local_addr()?;
            Ok((TcpListener::from_std(listener)?, address))
        };
        let (listener, address) = bind()
            .map_err(|error: io::Error| Failure::new(format!("no stand-in for {}: {error}", identity.workload)))?;
        let stand_in = Arc::new(StandIn::new(identity.clone(), self.counts.clone(), Arc::clone(&self.log)));
        self.counts.add(identity, 0);
        self.runtime.spawn(Arc::clone(&stand_in).serve(listener, Arc::clone(&self.tls)));
        self.running.insert(identity.clone(), Running { address, stand_in });
        Ok(address)
    }

    /// Lets all of them speak TLS with whoever does, for any name, by an authority.
    pub fn speak_tls(&self, authority: &Arc<LocalAuthority>) {
        if self.tls.get().is_none()
            && let Some(acceptor) = tls::acceptor(Arc::clone(authority))
        {
            // Nobody else sets it.
            let _ = self.tls.set(acceptor);
        }
    }

    /// Says whom a stand-in calls, and through which outbound proxy.
    pub fn call_through(&self, wanted: &Wanted, proxy: Option<SocketAddr>) {
        if let Some(running) = self.running.get(&wanted.identity) {
            running.stand_in.call_through(wanted.calls.clone(), proxy);
        }
    }

    /// How many requests each has had.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Who has a stand-in, and where.
    pub fn iter(&self) -> impl Iterator<Item = (&Identity, SocketAddr)> {
        self.running.iter().map(|(identity, running)| (identity, running.address))
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A stand-in that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
        sync::Mutex,
    };

    fn identity(workload: &str) -> Identity {
        Identity {
            app: "orders".to_owned(),
            version: Some("v1".to_owned()),
            namespace: "shop".to_owned(),
            workload: workload.to_owned(),
        }
    }

    fn get(address: SocketAddr, path: &str) -> (u16, serde_json::Value) {
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        (status, serde_json::from_str(body).expect("JSON"))
    }

    #[test]
    fn stand_ins_answer_count_and_log() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        let counts = Counts::default();
        let mut stand_ins = StandIns::start(
            counts.clone(),
            Arc::new(move |line| log.lock().expect("not poisoned").push(line.to_owned())),
        )
        .expect("a thread");
        let address = stand_ins.address(&identity("orders-v1")).expect("a port");
        assert_eq!(stand_ins.address(&identity("orders-v1")).expect("a port"), address);
        let (status, body) = get(address, "/?a=1");
        assert_eq!((status, &body["app"], &body["path"]), (200, &"orders".into(), &"/?a=1".into()));
        assert_eq!(get(address, "/other").0, 404);
        let statuses: Vec<_> = (0..3).map(|_| get(address, "/r?code=503&times=2").0).collect();
        assert_eq!(statuses, [503, 503, 200]);
        assert_eq!(counts.to_json(), serde_json::json!({"shop/orders-v1": 5}));
        let lines = lines.lock().expect("not poisoned");
        assert_eq!(lines[1], "stand-in shop/orders-v1 app=orders version=v1 GET /other 404");
    }

    #[test]
    fn stand_ins_call_through_a_proxy() {
        let mut stand_ins = StandIns::start(Counts::default(), Arc::new(|_| ())).expect("a thread");
        let caller = identity("front-end");
        let address = stand_ins.address(&caller).expect("a port");
        // Another stand-in plays the proxy: it answers 404 to what it does not know, and repeats what it was asked.
        let proxy = stand_ins.address(&identity("proxy")).expect("a port");
        let wanted = Wanted { identity: caller, calls: vec!["http://cart.shop:8000/x?y".to_owned()] };
        stand_ins.call_through(&wanted, Some(proxy));
        let (status, body) = get(address, "/s");
        assert_eq!(status, 200);
        assert_eq!(body["calls"][0]["url"], "http://cart.shop:8000/x?y");
        assert_eq!(body["calls"][0]["status"], 404);
        assert_eq!(body["calls"][0]["body"]["headers"]["host"], "cart.shop:8000");
        stand_ins.call_through(&wanted, None);
        assert_eq!(get(address, "/s").1["calls"][0]["error"], "this workload has no sidecar");
    }
}
