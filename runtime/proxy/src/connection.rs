//! One client connection: what it is, by its first bytes, and then its requests, each on its own, whatever becomes of
//! the others; or its bytes.

use crate::{
    ends::Ends,
    exchange,
    first_bytes::{First, Rewound, Sought, look},
    idle::{Activity, Overdue, Watched},
    listener::OpenListener,
    options::Limits,
    original::OriginalDestination,
    pool::{MINIMUM_BUFFER, USUAL_HEADERS},
    proxied,
    reply::Reply,
    running::{Running, Shared},
    sidecar::{self, Way},
    socket::Socket,
    tcp, tcp_record,
    tls::forwarded_cert,
    worker::{Attached, Local, OnWorker},
};
use http::{HeaderValue, Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use malha_table::{
    Role,
    view::{Chain, Connection, Filter},
};
use std::{
    future::{Future, poll_fn},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{oneshot, watch},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A connection's share of its listener's limit.
pub(crate) struct Held {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: Arc<OpenListener>,
}

impl Held {
    /// None where the listener has as many connections as it may.
    pub(crate) fn new(shared: &Arc<Shared>, listener: &Arc<OpenListener>, limit: usize) -> Option<Self> {
        let held = Held { shared: Arc::clone(shared), listener: Arc::clone(listener) };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        listener.accepted.fetch_add(1, Ordering::Relaxed);
        let before = listener.connections.fetch_add(1, Ordering::Relaxed);
        (before < limit).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Stands for the address of an end that has none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What is known of a client from its connection.
#[derive(Debug)]
pub(crate) struct Client {
    /// Who it is: whom a header of the PROXY protocol names, else whoever opened the connection.
    pub(crate) peer: SocketAddr,
    /// Its IP address, as headers tell it.
    pub(crate) address: HeaderValue,
    /// Who opened the connection.
    pub(crate) direct: SocketAddr,
    /// Where that one connected to.
    pub(crate) local: SocketAddr,
    pub(crate) tls: Option<ClientTls>,
    /// Where it meant to connect to, where that is known of a client of the mesh.
    pub(crate) original: Option<OriginalDestination>,
    /// The client and where it connected to, as log lines have them.
    pub(crate) ends: Rc<Ends>,
}

impl Client {
    /// One whose connection perhaps has no addresses: it came by a socket without any.
    fn with_ends(peer: Option<SocketAddr>, local: Option<SocketAddr>, tls: Option<ClientTls>) -> Self {
        match (peer, local) {
            (Some(peer), Some(local)) => Client::new(peer, local, tls),
            _ => Client {
                address: HeaderValue::from_static(""),
                ends: Ends::new(None, None),
                ..Client::new(NOWHERE, NOWHERE, tls)
            },
        }
    }

    pub(crate) fn new(peer: SocketAddr, local: SocketAddr, tls: Option<ClientTls>) -> Self {
        let ends = Ends::new(Some(peer), Some(local));
        Client { peer, address: address_of(peer), direct: peer, local, tls, original: None, ends }
    }

    /// The same, if it is not told otherwise ahead of its bytes.
    pub(crate) fn told_as(self, told: Option<proxied::Told>) -> Self {
        let Some(proxied::Told { source, destination }) = told else { return self };
        let ends = Ends::new(Some(source), Some(destination));
        Client { peer: source, address: address_of(source), ends, ..self }
    }

    /// Where it connected to, as far as is told.
    pub(crate) fn destination(&self) -> SocketAddr {
        self.ends.local.unwrap_or(self.local)
    }

    /// One of the mesh that meant to connect to `original`: as far as that names an IP address, a sidecar in a cluster
    /// takes it for where it did.
    pub(crate) fn of_mesh(peer: SocketAddr, local: SocketAddr, original: OriginalDestination) -> Self {
        let local = original.ip().map_or(local, |ip| SocketAddr::new(ip, original.port()));
        Client { original: Some(original), ..Client::new(peer, local, None) }
    }
}

/// As headers tell it.
fn address_of(peer: SocketAddr) -> HeaderValue {
    // An address is made of what headers may hold.
    HeaderValue::try_from(peer.ip().to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// What is known of a client that speaks TLS, where it ends here.
#[derive(Debug)]
pub(crate) struct ClientTls {
    pub(crate) server_name: Option<String>,
    /// What `x-forwarded-client-cert` says of its certificate, if it showed one.
    pub(crate) certificate: Option<String>,
}

/// Serves a connection until the client closes it or its listener does.
pub(crate) async fn serve(local: Rc<Local>, mut stream: Socket, peer: Option<SocketAddr>, held: Held) {
    stream.send_at_once();
    let (_, address) = stream.ends();
    let mut closing = held.listener.closing.subscribe();
    let running = local.running();
    if let Some(original) = running.place(held.listener.id).and_then(|place| place.forward.clone()) {
        drop(running);
        let client = Client::of_mesh(peer.unwrap_or(NOWHERE), address.unwrap_or(NOWHERE), original);
        return sidecar::serve(&local, &Rc::new(held), client, stream).await;
    }
    let requires_header = running.requires_proxy_protocol(held.listener.id);
    let patience = local.shared.options.limits.hello_timeout;
    let told = match &mut stream {
        Socket::Tcp(stream) if requires_header => {
            let told = tokio::select! {
                told = within(patience, proxied::take(stream)) => told,
                _ = closing.wait_for(|&is_closing| is_closing) => return,
            };
            let Ok(told) = told else { return };
            told
        }
        // Nobody tells it there.
        _ if requires_header => return,
        _ => None,
    };
    let client = |tls: Option<ClientTls>| Client::with_ends(peer, address, tls).told_as(told);
    let entered = tokio::select! {
        entered = Box::pin(enter(&running, &held.listener, &local.shared.options.limits, stream)) => entered,
        _ = closing.wait_for(|&is_closing| is_closing) => return,
    };
    let Ok(Some(entered)) = entered else { return };
    drop(running);
    let held = Rc::new(held);
    match entered {
        Entered::Plain(stream, is_http2) => {
            let client = Rc::new(client(None));
            Box::pin(http(&local, &held, client, stream, is_http2)).await;
        }
        Entered::Tls(stream, tls, is_http2) => {
            let client = Rc::new(client(Some(tls)));
            Box::pin(http(&local, &held, client, *stream, is_http2)).await;
        }
        Entered::Fallen(way, server_name, stream) => {
            let tls = server_name.map(|name| ClientTls { server_name: Some(name), certificate: None });
            let client = Rc::new(client(tls));
            sidecar::take(&local, &held, client, way, stream, closing).await;
        }
        Entered::Bytes(running, route, stream) => {
            let tls = route.server_name.clone().map(|name| ClientTls { server_name: Some(name), certificate: None });
            let client = Rc::new(client(tls));
            bytes(&local, running, &route, (&held.listener, &client), stream, closing).await;
        }
        // It is told of before its client hears that it is closed.
        Entered::Unmatched(server_name, _stream) => {
            let tls = server_name.map(|name| ClientTls { server_name: Some(name), certificate: None });
            tcp_record::unmatched(&local, &held.listener, client(tls));
        }
    }
}

/// What a connection turned out to be.
enum Entered {
    /// HTTP; true: HTTP/2.
    Plain(Rewound<Socket>, bool),
    /// HTTP in TLS that ends here.
    Tls(Box<TlsStream<Rewound<Socket>>>, ClientTls, bool),
    /// Bytes to pass on, by the route of a filter chain (listener's and chain's place) of the table then in force.
    Bytes(Arc<Running>, ChainPlace, Box<dyn Bytes>),
    /// What no filter chain takes, with the name that its client asked for.
    Unmatched(Option<String>, Rewound<Socket>),
    /// The same of a sidecar, which has a way for it.
    Fallen(Way, Option<String>, Rewound<Socket>),
}

/// Where a filter chain is in its table.
pub(crate) struct ChainPlace {
    pub(crate) proxy: usize,
    pub(crate) listener: usize,
    pub(crate) chain: u32,
    /// What its client asked for, where it spoke TLS.
    pub(crate) server_name: Option<String>,
}

/// Bytes both ways.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Bytes for S {}

/// Looks at the first bytes, chooses a filter chain by them, and ends TLS if that is where it ends (semantics A.7).
/// None: the connection is closed without a word.
async fn enter(
    running: &Arc<Running>,
    listener: &OpenListener,
    limits: &Limits,
    stream: Socket,
) -> std::io::Result<Option<Entered>> {
    let Some(place) = running.place(listener.id) else { return Ok(None) };
    let proxy = running.table.proxies().get(place.proxy);
    let Some((index, view)) = place.listener.zip(proxy).and_then(|(at, proxy)| Some((at, proxy.listeners().get(at)?)))
    else {
        // A sidecar's requests name their listeners themselves.
        let seen = within(limits.header_read_timeout, look(stream, Sought::default())).await?;
        return Ok(seen.map(|(first, stream)| Entered::Plain(stream, first == First::Http2)));
    };
    let speaks_tls = view.speaks_tls();
    let place_of = |chain: &Chain<'_>, server_name: Option<String>| {
        let chain = chain.index();
        ChainPlace { proxy: place.proxy, listener: index, chain, server_name }
    };
    if !speaks_tls
        && let Some(chain) = view.select_chain(&Connection::default())
        && let Some(Filter::Tcp(_)) = chain.filter()
    {
        // The server may be the one who speaks first.
        let stream = Box::new(Rewound::new(bytes::Bytes::new(), stream));
        return Ok(Some(Entered::Bytes(Arc::clone(running), place_of(&chain, None), stream)));
    }
    let patience = if speaks_tls { limits.hello_timeout } else { limits.header_read_timeout };
    let looking = look(stream, Sought { tls: speaks_tls, ..Sought::default() });
    let Some((first, stream)) = within(patience, looking).await? else { return Ok(None) };
    let hello = match &first {
        First::Tls(hello) => Some(hello.clone()),
        First::Http1 | First::Http2 | First::Other => None,
    };
    let connection = Connection {
        is_tls: hello.is_some(),
        server_name: hello.as_ref().and_then(|hello| hello.server_name.as_deref()),
        is_plain_http: hello.is_none(),
        ..Connection::default()
    };
    let Some(chain) = view.select_chain(&connection) else {
        let server_name = hello.and_then(|hello| hello.server_name);
        return Ok(Some(match place.role {
            Role::Gateway => Entered::Unmatched(server_name, stream),
            Role::Sidecar => Entered::Fallen(Way::of(view.fallback(), running, place), server_name, stream),
        }));
    };
    let (Some(filter), termination) = (chain.filter(), chain.termination()) else { return Ok(None) };
    let (stream, tls) = match (termination, hello) {
        (None, None) => match filter {
            Filter::Http(_) => return Ok(Some(Entered::Plain(stream, first == First::Http2))),
            Filter::Tcp(_) => {
                return Ok(Some(Entered::Bytes(Arc::clone(running), place_of(&chain, None), Box::new(stream))));
            }
        },
        (None, Some(hello)) => match filter {
            // A codec for plain HTTP makes nothing of TLS.
            Filter::Http(_) => return Ok(None),
            Filter::Tcp(_) => {
                let place = place_of(&chain, hello.server_name);
                return Ok(Some(Entered::Bytes(Arc::clone(running), place, Box::new(stream))));
            }
        },
        (Some(_), None) => return Ok(None),
        (Some(ends), Some(hello)) => {
            let proxy = running.table.proxies().get(place.proxy);
            let ends = proxy.and_then(|proxy| running.terminations.get(&proxy, &ends));
            let Some(Ok(ends)) = ends else { return Ok(None) };
            let acceptor = TlsAcceptor::from(ends.config(&hello.protocols));
            (within(limits.handshake_timeout, acceptor.accept(stream)).await?, hello)
        }
    };
    if let Filter::Tcp(_) = filter {
        let place = place_of(&chain, tls.server_name);
        return Ok(Some(Entered::Bytes(Arc::clone(running), place, Box::new(stream))));
    }
    let (_, session) = stream.get_ref();
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let certificate = session.peer_certificates().and_then(|chain| forwarded_cert(chain.first()?));
    let client = ClientTls { server_name: tls.server_name, certificate };
    Ok(Some(Entered::Tls(Box::new(stream), client, is_http2)))
}

/// What comes within a time.
async fn within<T>(limit: Duration, work: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// Passes bytes on until both sides have ended, or have had their time since the listener closed; as the table says, which
/// need not stay for that.
pub(crate) async fn bytes(
    local: &Rc<Local>,
    running: Arc<Running>,
    place: &ChainPlace,
    client: (&Arc<OpenListener>, &Rc<Client>),
    stream: Box<dyn Bytes>,
    closing: watch::Receiver<bool>,
) {
    let taken = {
        let proxy = running.table.proxies().get(place.proxy);
        let listener = proxy.and_then(|proxy| proxy.listeners().get(place.listener));
        let chain = listener.and_then(|listener| listener.chains().find(|chain| chain.index() == place.chain));
        let Some(Filter::Tcp(route)) = chain.and_then(|chain| chain.filter()) else { return };
        tcp::take(local, &running, &route, client)
    };
    drop(running);
    let Some(taken) = taken else { return };
    tokio::select! {
        () = taken.pass(local, client.1, stream) => {}
        () = drained(local, closing) => {}
    }
}

/// Waits until bytes have no more time since their listener closed. When all of the proxy ends they have as long as that
/// waits for what is open.
pub(crate) async fn drained(local: &Local, mut closing: watch::Receiver<bool>) {
    // Whose listener is gone is served as if it had closed.
    let _ = closing.wait_for(|&is_closing| is_closing).await;
    // In a place of its own, made when it is wanted: open connections are many.
    Box::pin(tokio::time::sleep(local.shared.options.limits.drain_time)).await;
    if local.shared.draining.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Serves requests until either side closes.
pub(crate) async fn http(
    local: &Rc<Local>,
    held: &Rc<Held>,
    client: Rc<Client>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    is_http2: bool,
) {
    let activity = Activity::new(is_http2);
    let service = service_fn(|mut request: Request<Incoming>| {
        if request.method() == http::Method::CONNECT {
            request.extensions_mut().insert(Arc::clone(&activity));
        }
        let busy = activity.begin();
        // It is large, and made where it stays: not to be copied there, nor each time that it is passed on from here.
        let place = Box::new_uninit();
        let work = exchange::exchange(Rc::clone(local), Rc::clone(held), Rc::clone(&client), request);
        let work = guarded(Rc::clone(local), Box::into_pin(Box::write(place, work)));
        async move {
            let mut response = work.await?;
            response.body_mut().keep_busy(busy);
            Ok::<_, exchange::ClientGone>(response)
        }
    });
    let limits = &local.shared.options.limits;
    let (_watch, ends) = watch_end(local, held, &activity);
    // Whether the connection may still end in good order. Nothing is heard of a watch that is gone: it goes with this.
    let ends = async { ends.await.unwrap_or(true) };
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    // What a client sends wrong has been answered; what it breaks off needs no answer.
    if is_http2 {
        let mut builder = http2::Builder::new(OnWorker);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let mut connection = pin!(builder.serve_connection(stream, service));
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            is_orderly = ends => if is_orderly { connection.as_mut().graceful_shutdown() } else { return },
        }
        tokio::select! {
            _ = connection => {}
            () = activity.stays(limits) => {}
        }
    } else {
        let mut builder = http1::Builder::new();
        builder
            // All of it is watched here, without a timer for each request.
            .header_read_timeout(None)
            .max_header_size(limits.header_bytes)
            .max_buf_size(limits.header_bytes.max(MINIMUM_BUFFER));
        if limits.headers != USUAL_HEADERS {
            builder.max_headers(limits.headers);
        }
        let mut connection = pin!(builder.serve_connection(stream, service).with_upgrades());
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            is_orderly = ends => if is_orderly { connection.as_mut().graceful_shutdown() } else { return },
        }
        tokio::select! {
            _ = connection => {}
            () = activity.stays(limits) => {}
        }
    }
}

/// Watches for the end of a connection: its listener closes (true), or it is overdue (whether it was merely idle). A task
/// of its own, so that what is watched is not looked at again with each piece that comes; it ends with the value.
fn watch_end(local: &Rc<Local>, held: &Rc<Held>, activity: &Arc<Activity>) -> (Attached, oneshot::Receiver<bool>) {
    let (tell, told) = oneshot::channel();
    let (local, activity) = (Rc::clone(local), Arc::clone(activity));
    let mut closing = held.listener.closing.subscribe();
    let task = tokio::task::spawn_local(async move {
        let is_orderly = tokio::select! {
            _ = closing.wait_for(|&is_closing| is_closing) => true,
            overdue = activity.overdue(&local.shared.options.limits) => overdue == Overdue::Idle,
        };
        // Nobody is there to hear it where the connection has just ended.
        let _ = tell.send(is_orderly);
    });
    (Attached(task.abort_handle()), told)
}

/// What a client may send of one body before anybody has read it.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The same of all bodies of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Streams that a client may open and reset before they are looked at; past it the connection is closed.
const PENDING_RESETS: usize = 20;

/// How often a silent client is asked whether it is there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the work on one request; if it panics, that is this request's 500, and nobody else's.
async fn guarded<E>(
    local: Rc<Local>,
    work: impl Future<Output = Result<Response<Reply>, E>> + Unpin,
) -> Result<Response<Reply>, E> {
    if let Some(outcome) = caught(work).await {
        return outcome;
    }
    local.metrics().panics.fetch_add(1, Ordering::Relaxed);
    let mut response = Response::new(Reply::own("".into(), |_| {}));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    Ok(response)
}

/// What the work comes to; none if it panics.
async fn caught<W: Future + Unpin>(mut work: W) -> Option<W::Output> {
    poll_fn(|context| {
        // Put here at once, since it is large.
        let mut outcome = None;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if let Poll::Ready(ready) = Pin::new(&mut work).poll(context) {
                outcome = Some(ready);
            }
        }));
        match polled {
            Ok(()) if outcome.is_none() => Poll::Pending,
            Ok(()) => Poll::Ready(outcome),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_where_it_happens() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let calm = async {
            tokio::task::yield_now().await;
            7
        };
        let panics = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "on purpose");
        };
        assert_eq!(runtime.block_on(caught(pin!(calm))), Some(7));
        assert_eq!(runtime.block_on(caught(pin!(panics))), None);
    }
}
