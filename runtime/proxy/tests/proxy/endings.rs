//! How connections of plain bytes end: when either side is closed, reset or killed, the other hears of it within a second,
//! and what ends in one direction goes on in the other.

use crate::{
    common::{
        Running,
        client::{connect, has_ended, in_time},
        options,
        plain::serving,
        start,
    },
    tcp::{PLAIN, table},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

const RULES: &str = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]";

fn gateway(upstream: SocketAddr) -> Running {
    start(table(PLAIN, RULES, &[upstream], &[]), options())
}

/// An upstream whose connections are the test's to serve.
fn handed_over() -> (SocketAddr, Receiver<TcpStream>) {
    let (hand, handed) = channel();
    let address = serving(move |stream| {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Nobody may want it any more.
        let _ = hand.send(stream);
    });
    (address, handed)
}

/// Both ends of a connection through a proxy, over which something has gone both ways.
fn both_ends(proxy: SocketAddr, upstream: &Receiver<TcpStream>) -> (TcpStream, TcpStream) {
    let mut client = connect(proxy);
    let mut upstream = upstream.recv_timeout(Duration::from_secs(10)).expect("a connection");
    say(&mut client, &mut upstream);
    say(&mut upstream, &mut client);
    (client, upstream)
}

/// Something goes from one end to the other.
fn say(from: &mut TcpStream, to: &mut TcpStream) {
    let mut heard = [0; 5];
    from.write_all(b"hello").unwrap();
    in_time(to.read_exact(&mut heard)).unwrap();
    assert_eq!(&heard, b"hello");
}

/// Ends a connection by a reset.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Asserts that this end hears within a second that the other was ended just now.
fn hears(stream: &mut TcpStream, since: Instant, what: &str) {
    assert!(has_ended(stream), "{what}");
    assert!(since.elapsed() < Duration::from_secs(1), "{what}: {:?}", since.elapsed());
}

#[test]
fn each_end_hears_of_the_others_end_and_of_its_reset() {
    let (address, upstreams) = handed_over();
    let proxy = gateway(address);
    for (how, end) in [("closed", drop as fn(TcpStream)), ("reset", reset)] {
        let (client, mut upstream) = both_ends(proxy.gateway(5432), &upstreams);
        let since = Instant::now();
        end(client);
        hears(&mut upstream, since, &format!("the client was {how}"));
        let (mut client, upstream) = both_ends(proxy.gateway(5432), &upstreams);
        let since = Instant::now();
        end(upstream);
        hears(&mut client, since, &format!("the upstream was {how}"));
    }
}

#[test]
fn what_has_ended_one_way_goes_on_the_other_way() {
    let (address, upstreams) = handed_over();
    let proxy = gateway(address);
    let much = vec![7; 1 << 20];
    for client_ends_first in [true, false] {
        let (client, upstream) = both_ends(proxy.gateway(5432), &upstreams);
        let (mut first, mut second) = if client_ends_first { (client, upstream) } else { (upstream, client) };
        first.shutdown(Shutdown::Write).unwrap();
        let since = Instant::now();
        hears(&mut second, since, "half of it has ended");
        for _ in 0..3 {
            say(&mut second, &mut first);
        }
        let (bytes, mut read) = (much.clone(), Vec::new());
        let sending = std::thread::spawn(move || {
            second.write_all(&bytes).unwrap();
            // The last that is said is not lost for the end that follows at once.
            drop(second);
        });
        in_time(first.read_to_end(&mut read)).unwrap();
        sending.join().unwrap();
        assert!(read == much, "{} bytes", read.len());
    }
}

#[test]
fn a_reset_of_one_that_has_half_ended_is_told_too() {
    let (address, upstreams) = handed_over();
    let proxy = gateway(address);
    for client_breaks in [true, false] {
        let (client, upstream) = both_ends(proxy.gateway(5432), &upstreams);
        let (mut breaks, mut other) = if client_breaks { (client, upstream) } else { (upstream, client) };
        other.shutdown(Shutdown::Write).unwrap();
        assert!(has_ended(&mut breaks));
        let since = Instant::now();
        reset(breaks);
        hears(&mut other, since, "the side that was still sending was reset");
    }
}

/// `malha-proxy` is a process like others, with a client on one side and an upstream on the other: it stands between two
/// proxies, and is killed.
#[cfg(unix)]
mod killed {
    use super::*;
    use crate::common::{plain, process::Process};
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    /// A chain: a proxy, the process, a proxy.
    fn chain(upstream: SocketAddr) -> (Running, Process, Running, tempfile::TempDir) {
        let last = gateway(upstream);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mesh.table");
        std::fs::write(&path, table(PLAIN, RULES, &[last.gateway(5432)], &[]).as_bytes()).unwrap();
        let process = Process::start(&path);
        let first = gateway(process.gateway());
        (first, process, last, directory)
    }

    /// By SIGKILL; the system has closed its sockets when this returns.
    fn kill(process: &mut Process) -> Instant {
        let since = Instant::now();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        since
    }

    #[test]
    fn a_process_that_is_killed_ends_what_it_was_connected_to_on_both_sides() {
        let (address, upstreams) = handed_over();
        let (first, mut process, _last, _directory) = chain(address);
        let (mut client, mut upstream) = both_ends(first.gateway(5432), &upstreams);
        let since = kill(&mut process);
        hears(&mut client, since, "the upstream's process was killed");
        hears(&mut upstream, since, "the client's process was killed");
    }

    #[test]
    fn a_process_that_is_killed_amid_bytes_does_so_too() {
        // Sends and reads all the time, until either comes to nothing.
        let busy = |mut stream: TcpStream, goes: &AtomicBool| {
            let mut sending = stream.try_clone().unwrap();
            let writer = std::thread::spawn(move || {
                let piece = vec![7; 1 << 16];
                while sending.write_all(&piece).is_ok() {}
                let _ = sending.shutdown(Shutdown::Both);
                Instant::now()
            });
            let mut piece = vec![0; 1 << 16];
            while matches!(in_time(stream.read(&mut piece)), Ok(1..)) {
                goes.store(true, Ordering::Relaxed);
            }
            let read = Instant::now();
            let _ = stream.shutdown(Shutdown::Both);
            read.max(writer.join().unwrap())
        };
        let (tell, told) = channel();
        let upstream = plain::serving(move |stream| {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // Nobody may listen any more.
            let _ = tell.send(busy(stream, &AtomicBool::new(false)));
        });
        let (first, mut process, _last, _directory) = chain(upstream);
        let client = connect(first.gateway(5432));
        let goes = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&goes);
        let client = std::thread::spawn(move || busy(client, &seen));
        crate::common::wait_for("bytes to go both ways", || goes.load(Ordering::Relaxed));
        let since = kill(&mut process);
        for ended in [client.join().unwrap(), told.recv_timeout(Duration::from_secs(10)).expect("the upstream's end")] {
            let took = ended.saturating_duration_since(since);
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
    }
}
