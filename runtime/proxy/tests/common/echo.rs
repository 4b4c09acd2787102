//! Upstreams: each answers with what it saw, or as the request's `x-echo-*` headers ask, as in the recordings.

use super::client::Answer;
use serde_json::{Map, Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// An upstream on a free port.
pub struct Echo {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Value>>>,
    connections: Arc<AtomicUsize>,
}

impl Echo {
    /// Its `name` is in its answers.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, |_, _| None)
    }

    /// `answer` may give the whole answer, as bytes, by what was seen and how many requests came before; an empty one
    /// closes the connection.
    pub fn start_with(name: &str, answer: impl Fn(&Value, usize) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::start_on(listener, name, answer)
    }

    /// As many as there are names, at 127.0.0.1, 127.0.0.2 and so on, and all at one port: as the addresses of a name are.
    pub fn start_many(names: &[&str]) -> Vec<Self> {
        Self::start_many_with(names, |_, _| None)
    }

    /// The same, with answers as of [`Echo::start_with`].
    pub fn start_many_with(
        names: &[&str],
        answer: impl Fn(&Value, usize) -> Option<Vec<u8>> + Clone + Send + Sync + 'static,
    ) -> Vec<Self> {
        let listeners = loop {
            let first = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = first.local_addr().unwrap().port();
            let others = (2..)
                .take(names.len() - 1)
                .map(|number| TcpListener::bind(SocketAddr::from(([127, 0, 0, number], port))));
            if let Ok(all) = std::iter::once(Ok(first)).chain(others).collect::<Result<Vec<_>, _>>() {
                break all;
            }
        };
        listeners
            .into_iter()
            .zip(names)
            .map(|(listener, name)| Self::start_on(listener, name, answer.clone()))
            .collect()
    }

    fn start_on(
        listener: TcpListener,
        name: &str,
        answer: impl Fn(&Value, usize) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let echo = Echo { address, seen: Arc::default(), connections: Arc::default() };
        let (seen, connections) = (Arc::clone(&echo.seen), Arc::clone(&echo.connections));
        let (answer, name) = (Arc::new(answer), name.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, answer, name) = (Arc::clone(&seen), Arc::clone(&answer), name.clone());
                std::thread::spawn(move || serve(&stream, &name, &seen, &*answer));
            }
        });
        echo
    }

    /// What it saw, in order.
    pub fn seen(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections it has taken.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A port on which nobody listens.
pub fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

type Answering = dyn Fn(&Value, usize) -> Option<Vec<u8>> + Send + Sync;

fn serve(stream: &TcpStream, name: &str, seen: &Mutex<Vec<Value>>, answer: &Answering) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let header = |name: &str| request["headers"][name].as_str().map(str::to_owned);
        if let Some(delay) = header("x-echo-delay").and_then(|delay| delay.parse().ok()) {
            std::thread::sleep(Duration::from_millis(delay));
        }
        let bytes = match answer(&request, before) {
            Some(bytes) => bytes,
            None if header("x-echo-close").is_some() => Vec::new(),
            None => {
                let status = header("x-echo-status").unwrap_or_else(|| "200".to_owned());
                let more = header("x-echo-header")
                    .map(|line| format!("{}\r\n", line.replacen('=', ": ", 1)))
                    .unwrap_or_default();
                let body = if request["method"] == "HEAD" { String::new() } else { told(&request, name) };
                let length = told(&request, name).len();
                format!(
                    "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nX-Up: echo\r\n{more}\
                     Content-Length: {length}\r\n\r\n{body}"
                )
                .into_bytes()
            }
        };
        if bytes.is_empty() || (&*stream).write_all(&bytes).is_err() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn told(request: &Value, name: &str) -> String {
    let mut request = request.clone();
    request["name"] = json!(name);
    request.to_string()
}

/// Reads a request: `{"method","path","authority","headers","lines","body"}`; `lines` is the head as it came.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<Value> {
    let first = line(reader)?;
    let mut parts = first.split(' ');
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut lines = Vec::new();
    let mut headers = Map::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        let (name, value) = (name.to_owned(), json!(value.trim()));
        match headers.get_mut(&name) {
            Some(Value::Array(lines)) => lines.push(value),
            Some(first) => *first = json!([first.clone(), value]),
            None => {
                headers.insert(name, value);
            }
        }
        lines.push(line);
    }
    let authority = headers.remove("host");
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some() {
        loop {
            let length = usize::from_str_radix(&line(reader)?, 16).ok()?;
            let mut chunk = vec![0; length];
            reader.read_exact(&mut chunk).ok()?;
            body.extend(chunk);
            line(reader)?;
            if length == 0 {
                break;
            }
        }
    } else if let Some(length) = headers.get("content-length").and_then(Value::as_str) {
        body.resize(length.parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    }
    Some(json!({
        "method": method,
        "path": path,
        "authority": authority,
        "headers": headers,
        "lines": lines,
        "body": String::from_utf8_lossy(&body),
    }))
}

/// Bytes that are no UTF-8 become the characters of their numbers, as in the recordings.
fn line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\r\n")?;
    Some(line.iter().map(|&byte| char::from(byte)).collect())
}

/// What the upstream saw, from its answer.
pub fn upstream(answer: &Answer) -> Value {
    answer.json()
}
