//! The processes that `bench tcp` and `bench connections` measure between: an upstream that sends back what comes, the
//! plainest proxy of bytes, a client with many idle connections, and one that pours bytes through some.

use super::{ANY, listen, runtime, share};
use std::{
    cell::Cell,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener as Listener},
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
};

/// Bytes that are read and written at once by what is not measured.
const PIECE: usize = 64 * 1024;

/// Sends back what comes.
pub(super) fn echo() -> io::Result<()> {
    let listener = listen(ANY)?;
    println!("{}", listener.local_addr()?);
    LocalSet::new().block_on(&runtime()?, async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            spawn_local(async move {
                let _ = send_back(stream).await;
            });
        }
    })
}

/// Holds memory only while there are bytes: of idle connections there may be many.
async fn send_back(mut stream: TcpStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            piece.clear();
            match stream.try_read_buf(&mut piece) {
                Ok(0) => return stream.shutdown().await,
                Ok(_) => stream.write_all(&piece).await?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}

/// A proxy that does nothing but copy, with tokio's own loop for it, in event loops like those of `malha-proxy`.
pub(super) fn copy(upstream: SocketAddr, workers: usize) -> io::Result<()> {
    share(workers, move |listener| copy_each(listener, upstream))
}

fn copy_each(listener: Listener, upstream: SocketAddr) -> io::Result<()> {
    LocalSet::new().block_on(&runtime()?, async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (mut client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            spawn_local(async move {
                let mut upstream = TcpStream::connect(upstream).await?;
                upstream.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut upstream).await
            });
        }
    })
}

/// Opens so many connections, has something go both ways on each, says so, and keeps them open.
pub(super) fn hold(address: SocketAddr, connections: usize, says: &str) -> io::Result<()> {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    let says = if says == "requests" { REQUEST } else { b"a few bytes" };
    let mut held = Vec::with_capacity(connections);
    let mut answer = vec![0; PIECE];
    for _ in 0..connections {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(says)?;
        let mut had = 0;
        while !is_answer(says, answer.get(..had).unwrap_or_default())? {
            match stream.read(answer.get_mut(had..).unwrap_or_default())? {
                0 => return Err(io::Error::other("a connection was closed")),
                more => had += more,
            }
        }
        held.push(stream);
    }
    println!("{} are open", held.len());
    // Until this process is ended, or whoever started it has gone.
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}

/// Whether these are a whole answer.
fn is_answer(to: &[u8], bytes: &[u8]) -> io::Result<bool> {
    if !to.starts_with(b"GET ") {
        return Ok(bytes == to);
    }
    if bytes.len() >= 13 && !bytes.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other(String::from_utf8_lossy(bytes).into_owned()));
    }
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    Ok(head.is_some_and(|head| bytes.len() >= head + 4 + super::BODY))
}

/// Sends on each connection as fast as it goes, for so long, and reads all of it again; prints how many bytes came back in
/// how many microseconds.
pub(super) fn pour(address: SocketAddr, connections: usize, lasting: Duration) -> io::Result<()> {
    let received = Rc::new(Cell::new(0_u64));
    let (all, started) = (Rc::clone(&received), Instant::now());
    LocalSet::new().block_on(&runtime()?, async move {
        let until = started + lasting;
        let clients: Vec<_> =
            (0..connections).map(|_| spawn_local(pour_through(address, until, Rc::clone(&received)))).collect();
        for client in clients {
            client.await??;
        }
        Ok::<_, io::Error>(())
    })?;
    println!("{} {}", all.get(), started.elapsed().as_micros());
    Ok(())
}

async fn pour_through(address: SocketAddr, until: Instant, received: Rc<Cell<u64>>) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut from, mut to) = stream.into_split();
    let sending = spawn_local(async move {
        let (piece, mut sent) = (vec![7; PIECE], 0_u64);
        while Instant::now() < until {
            to.write_all(&piece).await?;
            sent += PIECE as u64;
        }
        to.shutdown().await?;
        Ok::<_, io::Error>(sent)
    });
    let (mut piece, mut own) = (vec![0; PIECE], 0);
    loop {
        let length = from.read(&mut piece).await? as u64;
        if length == 0 {
            break;
        }
        own += length;
        received.set(received.get() + length);
    }
    let sent = sending.await??;
    if own == sent { Ok(()) } else { Err(io::Error::other(format!("{own} of {sent} bytes came back"))) }
}
