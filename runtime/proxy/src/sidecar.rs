//! Connections whose original destination is known, treated as a sidecar in a cluster treats those that it intercepts:
//! which listener and filter chain takes one, and what becomes of it (semantics B.6, B36, E21).

use crate::{
    connection::{Bytes, ChainPlace, Client, ClientTls, Held, bytes, drained, http},
    first_bytes::{First, Rewound, Sought, look},
    original::OriginalDestination,
    plan::Place,
    running::Running,
    tcp, tcp_record,
    worker::Local,
};
use malha_table::view::{Connection, Fallback, Filter};
use std::{rc::Rc, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

/// Serves such a connection until either side, or its listener, closes it.
pub(crate) async fn serve<S>(local: &Rc<Local>, held: &Rc<Held>, client: Client, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut closing = held.listener.closing.subscribe();
    let entered = tokio::select! {
        entered = enter(local, held, &client, stream) => entered,
        _ = closing.wait_for(|&is_closing| is_closing) => return,
    };
    let Ok(Some((way, server_name, stream))) = entered else { return };
    let tls = server_name.map(|name| ClientTls { server_name: Some(name), certificate: None });
    let client = Rc::new(Client { tls, ..client });
    take(local, held, client, way, stream, closing).await;
}

/// Does with a connection what becomes of it.
pub(crate) async fn take<S>(
    local: &Rc<Local>,
    held: &Rc<Held>,
    client: Rc<Client>,
    way: Way,
    stream: S,
    closing: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match way {
        Way::Http { is_http2 } => http(local, held, client, stream, is_http2).await,
        Way::Chain(running, place) => {
            let stream: Box<dyn Bytes> = Box::new(stream);
            bytes(local, running, &place, (&held.listener, &client), stream, closing).await;
        }
        Way::EgressProxy(running, place) => {
            let taken = {
                let proxy = running.table.proxies().get(place);
                let named = proxy.and_then(|proxy| proxy.egress_proxy());
                let Some(named) = named else { return };
                tcp::take(local, &running, &named.bytes, (&held.listener, &client))
            };
            drop(running);
            let Some(taken) = taken else { return };
            tokio::select! {
                () = taken.pass(local, &client, stream) => {}
                () = drained(local, closing) => {}
            }
        }
        Way::Outside => {
            tokio::select! {
                () = tcp::pass_outside(local, (&held.listener, &client), stream) => {}
                () = drained(local, closing) => {}
            }
        }
        Way::Blackhole => tcp::refuse_outside(local, (&held.listener, &client)),
        Way::Unmatched => tcp_record::unmatched(local, &held.listener, client),
    }
}

/// What becomes of a connection.
pub(crate) enum Way {
    Http {
        is_http2: bool,
    },
    /// That of the table by which it was chosen.
    Chain(Arc<Running>, ChainPlace),
    Outside,
    Blackhole,
    /// To that of the proxy of this index.
    EgressProxy(Arc<Running>, usize),
    /// That of what no filter chain takes.
    Unmatched,
}

impl Way {
    /// Of a connection that no listener or no filter chain takes.
    pub(crate) fn of(fallback: Fallback, running: &Arc<Running>, place: &Place) -> Way {
        match fallback {
            Fallback::EgressProxy => Way::EgressProxy(Arc::clone(running), place.proxy),
            Fallback::Close => Way::Unmatched,
            Fallback::Passthrough => Way::Outside,
            Fallback::Blackhole => Way::Blackhole,
        }
    }
}

type Entered<S> = (Way, Option<String>, Rewound<S>);

/// Chooses listener and filter chain, after a look at the first bytes where chains ask for them: a server that speaks
/// first must not be waited for in vain. While they are waited for, another table may come into force: that one counts.
/// None: the connection is closed without a word.
async fn enter<S>(local: &Local, held: &Held, client: &Client, stream: S) -> std::io::Result<Option<Entered<S>>>
where
    S: AsyncRead + Unpin,
{
    let Some(original) = &client.original else { return Ok(None) };
    let (first, stream) = match sought(local, held, original) {
        None => (First::Other, Rewound::new(bytes::Bytes::new(), stream)),
        Some(sought) => match look(stream, sought).await? {
            Some(seen) => seen,
            None => return Ok(None),
        },
    };
    let running = local.running();
    let Some(place) = running.place(held.listener.id) else { return Ok(None) };
    let Some(proxy) = running.table.proxies().get(place.proxy) else { return Ok(None) };
    let (is_http2, is_http) = (first == First::Http2, matches!(first, First::Http1 | First::Http2));
    let (is_tls, server_name) = match first {
        First::Tls(hello) => (true, hello.server_name),
        First::Http1 | First::Http2 | First::Other => (false, None),
    };
    let Some(listener) = original.listener(&proxy) else {
        return Ok(Some((Way::of(proxy.fallback(), &running, place), server_name, stream)));
    };
    if listener.rejected().is_some() {
        return Ok(None);
    }
    let connection = Connection {
        destination: original.address(&listener),
        is_tls,
        server_name: server_name.as_deref(),
        is_plain_http: is_http,
    };
    let way = match listener.select_chain(&connection) {
        None => Some(Way::of(listener.fallback(), &running, place)),
        Some(chain) => match chain.filter() {
            // A codec for plain HTTP makes nothing of TLS.
            Some(Filter::Http(_)) => (!is_tls).then_some(Way::Http { is_http2 }),
            Some(Filter::Tcp(_)) => {
                let at = proxy.listeners().position(|other| other.index() == listener.index());
                let (proxy, chain, server_name) = (place.proxy, chain.index(), server_name.clone());
                let place = |listener| ChainPlace { proxy, listener, chain, server_name };
                at.map(|at| Way::Chain(Arc::clone(&running), place(at)))
            }
            None => None,
        },
    };
    Ok(way.map(|way| (way, server_name, stream)))
}

/// What the chains of a connection's listener ask of its first bytes; none: nothing. Without a `protocolDetectionTimeout`
/// Istio waits for them as long as it takes. Where HTTP alone may be, which version it is must be seen, too.
fn sought(local: &Local, held: &Held, original: &OriginalDestination) -> Option<Sought> {
    let running = local.running();
    let proxy = running.table.proxies().get(running.place(held.listener.id)?.proxy)?;
    let listener = original.listener(&proxy).filter(|listener| listener.rejected().is_none())?;
    let http1 = listener.chains().any(|chain| chain.is_inspected());
    let options = &local.shared.options;
    let patience = options.protocol_detection_timeout.unwrap_or(options.limits.client_idle_timeout);
    if http1 || listener.speaks_tls() {
        return Some(Sought { tls: true, http1, patience: Some(patience) });
    }
    let unseen = Connection { destination: original.address(&listener), ..Connection::default() };
    let is_http = matches!(listener.select_chain(&unseen)?.filter(), Some(Filter::Http(_)));
    is_http.then_some(Sought { patience: Some(options.limits.client_idle_timeout), ..Sought::default() })
}
