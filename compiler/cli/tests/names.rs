//! Names of endpoints are asked of the servers that the command line or the settings name.

#[path = "support/command.rs"]
mod command;
#[path = "support/running.rs"]
mod running;

use command::tree;
use running::{PATIENCE, Running};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
};

/// The only name that there is.
const NAME: &str = "api.example.test";

/// A name server that knows `NAME`, which is this machine.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut question) {
            if let Some(answer) = question.get(..length).and_then(answer) {
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    address
}

/// The answer to a message with one question (RFC 1035).
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut rest = message.get(12..)?;
    loop {
        let (length, tail) = rest.split_first()?;
        if *length == 0 {
            rest = tail;
            break;
        }
        let (label, tail) = tail.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        rest = tail;
    }
    let is_address = rest.get(..2)? == [0, 1];
    let question = message.get(12..message.len() - rest.len() + 4)?;
    let is_known = labels.join(".") == NAME;
    let answers = u8::from(is_known && is_address);
    let mut told = message.get(..2)?.to_vec();
    // An answer by whoever knows best; a name that it does not know there is not.
    told.extend([0x84, if is_known { 0 } else { 3 }, 0, 1, 0, answers, 0, 0, 0, 0]);
    told.extend(question);
    if answers > 0 {
        // The name of the question, an address of the internet, for an hour, of four bytes.
        told.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4]);
        told.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(told)
}

/// An upstream that answers with a word.
fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfound");
        }
    });
    port
}

/// The answer to a request for a host through a sidecar.
fn ask(sidecar: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(sidecar).expect("the sidecar accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    answer
}

#[test]
fn named_servers_say_where_endpoints_are() {
    let server = name_server();
    let entries = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: api, namespace: shop}}
spec:
  hosts: [{NAME}, nobody.example.test]
  resolution: DNS
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {port}}}]
",
        port = upstream()
    );
    let of_settings = format!("[run]\ndns = [\"{server}\"]\n");
    let nowhere = "[run]\ndns = [\"127.0.0.1:1\"]\n";
    let server = server.to_string();
    for (settings, arguments) in
        [("", vec!["--dns-server", &server]), (&of_settings, vec![]), (nowhere, vec!["--dns-server", &server])]
    {
        let mesh = tree(&[("mesh.yaml", &entries), ("malha.toml", settings)]);
        let running = Running::start(&arguments, mesh.path());
        let found = ask(&running.sidecar(), NAME);
        assert!(found.starts_with("HTTP/1.1 200 ") && found.ends_with("found"), "{found}\n{}", running.log());
        let nobody = ask(&running.sidecar(), "nobody.example.test");
        assert!(nobody.starts_with("HTTP/1.1 503 ") && nobody.ends_with("no healthy upstream"), "E8: {nobody}");
        running.stop();
    }
}
