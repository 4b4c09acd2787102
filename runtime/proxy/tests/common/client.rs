//! An HTTP/1.1 client that writes what it is told, byte by byte.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// One connection.
pub struct Client {
    reader: BufReader<Box<dyn Duplex>>,
}

/// Bytes both ways.
pub trait Duplex: Read + Write + Send {}

impl<S: Read + Write + Send> Duplex for S {}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first line of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Client::over(connect(address))
    }

    /// On a stream that is open already.
    pub fn over(stream: impl Duplex + 'static) -> Self {
        Client { reader: BufReader::new(Box::new(stream)) }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("the connection is open");
    }

    /// As [`Client::write`], where the other side may have had enough.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.reader.get_mut().write_all(bytes).is_ok()
    }

    /// Sends bytes and reads an answer.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.write(bytes.as_ref());
        self.read().expect("an answer")
    }

    /// A GET with these header lines, each with its line feed.
    pub fn get(&mut self, host: &str, path: &str, headers: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"))
    }

    /// Reads an answer; none where the connection ends before one.
    pub fn read(&mut self) -> Option<Answer> {
        self.read_answer_to(false)
    }

    /// Reads an answer; one to HEAD has no body whatever it says.
    pub fn read_answer_to(&mut self, is_head: bool) -> Option<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if is_head || status == 204 || status == 304 {
            return Some(answer);
        }
        answer.body = if answer.header("transfer-encoding") == Some("chunked") {
            self.chunks()?
        } else if let Some(length) = answer.header("content-length") {
            let mut body = vec![0; length.parse().ok()?];
            in_time(self.reader.read_exact(&mut body)).ok()?;
            body
        } else {
            let mut body = Vec::new();
            in_time(self.reader.read_to_end(&mut body)).ok()?;
            body
        };
        Some(answer)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(self.line()?.split(';').next()?, 16).ok()?;
            let start = body.len();
            body.resize(start + length, 0);
            in_time(self.reader.read_exact(body.get_mut(start..)?)).ok()?;
            self.line()?;
            if length == 0 {
                return Some(body);
            }
        }
    }

    /// A line without its end; none at the end of the connection.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = in_time(self.reader.read_until(b'\n', &mut line)).ok()?;
        let line = line.strip_suffix(b"\n").filter(|_| read > 0)?;
        Some(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
    }

    /// Whether the other side has closed the connection and sent nothing more.
    pub fn is_closed(&mut self) -> bool {
        matches!(in_time(self.reader.fill_buf()), Ok([]) | Err(_))
    }
}

/// An open connection on which nobody waits for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the listener accepts");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// How the answer begins where there is a tunnel.
const YES: &[u8] = b"HTTP/1.1 200 ";

/// A connection to `to` that a sidecar opens at the wish of CONNECT; what it says instead, where it does not.
pub fn tunnel(sidecar: SocketAddr, to: &str) -> Result<TcpStream, Answer> {
    let mut stream = connect(sidecar);
    stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0; YES.len()];
    while in_time(stream.peek(&mut first)).expect("an answer") < YES.len() {
        std::thread::yield_now();
    }
    if first != YES {
        return Err(Client::over(stream).read().expect("a whole answer"));
    }
    // Not a byte more: what follows is the tunnel's.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        in_time(stream.read_exact(&mut byte)).expect("the rest of the head");
        head.extend(byte);
    }
    Ok(stream)
}

/// A read that came to something: one that waited in vain is no end of the connection, but a failed test.
pub fn in_time<T>(read: std::io::Result<T>) -> std::io::Result<T> {
    if let Err(error) = &read {
        let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!is_late, "the other side neither sent anything nor closed the connection");
    }
    read
}

/// Whether the other side has ended the connection and sent nothing more, in whatever way.
pub fn has_ended(stream: &mut impl Read) -> bool {
    matches!(in_time(stream.read(&mut [0])), Ok(0) | Err(_))
}

/// One GET on a connection of its own.
pub fn get(address: SocketAddr, host: &str, path: &str, headers: &str) -> Answer {
    Client::connect(address).get(host, path, headers)
}
