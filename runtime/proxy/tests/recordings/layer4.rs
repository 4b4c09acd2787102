//! Recorded connections that come to no HTTP: bytes, TLS that is passed on, and of mesh clients what goes nowhere. What
//! became of one is read off its line in the access log.

use crate::{
    common::{
        client::{Client, Duplex, connect, tunnel},
        lines::Lines,
        tls::Speaker,
    },
    http_bytes, line,
};
use malha_proxy::OriginalDestination;
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use serde_json::Value;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
};

/// Where connections go of which is recorded only that they were let go: to this machine, where nobody is.
const NOWHERE: &str = "127.83.12.7";

/// Where they go of which nothing is recorded.
const ANYWHERE: &str = "192.0.2.1";

/// Where the client of a recorded request meant to connect to.
pub(crate) fn destination(request: &Value, unknown: &str) -> Option<String> {
    let port = request["port"].as_u64()?;
    let named = |host: &str| Some(format!("{host}:{port}")).filter(|it| it.parse::<OriginalDestination>().is_ok());
    if let Some(address) = request["dest"].as_str() {
        return named(address);
    }
    let host = request["authority"].as_str().map(malha_table::http::host_key);
    host.and_then(|host| named(&host)).or_else(|| named(unknown))
}

/// Where a client of HTTP did.
pub(crate) fn http_destination(request: &Value) -> Option<String> {
    destination(request, ANYWHERE)
}

/// Where a client connects to.
pub(crate) enum Entrance<'a> {
    /// The sidecar of this address, by CONNECT.
    Sidecar(SocketAddr),
    /// The listener of a gateway; and who speaks TLS to it where that ends there.
    Gateway(SocketAddr, &'a Speaker<'a>),
}

/// A connection, and its socket.
type Opened = (Box<dyn Duplex>, TcpStream);

impl Entrance<'_> {
    /// A connection, with its first bytes sent, and what ends its sending. None: TLS that came to nothing, as what is
    /// passed on to a server that speaks none.
    fn open(&self, request: &Value, to: &str) -> Result<Option<Opened>, String> {
        let protocol = request["protocol"].as_str();
        let server_name = request["tls"]["sni"].as_str();
        let plain = |stream: TcpStream| -> io::Result<Opened> { Ok((Box::new(stream.try_clone()?), stream)) };
        let (opened, speaks_tls) = match self {
            Entrance::Sidecar(address) => {
                let stream = tunnel(*address, to).map_err(|answer| format!("no tunnel to {to}: {answer:?}"))?;
                (plain(stream), protocol == Some("tls"))
            }
            Entrance::Gateway(address, speaker) if !request["tls"].is_null() => {
                // Whether it ends there is the gateway's matter.
                let Ok(stream) = speaker.shake(*address, server_name.unwrap_or("192.0.2.1")) else { return Ok(None) };
                let socket = stream.sock.try_clone();
                (socket.map(|socket| (Box::new(stream) as Box<dyn Duplex>, socket)), false)
            }
            Entrance::Gateway(address, _) => (plain(connect(*address)), false),
        };
        let (mut stream, socket) = opened.map_err(|error| error.to_string())?;
        let first = match protocol {
            Some(_) if speaks_tls => hello(server_name),
            // No HTTP, whoever looks at it.
            Some(_) => b"\0\x01\x02 bytes\n".to_vec(),
            None => http_bytes(request, request["authority"].as_str()).ok_or("no request")?,
        };
        // The other side may have closed it already.
        let _ = stream.write_all(&first);
        Ok(Some((stream, socket)))
    }
}

/// What differs from what is recorded; none where it is about HTTP.
pub(crate) fn differences(
    entrance: &Entrance<'_>,
    lines: &Lines,
    echo: SocketAddr,
    request: &Value,
    expect: &Value,
) -> Option<Vec<String>> {
    let outcome = expect["outcome"].as_str()?;
    let protocol = request["protocol"].as_str();
    let is_let_go = outcome == "passthrough";
    let is_refused = outcome == "blackhole" && expect["status"].is_null();
    if protocol.is_none() && !is_let_go && !is_refused && outcome != "tcp-forward" {
        return None;
    }
    if outcome == "tcp-forward" && expect["destinations"].is_null() {
        // TLS that ends at a server for HTTP, with nothing in it.
        return None;
    }
    let to = match &request["dest"] {
        Value::Null if is_let_go => destination(&serde_json::json!({"port": request["port"]}), NOWHERE)?,
        _ => destination(request, ANYWHERE)?,
    };
    lines.clear();
    match entrance.open(request, &to) {
        // It is answered, or closed, as it was let go by HTTP's filter or by none.
        Ok(Some((stream, _))) if protocol.is_none() && outcome == "passthrough" => {
            Client::over(stream).read_answer_to(request["method"] == "HEAD");
        }
        Ok(Some((mut stream, socket))) => {
            let _ = socket.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        Ok(None) => {}
        Err(difference) => return Some(vec![difference]),
    }
    Some(match line(lines) {
        Some(line) => compare(&line, echo, outcome, expect),
        None => vec![format!("nothing is logged of {request}, recorded {expect}")],
    })
}

fn compare(line: &Value, echo: SocketAddr, outcome: &str, expect: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut hold = |what: &str, is_so: bool| {
        if !is_so {
            found.push(format!("{what}: recorded {expect}, logged {line}"));
        }
    };
    let cluster = line["upstream_cluster"].as_str().unwrap_or_default();
    let flags = line["response_flags"].as_str().unwrap_or_default();
    let destinations = || expect["destinations"].as_array().into_iter().flatten();
    // One of several is drawn, and it need not be the one that was recorded.
    let is_drawn = destinations().count() > 1 && destinations().any(|destination| destination["missing"] == true);
    match outcome {
        "tcp-forward" | "no-cluster" if is_drawn && flags == "NC" => {}
        "passthrough" => hold("cluster", cluster == "PassthroughCluster"),
        "blackhole" => hold("cluster and flags", (cluster, flags) == ("BlackHoleCluster", "UH")),
        "no-cluster" if !is_drawn => hold("flags", flags == "NC"),
        _ => {
            let chosen = destinations().filter(|it| it["weight"] != 0).find(|it| {
                let subset = it["subset"].as_str().unwrap_or_default();
                cluster == format!("outbound|{}|{subset}|{}", it["port"], it["host"].as_str().unwrap_or_default())
            });
            hold("cluster", chosen.is_some());
            if let Some(chosen) = chosen {
                let endpoints = chosen["endpoints"].as_u64();
                // An endpoint that the client chooses is outside of this machine.
                hold("endpoints", endpoints.is_none_or(|endpoints| (endpoints == 0) == (flags == "UH")));
                let is_dead = cluster.contains("|dead.");
                let is_elsewhere = endpoints.unwrap_or_default() == 0 || is_dead;
                hold("upstream", is_elsewhere || line["upstream_host"] == echo.to_string());
            }
        }
    }
    found
}

/// The first bytes of a client of TLS.
fn hello(server_name: Option<&str>) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.enable_sni = server_name.is_some();
    let name = ServerName::try_from(server_name.unwrap_or("nobody.example").to_owned()).unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}
