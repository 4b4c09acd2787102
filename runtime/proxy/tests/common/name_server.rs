//! A name server that says what a test wants, over UDP and TCP.

use super::held::Gate;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What is said of a name.
#[derive(Clone)]
pub enum Says {
    /// These addresses, for so many seconds.
    Addresses(u32, Vec<IpAddr>),
    /// That it stands for another, for so many seconds, and the addresses of that.
    Alias(u32, String),
    /// That it is there, without an address.
    Nothing,
    /// That there is no such name.
    Unknown,
    /// That the server has failed.
    Failure,
    /// Bytes that are no answer.
    Garbage,
    /// Nothing at all.
    Silence,
    /// The same as another, once a gate is open.
    Late(Gate, Box<Says>),
    /// The same as another, always after so long.
    Slowly(Duration, Box<Says>),
    /// That the server does not serve who asks.
    Refusal,
}

/// So many bytes an answer over UDP may have.
const UDP: usize = 1232;

/// A running one.
pub struct NameServer {
    pub address: SocketAddr,
    zone: Zone,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

type Zone = Arc<Mutex<BTreeMap<String, Says>>>;

/// Addresses of this machine, by their last number.
pub fn local(seconds: u32, numbers: &[u8]) -> Says {
    Says::Addresses(seconds, numbers.iter().map(|number| Ipv4Addr::new(127, 0, 0, *number).into()).collect())
}

impl NameServer {
    pub fn start() -> NameServer {
        // Both protocols have the same port.
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let server = NameServer { address, zone: Arc::default(), asked: Arc::default() };
        let (zone, asked) = (server.zone.clone(), server.asked.clone());
        std::thread::spawn(move || serve_udp(&udp, &zone, &asked));
        let (zone, asked) = (server.zone.clone(), server.asked.clone());
        std::thread::spawn(move || serve_tcp(&tcp, &zone, &asked));
        server
    }

    /// From now on; a name that nothing is said of is unknown.
    pub fn say(&self, name: &str, says: Says) {
        self.zone.lock().unwrap().insert(name.to_owned(), says);
    }

    /// How often addresses of IPv4 of a name were asked for.
    pub fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// All names that were asked for.
    pub fn names(&self) -> Vec<String> {
        self.asked.lock().unwrap().keys().cloned().collect()
    }
}

fn serve_udp(socket: &UdpSocket, zone: &Zone, asked: &Arc<Mutex<BTreeMap<String, usize>>>) {
    let mut bytes = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut bytes) {
        let Some(question) = Question::read(&bytes[..length]) else { continue };
        count(asked, &question);
        let (zone, socket) = (zone.clone(), socket.try_clone().unwrap());
        std::thread::spawn(move || {
            if let Some(answer) = question.answer(&zone, Some(UDP)) {
                let _ = socket.send_to(&answer, from);
            }
        });
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Zone, asked: &Arc<Mutex<BTreeMap<String, usize>>>) {
    for mut stream in listener.incoming().flatten() {
        let (zone, asked) = (zone.clone(), asked.clone());
        std::thread::spawn(move || {
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut bytes).is_err() {
                    return;
                }
                let Some(question) = Question::read(&bytes) else { return };
                count(&asked, &question);
                let Some(answer) = question.answer(&zone, None) else { return };
                let length = u16::try_from(answer.len()).expect("no answer is longer");
                if stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).is_err() {
                    return;
                }
            }
        });
    }
}

fn count(asked: &Mutex<BTreeMap<String, usize>>, question: &Question) {
    if question.kind == A {
        *asked.lock().unwrap().entry(question.name.clone()).or_default() += 1;
    }
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

struct Question {
    id: [u8; 2],
    name: String,
    kind: u16,
    /// As it came.
    bytes: Vec<u8>,
}

impl Question {
    fn read(message: &[u8]) -> Option<Question> {
        let id = message.get(..2)?.try_into().ok()?;
        let (mut at, mut labels) = (12, Vec::new());
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
        Some(Question { id, name: labels.join("."), kind, bytes: message.get(12..at + 4)?.to_vec() })
    }

    /// None: silence.
    fn answer(&self, zone: &Zone, most: Option<usize>) -> Option<Vec<u8>> {
        let of = |name: &str| zone.lock().unwrap().get(name).cloned().unwrap_or(Says::Unknown);
        let mut says = of(&self.name);
        loop {
            says = match says {
                Says::Late(gate, other) => {
                    gate.pass();
                    *other
                }
                Says::Slowly(time, other) => {
                    std::thread::sleep(time);
                    *other
                }
                _ => break,
            };
        }
        let mut records = Vec::new();
        let mut name = self.name.clone();
        loop {
            match says {
                Says::Alias(seconds, other) => {
                    records.push((encoded(&name), CNAME, seconds, encoded(&other)));
                    says = of(&other);
                    name = other;
                }
                Says::Addresses(seconds, addresses) => {
                    for address in addresses {
                        let (kind, bytes) = match address {
                            IpAddr::V4(address) => (A, address.octets().to_vec()),
                            IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
                        };
                        if kind == self.kind {
                            records.push((encoded(&name), kind, seconds, bytes));
                        }
                    }
                    break;
                }
                Says::Nothing => break,
                Says::Unknown => return Some(self.message(3, false, &[])),
                Says::Failure => return Some(self.message(2, false, &[])),
                Says::Refusal => return Some(self.message(5, false, &[])),
                Says::Garbage => {
                    return Some([&self.id[..], &[0x81, 0x80, 0, 1, 255, 255, 0, 0, 0, 0, 63, 7, 7]].concat());
                }
                Says::Silence | Says::Late(..) | Says::Slowly(..) => return None,
            }
        }
        let whole = self.message(0, false, &records);
        let is_cut = most.is_some_and(|most| whole.len() > most);
        Some(if is_cut { self.message(0, true, &records[..1]) } else { whole })
    }

    fn message(&self, code: u8, is_cut: bool, records: &[(Vec<u8>, u16, u32, Vec<u8>)]) -> Vec<u8> {
        let count = u16::try_from(records.len()).expect("so many fit");
        let flags = [0x81 | if is_cut { 2 } else { 0 }, 0x80 | code];
        let mut bytes = [&self.id[..], &flags, &[0, 1], &count.to_be_bytes(), &[0; 4], &self.bytes].concat();
        for (name, kind, seconds, data) in records {
            // The question's own name by its place: it is the same again and again.
            let name = if *name == encoded(&self.name) { vec![0xC0, 12] } else { name.clone() };
            bytes.extend(name);
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1]);
            bytes.extend(seconds.to_be_bytes());
            bytes.extend(u16::try_from(data.len()).expect("it is short").to_be_bytes());
            bytes.extend(data);
        }
        bytes
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("labels are short"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
