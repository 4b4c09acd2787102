//! A steady load: clients that keep their connections and ask again and again, and what became of each request.

use super::client::Client;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How many requests came to what: a status, `damaged` (200 with another body), `cut` (amid its answer), or `lost`
/// (without any).
pub type Outcomes = BTreeMap<String, u64>;

/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(2);

/// How long a client waits for an answer before the test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The clients.
pub struct Load {
    stop: Arc<AtomicBool>,
    outcomes: Arc<Mutex<Outcomes>>,
    clients: Vec<JoinHandle<()>>,
    /// What whole answers hold; none: anything.
    body: Option<&'static str>,
}

impl Load {
    /// None yet. Answers of 200 are to hold `body`, if it is given.
    pub fn new(body: Option<&'static str>) -> Self {
        Load { stop: Arc::default(), outcomes: Arc::default(), clients: Vec::new(), body }
    }

    /// Clients of HTTP/1.1, each with a connection.
    pub fn http1(mut self, clients: usize, connect: impl Fn() -> Client + Clone + Send + 'static) -> Self {
        for _ in 0..clients {
            let (stop, outcomes, body, connect) =
                (self.stop.clone(), self.outcomes.clone(), self.body, connect.clone());
            self.clients.push(std::thread::spawn(move || {
                let mut client = connect();
                while !stop.load(Ordering::Relaxed) {
                    let outcome = ask(&mut client, body);
                    if outcome == "lost" || outcome == "cut" {
                        client = connect();
                    }
                    *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                    std::thread::sleep(PAUSE);
                }
            }));
        }
        self
    }

    /// Connections of HTTP/2, each with several clients.
    pub fn http2(mut self, connections: usize, address: SocketAddr) -> Self {
        let (stop, outcomes, body) = (self.stop.clone(), self.outcomes.clone(), self.body);
        self.clients.push(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let clients = (0..connections).map(|_| {
                    let (stop, outcomes) = (stop.clone(), outcomes.clone());
                    tokio::spawn(async move {
                        while !stop.load(Ordering::Relaxed) {
                            let sender = open(address).await;
                            let ask = || keep_asking(sender.clone(), address, &stop, &outcomes, body);
                            tokio::join!(ask(), ask(), ask(), ask());
                        }
                    })
                });
                for client in clients.collect::<Vec<_>>() {
                    client.await.unwrap();
                }
            });
        }));
        self
    }

    /// What requests came to since this was asked before.
    pub fn take(&self) -> Outcomes {
        std::mem::take(&mut *self.outcomes.lock().unwrap())
    }

    /// Requests since [`Load::take`].
    pub fn count(&self) -> u64 {
        self.outcomes.lock().unwrap().values().sum()
    }

    /// Ends it, and tells what came since [`Load::take`].
    pub fn stop(self) -> Outcomes {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("every request comes to something");
        }
        std::mem::take(&mut *self.outcomes.lock().unwrap())
    }
}

fn told(status: u16, body: &[u8], wanted: Option<&str>) -> String {
    match wanted {
        Some(wanted) if status == 200 && body != wanted.as_bytes() => "damaged".to_owned(),
        _ => status.to_string(),
    }
}

fn ask(client: &mut Client, body: Option<&str>) -> String {
    if !client.try_write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n") || client.is_closed() {
        return "lost".to_owned();
    }
    match client.read() {
        Some(answer) => told(answer.status, &answer.body, body),
        None => "cut".to_owned(),
    }
}

async fn open(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.expect("the listener accepts");
    let (sender, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    sender
}

/// Until the connection ends.
async fn keep_asking(
    mut sender: SendRequest<Empty<Bytes>>,
    address: SocketAddr,
    stop: &AtomicBool,
    outcomes: &Mutex<Outcomes>,
    body: Option<&str>,
) {
    while !stop.load(Ordering::Relaxed) && sender.ready().await.is_ok() {
        let request = Request::get(format!("http://{address}/")).body(Empty::new()).unwrap();
        let answer = async {
            let response = sender.send_request(request).await.map_err(|_| "lost")?;
            let status = response.status().as_u16();
            let whole = response.into_body().collect().await.map_err(|_| "cut")?;
            Ok::<_, &str>(told(status, &whole.to_bytes(), body))
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time");
        let outcome = answer.unwrap_or_else(str::to_owned);
        *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
        tokio::time::sleep(PAUSE).await;
    }
}
