//! The processes that benches measure between. Of HTTP: upstreams, the plainest proxy that hyper allows, and the load;
//! those of bytes have a file of their own.

mod plain_bytes;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    client::conn::http1 as client,
    header::{HOST, HeaderValue},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::{rt::TokioIo, server::conn::auto};
use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener as Listener},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::{LocalSet, spawn_local},
};

/// The task that these processes are started as.
pub(crate) const TASK: &str = "bench-part";

/// Bytes of each answer's body.
pub(crate) const BODY: usize = 1024;

/// Runs one of them: until it has done what it is for, or until its standard input ends, as it does with whoever started
/// it.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    if let ["upstream" | "reader" | "plain" | "echo" | "copy", ..] = words {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        });
    }
    let done = match words {
        ["upstream"] => upstream(),
        ["reader"] => reader(),
        ["plain", upstream, workers] => match (upstream.parse(), workers.parse()) {
            (Ok(upstream), Ok(workers)) => plain(upstream, workers),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        },
        ["load", address, connections, seconds, rate] => {
            match (address.parse(), connections.parse(), seconds.parse(), rate.parse()) {
                (Ok(address), Ok(connections), Ok(seconds), Ok(rate)) => {
                    load(address, connections, Duration::from_secs(seconds), rate)
                }
                _ => Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        ["echo"] => plain_bytes::echo(),
        ["copy", upstream, workers] => match (upstream.parse(), workers.parse()) {
            (Ok(upstream), Ok(workers)) => plain_bytes::copy(upstream, workers),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        },
        ["hold", address, connections, says] => match (address.parse(), connections.parse()) {
            (Ok(address), Ok(connections)) => plain_bytes::hold(address, connections, says),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        },
        ["pour", address, connections, seconds] => match (address.parse(), connections.parse(), seconds.parse()) {
            (Ok(address), Ok(connections), Ok(seconds)) => {
                plain_bytes::pour(address, connections, Duration::from_secs(seconds))
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        },
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    done.map_err(|error| error.to_string())
}

pub(super) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// A listening socket that others may share.
pub(super) fn listen(address: SocketAddr) -> io::Result<Listener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Any port of this machine.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Answers every request alike.
fn upstream() -> io::Result<()> {
    let body = Bytes::from(vec![b'x'; BODY]);
    accept(move |stream| {
        let body = body.clone();
        let answer = service_fn(move |_: Request<Incoming>| {
            let body = body.clone();
            async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
        });
        async move {
            let _ = server::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), answer).await;
        }
    })
}

/// Reads each request before it answers, and speaks HTTP/2 with whom does. Every tenth order fails.
fn reader() -> io::Result<()> {
    let body = Bytes::from(vec![b'x'; BODY]);
    let orders = Rc::new(Cell::new(0_u32));
    accept(move |stream| {
        let (body, orders) = (body.clone(), Rc::clone(&orders));
        let answer = service_fn(move |request: Request<Incoming>| {
            let (body, orders) = (body.clone(), Rc::clone(&orders));
            async move {
                let mut response = Response::new(Full::new(body));
                if request.uri().path() == "/orders" {
                    orders.set(orders.get() + 1);
                    if orders.get().is_multiple_of(10) {
                        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    }
                }
                request.collect().await?;
                Ok::<_, hyper::Error>(response)
            }
        });
        async move {
            let _ = auto::Builder::new(OnThread).serve_connection(TokioIo::new(stream), answer).await;
        }
    })
}

/// Listens somewhere, which is printed, and serves each connection so.
fn accept<F: Future<Output = ()> + 'static>(serve: impl Fn(TcpStream) -> F) -> io::Result<()> {
    let listener = listen(ANY)?;
    println!("{}", listener.local_addr()?);
    LocalSet::new().block_on(&runtime()?, async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            spawn_local(serve(stream));
        }
    })
}

/// A proxy without routes, policies, headers of its own, limits, log or metrics: of what was tried with hyper, what took
/// least. Each worker has an event loop, and a pool of connections as simple as can be.
fn plain(upstream: SocketAddr, workers: usize) -> io::Result<()> {
    share(workers, move |listener| serve_plainly(listener, upstream))
}

