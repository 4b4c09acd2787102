//! Upstreams that hold back: answers until a test wants them, and connections for ever.

use super::echo::Echo;
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A gate that is closed at first.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        let _open = self.0.1.wait_while(self.0.0.lock().unwrap(), |is_open| !*is_open).unwrap();
    }
}

/// An upstream that answers nothing until it is opened.
pub struct Gated {
    pub echo: Echo,
    pub gate: Gate,
}

impl Gated {
    pub fn start() -> Gated {
        let gate = Gate::default();
        let own = gate.clone();
        let echo = Echo::start_with("a", move |_, _| {
            own.pass();
            None
        });
        Gated { echo, gate }
    }

    pub fn open(&self) {
        self.gate.open();
    }
}

/// An upstream that takes one connection, answers a request there whenever it is told to, and leaves others in a queue
/// that is full: to open one more takes longer than anybody waits.
pub struct Narrow {
    pub address: SocketAddr,
    answer: std::sync::mpsc::Sender<()>,
    seen: Arc<AtomicUsize>,
    _fill: Arc<Mutex<Vec<TcpStream>>>,
}

impl Narrow {
    pub fn start() -> Narrow {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let (answer, told) = std::sync::mpsc::channel();
        let (seen, fill): (Arc<AtomicUsize>, Arc<Mutex<Vec<TcpStream>>>) = Default::default();
        let (own_seen, own_fill) = (Arc::clone(&seen), Arc::clone(&fill));
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                own_fill.lock().unwrap().push(one);
            }
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while matches!(reader.read_line(&mut line), Ok(1..)) {
                if line == "\r\n" {
                    own_seen.fetch_add(1, Ordering::SeqCst);
                    if told.recv().is_err() {
                        return;
                    }
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
                line.clear();
            }
        });
        Narrow { address, answer, seen, _fill: fill }
    }

    /// Answers one request, now or when it comes.
    pub fn answer(&self) {
        self.answer.send(()).unwrap();
    }

    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// An address at which nobody accepts, and whose queue is full: who connects hears nothing.
pub struct Silent {
    _listener: socket2::Socket,
    _fill: Vec<TcpStream>,
}

impl Silent {
    pub fn at(address: SocketAddr) -> Silent {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        Silent { _fill: std::iter::from_fn(connect).collect(), _listener: listener }
    }
}
