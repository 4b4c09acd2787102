//! From a URL and options to a request.

use crate::{args::RouteArgs, failure::Failure};
use hyper::Uri;
use malha_table::{Address, Lines, Protocol, Request, Role, Table, Tls};
use std::{net::IpAddr, path::Path};

/// The request that a URL alone describes; its host need not follow a scheme.
///
/// # Errors
/// The URL is not understood.
pub(crate) fn parse_url(url: &str) -> Result<Request, Failure> {
    parse_url_with(url, None)
}

/// The same, where the port of the listener may be known otherwise.
fn parse_url_with(url: &str, port: Option<u32>) -> Result<Request, Failure> {
    let usage =
        "a URL is a scheme, a host and a path, as `http://simul-shop.com/login`; for bytes `tcp://postgres.db:5432`";
    let text = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let uri: Uri = text.parse().map_err(|error| Failure::new(format!("`{url}`: {error}")).help(usage))?;
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri.authority().ok_or_else(|| Failure::new(format!("`{url}` names no host")).help(usage))?;
    let (protocol, default_port) = match scheme {
        "http" => (Protocol::Http, Some(80)),
        "https" => (Protocol::Http, Some(443)),
        "tcp" => (Protocol::Tcp, None),
        "tls" => (Protocol::Tls, None),
        other => return Err(Failure::new(format!("`{other}` is not a scheme that a mesh routes")).help(usage)),
    };
    let Some(port) = port.or(authority.port_u16().or(default_port).map(u32::from)) else {
        let help = format!("write the port, as `{scheme}://{authority}:5432`");
        return Err(Failure::new(format!("`{url}` names no port")).help(help));
    };
    let is_http = protocol == Protocol::Http;
    if !is_http && !matches!(uri.path(), "" | "/") {
        return Err(Failure::new(format!("`{url}` has a path, and bytes have none")).help(usage));
    }
    // An address is where the client means to go, and no server name.
    let address = authority.host().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let destination = address.filter(|_| !is_http).map(|ip| Address { ip: ip.to_string() });
    let speaks_tls = scheme == "https" || protocol == Protocol::Tls;
    let sni = Some(authority.host().to_owned()).filter(|_| destination.is_none());
    Ok(Request {
        port: Some(port),
        protocol: Some(protocol).filter(|_| !is_http),
        tls: speaks_tls.then(|| Tls { sni, alpn: Vec::new() }),
        authority: Some(authority.as_str().to_owned()),
        path: is_http.then(|| uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)),
        destination,
        ..Request::default()
    })
}

/// The request that the command line describes.
///
/// # Errors
/// The URL or a header is not understood, or the URL is missing.
pub(super) fn request(args: &RouteArgs, url: &str) -> Result<Request, Failure> {
    if !url.contains("://") && Path::new(url).exists() {
        let what = if Path::new(url).is_dir() { "directory" } else { "file" };
        return Err(Failure::new(format!("no URL is given: `{url}` is a {what}")).help(format!(
            "the URL comes first: malha route http://simul-shop.com/login {url}; a host of this name is written \
             http://{url}"
        )));
    }
    let described = parse_url_with(url, args.port)?;
    if described.protocol.is_some() && (args.method.is_some() || !args.headers.is_empty()) {
        let message = format!("`{url}` is a connection of bytes, which have no method and no headers");
        return Err(Failure::new(message).help("leave out -X and -H, or ask for an http:// URL"));
    }
    let mut request =
        Request { via: args.via.clone(), proxy: args.proxy.clone(), method: args.method.clone(), ..described };
    for header in &args.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::new(format!("`{header}` is not a header")).help("write it as `Name: value`"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if name == "host" {
            request.authority = Some(value);
            continue;
        }
        let lines = match request.headers.remove(&name) {
            None => Lines::One(value),
            Some(Lines::One(first)) => Lines::Many(vec![first, value]),
            Some(Lines::Many(mut lines)) => {
                lines.push(value);
                Lines::Many(lines)
            }
        };
        request.headers.insert(name, lines);
    }
    Ok(request)
}

/// Fills in what the URL leaves open: a gateway takes it if one has the port, else the mesh; and a port may be a
/// server's own number where a Service translates it.
pub(crate) fn complete(request: &mut Request, table: &Table) {
    let Some(port) = request.port else { return };
    let gateways = || table.proxies().filter(|proxy| proxy.role() == Role::Gateway);
    let listens = gateways().any(|proxy| proxy.listeners().any(|listener| listener.port() == port));
    let translated =
        gateways().flat_map(|proxy| proxy.listeners()).find(|listener| listener.server_ports().any(|it| it == port));
    if request.via.is_none() && !listens && translated.is_none() {
        request.via = Some("mesh".to_owned());
    }
    if request.via.as_deref() != Some("mesh")
        && !listens
        && let Some(listener) = translated
    {
        request.port = Some(listener.port());
    }
}
