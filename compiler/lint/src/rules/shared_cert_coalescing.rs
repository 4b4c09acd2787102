use crate::rule::{Context, Example, Rule};
use hashbrown::HashMap;
use malha_mesh::{Gateway, Protocol, host};
use malha_model::{
    Spanned,
    istio::gateway::{Server, ServerTlsMode},
};
use malha_syntax::{Finding, Group, Location, RuleInfo};
use smol_str::SmolStr;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H011", name: "shared-cert-coalescing", group: Group::Suspicious, aliases: &["IST0138"] },
    what: "Two HTTPS servers of one port show the same certificate for different hosts.",
    why: "A client of HTTP/2 that holds a connection for one host uses it for every host that the certificate names and that has the same address. The server that \
          the connection came to has the routes of its own hosts alone, so such requests get 404: now and then, in browsers, by the order of visits. One server that \
          has all the hosts of the certificate has all their routes.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https-shop, protocol: HTTPS}
      hosts: [shop.example.com]
      tls: {mode: SIMPLE, credentialName: example}
    - port: {number: 443, name: https-admin, protocol: HTTPS}
      hosts: [admin.example.com]
      tls: {mode: SIMPLE, credentialName: example}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [shop.example.com, admin.example.com]
      tls: {mode: SIMPLE, credentialName: example}
",
    ),
    facts: &["A33", "A51"],
    check: Some(check),
};

/// A certificate at an address: bind, port, and what names it.
type Shown = (SmolStr, u32, BTreeSet<SmolStr>);

/// A server that shows one.
struct Showing<'a> {
    gateway: &'a Gateway,
    index: usize,
    server: &'a Spanned<Server>,
}

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut told: BTreeSet<Location> = BTreeSet::new();
    for proxy in context.mesh.proxies() {
        let mut showing: HashMap<Shown, Vec<Showing<'_>>> = HashMap::new();
        let mut order: Vec<Shown> = Vec::new();
        for gateway in context.mesh.gateways_of(proxy) {
            for (index, server) in gateway.servers().iter().enumerate() {
                for shown in certificates(server) {
                    if !showing.contains_key(&shown) {
                        order.push(shown.clone());
                    }
                    showing.entry(shown).or_default().push(Showing { gateway, index, server });
                }
            }
        }
        for servers in order.iter().filter_map(|shown| showing.get(shown)) {
            let Some((first, others)) = servers.split_first() else { continue };
            for other in others {
                // A host that the first one has too is found wherever a connection came to.
                let Some(host) = other.server.hosts.iter().map(|host| bare(host)).find(|host| !has(first.server, host)) else {
                    continue;
                };
                let place = other.gateway.resource.location(other.server.span);
                if told.insert(place) {
                    findings.push(coalesced(first, other, host));
                }
            }
        }
    }
}

fn coalesced(first: &Showing<'_>, other: &Showing<'_>, host: &str) -> Finding {
    let resource = &other.gateway.resource;
    let tls = other.server.tls.as_ref();
    let named = tls.and_then(|tls| tls.credential_name.as_ref().or(tls.server_certificate.as_ref()).or(tls.credential_names.first()));
    let place = named.map_or(other.server.span, |name| name.span);
    let message = format!(
        "a server of `{}` shows this certificate for other hosts: a client that holds a connection to it may ask there for `{host}`, and gets 404",
        first.gateway.name
    );
    Finding::new(RULE.info, resource.location(place), message)
        .help("write all hosts of the certificate in one server, or give the hosts certificates of their own")
        .related(first.gateway.resource.location(first.server.span), "the other server")
        .resource(resource.resource_name())
        .field(format!("spec.servers[{}].tls", other.index))
}

/// The certificates that a server shows to clients that speak HTTP/2: those where TLS ends and HTTP follows.
fn certificates(server: &Server) -> Vec<Shown> {
    let (Some(port), Some(tls)) = (&server.port, &server.tls) else { return Vec::new() };
    let (Some(number), Some(protocol)) = (&port.number, &port.protocol) else { return Vec::new() };
    let mode = tls.mode.as_ref().map(|mode| mode.value);
    let ends = matches!(mode, Some(ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual));
    if Protocol::parse(protocol) != Protocol::Https || !ends {
        return Vec::new();
    }
    let bind = server.bind.as_ref().map(|bind| bind.value.clone()).unwrap_or_default();
    let shown = |names: &[&SmolStr]| (bind.clone(), number.value, names.iter().map(|name| (*name).clone()).collect());
    let credentials = tls.credential_name.iter().chain(&tls.credential_names).filter(|name| !name.is_empty());
    let mut found: Vec<Shown> = credentials.map(|name| shown(&[&name.value])).collect();
    if found.is_empty()
        && let (Some(certificate), Some(key)) = (&tls.server_certificate, &tls.private_key)
    {
        found.push(shown(&[&certificate.value, &key.value]));
    }
    found
}

/// A server's host without the namespace of those who may use it.
fn bare(host: &str) -> &str {
    host.split_once('/').map_or(host, |(_, name)| name)
}

fn has(server: &Server, wanted: &str) -> bool {
    server.hosts.iter().any(|host| host::is_subset(wanted, bare(host)))
}