/// Serves by so many threads at one address, which is printed.
pub(super) fn share(
    workers: usize,
    serve: impl Fn(Listener) -> io::Result<()> + Copy + Send + 'static,
) -> io::Result<()> {
    let first = listen(ANY)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < workers {
        listeners.push(listen(address)?);
    }
    println!("{address}");
    let threads: Vec<_> = listeners.into_iter().map(|listener| thread::spawn(move || serve(listener))).collect();
    threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
}

fn serve_plainly(listener: Listener, upstream: SocketAddr) -> io::Result<()> {
    LocalSet::new().block_on(&runtime()?, async move {
        let listener = TcpListener::from_std(listener)?;
        let pool = Pool::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let pool = Rc::clone(&pool);
            spawn_local(async move {
                let pass = service_fn(move |request| pass(Rc::clone(&pool), request, upstream));
                let _ = auto::Builder::new(OnThread).serve_connection(TokioIo::new(stream), pass).await;
            });
        }
    })
}

type Pool = Rc<RefCell<Vec<client::SendRequest<Incoming>>>>;

async fn pass(pool: Pool, mut request: Request<Incoming>, upstream: SocketAddr) -> Result<Response<Incoming>, Failed> {
    *request.version_mut() = Version::HTTP_11;
    let target = request.uri().path_and_query().cloned().ok_or("no path")?;
    *request.uri_mut() = Uri::from(target);
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, HeaderValue::from_static("upstream"));
    }
    let idle = loop {
        match pool.borrow_mut().pop() {
            Some(sender) if sender.is_closed() => {}
            other => break other,
        }
    };
    let mut sender = if let Some(sender) = idle {
        sender
    } else {
        let stream = TcpStream::connect(upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = client::handshake(TokioIo::new(stream)).await?;
        spawn_local(async move {
            let _ = driver.await;
        });
        sender
    };
    if !sender.is_ready() {
        sender.ready().await?;
    }
    let response = sender.send_request(request).await?;
    spawn_local(async move {
        if sender.ready().await.is_ok() {
            pool.borrow_mut().push(sender);
        }
    });
    Ok(response)
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Spawns on the thread at hand.
#[derive(Clone)]
struct OnThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThread {
    fn execute(&self, future: F) {
        spawn_local(async move {
            future.await;
        });
    }
}

/// Asks so many times a second in all, each connection in its turn; at a rate of 0 each again as soon as its answer is
/// whole. Prints how many answers there were. One that is not what the upstream says ends it all.
fn load(address: SocketAddr, connections: u32, lasting: Duration, rate: u32) -> io::Result<()> {
    let served = Rc::new(Cell::new(0_u64));
    let start = Instant::now();
    let all = Rc::clone(&served);
    // One request each second would be as long as that between two of one connection.
    let between = |requests: u32| Duration::from_secs(requests.into()).checked_div(rate);
    LocalSet::new().block_on(&runtime()?, async move {
        let client = |number| {
            let pace = Pace { first: start + between(number).unwrap_or_default(), between: between(connections) };
            spawn_local(ask(address, start + lasting, pace, Rc::clone(&served)))
        };
        let clients: Vec<_> = (0..connections).map(client).collect();
        for client in clients {
            client.await??;
        }
        Ok::<_, io::Error>(())
    })?;
    println!("{}", all.get());
    Ok(())
}

/// When a connection asks.
struct Pace {
    first: Instant,
    /// From one request to the next; none: as soon as an answer is whole.
    between: Option<Duration>,
}

async fn ask(address: SocketAddr, until: Instant, pace: Pace, served: Rc<Cell<u64>>) -> io::Result<()> {
    const REQUEST: &[u8] = b"GET /catalogue/items?page=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1\r\n\
        Accept: */*\r\nAccept-Encoding: gzip\r\n\r\n";
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4 * BODY);
    let mut next = pace.first;
    while Instant::now() < until {
        if let Some(between) = pace.between {
            tokio::time::sleep_until(next.into()).await;
            next += between;
        }
        stream.write_all(REQUEST).await?;
        buffer.clear();
        let end = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::Error::other("a connection was closed"));
            }
            if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !buffer.starts_with(b"HTTP/1.1 200 ") {
            return Err(io::Error::other(String::from_utf8_lossy(&buffer).into_owned()));
        }
        while buffer.len() < end + BODY {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::Error::other("an answer was cut"));
            }
        }
        served.set(served.get() + 1);
    }
    Ok(())
}
