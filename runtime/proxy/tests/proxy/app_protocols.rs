//! What a sidecar takes the ports of Kubernetes Services for, by `appProtocol`, name and number (semantics E24, E25).

use crate::common::{
    Running,
    client::{has_ended, tunnel},
    mesh, options,
    plain::serving,
    start,
    tls::{Authority, Speaker},
};
use malha_mesh::{MeshConfig, ProxySpec};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{Receiver, TryRecvError, channel},
    time::Duration,
};

/// What a port is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// HTTP, whose endpoints are spoken to in HTTP/1.1.
    Http1,
    /// The same, in HTTP/2.
    Http2,
    /// Bytes, which are not looked at: TLS of a service with an address of its own, too.
    Bytes,
    /// What its first bytes say.
    Detected,
}

/// The number of a port, its name and its `appProtocol`.
const PORTS: &[(u16, &str, Option<&str>, Taken)] = &[
    (9001, "tcp-1", Some("http"), Taken::Http1),
    (9002, "tcp-2", Some("kubernetes.io/ws"), Taken::Http1),
    (9003, "tcp-3", Some("http2"), Taken::Http2),
    (9004, "tcp-4", Some("kubernetes.io/h2c"), Taken::Http2),
    (9005, "tcp-5", Some("grpc"), Taken::Http2),
    (9006, "tcp-6", Some("grpc-web"), Taken::Http2),
    (9007, "http-7", Some("tcp"), Taken::Bytes),
    (9008, "http-8", Some("mongo"), Taken::Bytes),
    (9009, "http-9", Some("mysql"), Taken::Bytes),
    (9010, "http-10", Some("redis"), Taken::Bytes),
    (9011, "http-11", Some("tls"), Taken::Bytes),
    (9012, "http-12", Some("https"), Taken::Bytes),
    (9013, "http-13", Some("kubernetes.io/wss"), Taken::Bytes),
    // What nobody knows leaves it to the name, and that to the number.
    (9014, "http-14", Some("example.com/own"), Taken::Http1),
    (9015, "tcp-15", Some("amqp"), Taken::Bytes),
    (9016, "web-16", Some("amqp"), Taken::Detected),
    (9017, "http", None, Taken::Http1),
    (9018, "http2-18", None, Taken::Http2),
    (9019, "grpc-19", None, Taken::Http2),
    (9020, "grpc-web-20", None, Taken::Http2),
    (9021, "mongo", None, Taken::Bytes),
    (9022, "https-22", None, Taken::Bytes),
    (9023, "httpfoo", None, Taken::Detected),
    (9024, "web-24", None, Taken::Detected),
    (3306, "web-25", None, Taken::Bytes),
    (27017, "web-26", None, Taken::Bytes),
    (25, "http-27", None, Taken::Http1),
];

/// A proxy whose service `a` has these ports, each with a server of its own that tells the beginning of what it is sent:
/// up to an empty line, or a hello as long as this one.
fn sidecar(hello: usize) -> (Running, BTreeMap<u16, Receiver<Vec<u8>>>) {
    let port = |(number, name, app_protocol, _): &(u16, &str, Option<&str>, Taken)| {
        let app_protocol = app_protocol.map(|name| format!(", appProtocol: {name}")).unwrap_or_default();
        format!("  - {{name: {name}, port: {number}{app_protocol}}}\n")
    };
    let ports: String = PORTS.iter().map(port).collect();
    let text = mesh::SERVICES.replacen("  - {name: http, port: 80}\n", &ports, 1);
    let mut endpoints = BTreeMap::new();
    let addresses: BTreeMap<u32, SocketAddr> = PORTS
        .iter()
        .map(|(number, ..)| {
            let (told, heard) = channel();
            endpoints.insert(*number, heard);
            let address = serving(move |mut stream| {
                let (mut bytes, mut byte) = (Vec::new(), [0]);
                let is_whole = |bytes: &[u8]| {
                    bytes.ends_with(b"\r\n\r\n") || (bytes.first() == Some(&0x16) && bytes.len() == hello)
                };
                while !is_whole(&bytes)
                    && let Ok(1) = stream.read(&mut byte)
                {
                    bytes.extend(byte);
                }
                // Who only looked whether somebody is there has said nothing.
                if !bytes.is_empty() {
                    let _ = told.send(bytes);
                }
            });
            (u32::from(*number), address)
        })
        .collect();
    let proxies = [ProxySpec::default_sidecar()];
    let table = mesh::compile_with(&text, &proxies, MeshConfig::default(), |cluster| {
        cluster.host.starts_with("a.").then(|| addresses.get(&cluster.port).map(|&address| vec![address]))?
    });
    (start(table, options()), endpoints)
}

/// Sends bytes to a port of the service.
fn send(proxy: &Running, port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = tunnel(proxy.outbound(), &format!("10.0.0.1:{port}")).expect("a tunnel");
    stream.write_all(bytes).unwrap();
    stream
}

#[test]
fn a_port_is_taken_for_what_it_says_that_it_is() {
    const REQUEST: &[u8] = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    const TEXT: &[u8] = b"hello\r\n\r\n";
    let authority = Authority::new();
    let hello = Speaker::new(&authority).hello("a.default.svc.cluster.local");
    let (proxy, endpoints) = sidecar(hello.len());
    for (number, name, app_protocol, taken) in PORTS {
        let what = format!("E24, E25: {number} {name} {app_protocol:?}");
        let heard = |sent: &[u8]| {
            let _open = send(&proxy, *number, sent);
            endpoints[number].recv_timeout(Duration::from_secs(10)).unwrap_or_else(|_| panic!("nothing came: {what}"))
        };
        let comes_as_it_is = |sent: &[u8]| assert_eq!(heard(sent), sent, "{what}");
        let leads_nowhere = |sent: &[u8]| {
            assert!(has_ended(&mut send(&proxy, *number, sent)), "{what}");
        };
        // As the endpoint would be asked by the proxy itself.
        let comes_anew = || {
            let request = heard(REQUEST);
            let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
            assert!(text.starts_with("get /x http/1.1\r\n") && text.contains("\r\nx-request-id: "), "{what}: {text}");
        };
        match taken {
            Taken::Http1 => {
                comes_anew();
                leads_nowhere(TEXT);
            }
            Taken::Http2 => {
                assert_eq!(heard(REQUEST), b"PRI * HTTP/2.0\r\n\r\n", "{what}");
                leads_nowhere(TEXT);
            }
            Taken::Bytes => {
                comes_as_it_is(REQUEST);
                comes_as_it_is(TEXT);
                comes_as_it_is(&hello);
            }
            Taken::Detected => {
                comes_anew();
                comes_as_it_is(TEXT);
                comes_as_it_is(&hello);
            }
        }
        assert_eq!(endpoints[number].try_recv(), Err(TryRecvError::Empty), "{what}");
    }
}
