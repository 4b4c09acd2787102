//! An upstream that breaks in every way there is, when it is told to, and mends.

use socket2::{Domain, SockRef, Socket, Type};
use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It takes connections and requests, and says nothing.
    Frozen,
    /// It resets connections as soon as it has them.
    ResetAtOnce,
    /// It resets them once it has read a request.
    ResetAfterRequest,
    /// It resets them amid an answer's body.
    ResetAmidBody,
    /// It closes them there.
    HalfAnAnswer,
    /// It answers what is no HTTP.
    Garbage,
}

/// The body of each whole answer.
pub const BODY: &str = "as whole as can be";

/// The upstream.
pub struct Faulty {
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
    /// Bound, and never listened on: the system gives nobody else its port, but whoever asks for it may listen there.
    _reserved: Option<Socket>,
}

#[derive(Default)]
struct State {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    is_down: bool,
    fault: Option<Fault>,
    open: Vec<Arc<TcpStream>>,
}

impl State {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap()
    }
}

impl Faulty {
    /// A sound one, on a free port.
    pub fn start() -> Self {
        let (reserved, address) = reserve();
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().unwrap();
        let state = Arc::default();
        let accepting = Some(accept(listener, &state));
        Faulty { address, state, accepting, _reserved: reserved }
    }

    /// From now on this is wrong with it, or nothing.
    pub fn set(&self, fault: Option<Fault>) {
        self.state.now().fault = fault;
        self.state.changed.notify_all();
    }

    /// As when its process ends: nobody listens, and its connections are closed.
    pub fn kill(&mut self) {
        let open = {
            let mut now = self.state.now();
            now.is_down = true;
            std::mem::take(&mut now.open)
        };
        self.state.changed.notify_all();
        for stream in open {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(accepting) = self.accepting.take() {
            // Wakes who accepts.
            let _ = TcpStream::connect(self.address);
            accepting.join().unwrap();
        }
    }

    /// As when it is started again.
    pub fn revive(&mut self) {
        self.state.now().is_down = false;
        let listener = TcpListener::bind(self.address).expect("its port is still its own");
        self.accepting = Some(accept(listener, &self.state));
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.state.now().open.len()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.set(None);
        self.kill();
    }
}

/// A port that stays its own while nobody listens on it; elsewhere than on Linux, two sockets cannot share one so.
fn reserve() -> (Option<Socket>, SocketAddr) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    if !cfg!(target_os = "linux") {
        return (None, any);
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // As what listens there later has it, too.
    socket.set_reuse_address(true).unwrap();
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (Some(socket), address)
}

fn accept(listener: TcpListener, state: &Arc<State>) -> JoinHandle<()> {
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let stream = Arc::new(stream);
            let mut now = state.now();
            if now.is_down {
                return;
            }
            if now.fault == Some(Fault::ResetAtOnce) {
                resets_when_dropped(&stream);
                continue;
            }
            now.open.push(Arc::clone(&stream));
            drop(now);
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                serve(&stream, &state);
                state.now().open.retain(|other| !Arc::ptr_eq(other, &stream));
            });
        }
    })
}

fn serve(stream: &TcpStream, state: &State) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    while read_head(&mut reader) {
        let fault = {
            let is_frozen = |now: &mut Now| now.fault == Some(Fault::Frozen) && !now.is_down;
            state.changed.wait_while(state.now(), is_frozen).unwrap().fault
        };
        let (half, rest) = BODY.split_at(5);
        let half = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{half}", BODY.len());
        let answer = match fault {
            None | Some(Fault::Frozen) => half + rest,
            Some(Fault::ResetAtOnce | Fault::ResetAfterRequest) => return resets_when_dropped(stream),
            Some(Fault::ResetAmidBody) => {
                let _ = (&*stream).write_all(half.as_bytes());
                // A reset overtakes what was not read yet, and the head is to arrive.
                std::thread::sleep(Duration::from_millis(5));
                return resets_when_dropped(stream);
            }
            Some(Fault::HalfAnAnswer) => {
                let _ = (&*stream).write_all(half.as_bytes());
                return;
            }
            Some(Fault::Garbage) => "\x16\x03\x01 no HTTP at all\r\n\r\n".to_owned(),
        };
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Its end is a reset.
fn resets_when_dropped(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Reads the head of a request, which has no body; false at the end.
fn read_head(reader: &mut BufReader<&TcpStream>) -> bool {
    let mut line = String::new();
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(1..) if line == "\r\n" => return true,
            Ok(1..) => {}
            _ => return false,
        }
    }
}
