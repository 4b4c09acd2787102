//! Which of the processes that stand for workloads are there, watched without a word to them.

use crate::locked::locked;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_millis(500);

/// The addresses of processes, and whether somebody listens there.
///
/// Other than loopback addresses count as there: their machine is another's.
pub(super) struct Listening {
    known: Arc<Mutex<BTreeMap<SocketAddr, bool>>>,
    /// Dropped, it ends the thread that looks.
    _stop: mpsc::Sender<()>,
}

impl Listening {
    /// Watches none yet. `changed` hears of each that comes or goes.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn new(mut changed: impl FnMut(SocketAddr, bool) + Send + 'static) -> std::io::Result<Self> {
        let known: Arc<Mutex<BTreeMap<SocketAddr, bool>>> = Arc::default();
        let (stop, stopped) = mpsc::channel();
        let shared = Arc::clone(&known);
        let look = move || {
            while stopped.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                let addresses: Vec<SocketAddr> = locked(&shared).keys().copied().collect();
                if addresses.is_empty() {
                    continue;
                }
                for (address, is_there) in looked_up(&addresses) {
                    // Those that nobody asks for any more are gone from the map. Only this thread says what is known,
                    // so that each change is told once.
                    let mut known = locked(&shared);
                    let is_news =
                        known.get_mut(&address).is_some_and(|known| std::mem::replace(known, is_there) != is_there);
                    drop(known);
                    if is_news {
                        changed(address, is_there);
                    }
                }
            }
        };
        thread::Builder::new().name("listening".to_owned()).spawn(look)?;
        Ok(Listening { known, _stop: stop })
    }

    /// Whether somebody listens at each of `addresses`, all of which are watched from now on, and no others.
    pub(super) fn watch(&self, addresses: impl IntoIterator<Item = SocketAddr>) -> BTreeMap<SocketAddr, bool> {
        let addresses: Vec<SocketAddr> = addresses.into_iter().collect();
        let now: BTreeMap<SocketAddr, bool> = looked_up(&addresses).collect();
        let mut known = locked(&self.known);
        *known = now.iter().map(|(address, is_there)| (*address, *known.get(address).unwrap_or(is_there))).collect();
        now
    }
}

fn looked_up(addresses: &[SocketAddr]) -> impl Iterator<Item = (SocketAddr, bool)> {
    let listeners = listeners();
    addresses.iter().map(move |&address| {
        let is_there = if !address.ip().is_loopback() {
            true
        } else if let Some(listeners) = &listeners {
            listeners.iter().any(|listener| reaches(*listener, address))
        } else {
            std::net::TcpStream::connect_timeout(&address, INTERVAL).is_ok()
        };
        (address, is_there)
    })
}

/// Whether a connection to `address` comes to a listener. One of all addresses of IPv6 takes those of IPv4, too, unless its
/// program said otherwise, which nobody tells.
fn reaches(listener: SocketAddr, address: SocketAddr) -> bool {
    let (bound, wanted) = (listener.ip().to_canonical(), address.ip().to_canonical());
    listener.port() == address.port()
        && (bound == wanted || bound.is_unspecified() && (bound.is_ipv6() || wanted.is_ipv4()))
}

/// All sockets of this machine that listen, where the system tells it: processes need not be bothered then.
fn listeners() -> Option<Vec<SocketAddr>> {
    if cfg!(not(target_os = "linux")) {
        return None;
    }
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    // A machine without IPv6 has no such file.
    let more = std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    Some(table.lines().chain(more.lines()).filter_map(listener).collect())
}

/// The local address of a line of the kernel's table, if it listens.
fn listener(line: &str) -> Option<SocketAddr> {
    const LISTENS: &str = "0A";
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, state) = (words.next()?, words.nth(1)?);
    let (address, port) = local.split_once(':')?;
    if state != LISTENS {
        return None;
    }
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok();
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip = match address.len() {
        // Each word is in the machine's own order.
        8 => std::net::Ipv4Addr::from(word(0)?.to_ne_bytes()).into(),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index * 8)?.to_ne_bytes());
            }
            std::net::Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, time::Instant};

    #[test]
    fn a_listener_reaches_its_own_address() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        for (listener, address, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ] {
            assert_eq!(reaches(at(listener), at(address)), expected, "{listener} {address}");
        }
    }

    #[test]
    fn processes_that_come_and_go_are_noticed() {
        let (told, news) = mpsc::channel();
        let listening = Listening::new(move |address, is_there| {
            let _ = told.send((address, is_there));
        })
        .expect("a thread");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("an address");
        let elsewhere = "192.0.2.1:80".parse().expect("an address");
        assert_eq!(listening.watch([address, elsewhere]), BTreeMap::from([(address, true), (elsewhere, true)]));
        drop(socket);
        let patience = Duration::from_secs(20);
        assert_eq!(news.recv_timeout(patience), Ok((address, false)));
        let since = Instant::now();
        let again = loop {
            match TcpListener::bind(address) {
                Ok(socket) => break socket,
                Err(error) => assert!(since.elapsed() < patience, "{error}"),
            }
        };
        assert_eq!(news.recv_timeout(patience), Ok((address, true)));
        drop(again);
    }
}
