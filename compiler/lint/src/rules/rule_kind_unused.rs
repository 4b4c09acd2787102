use crate::{
    rule::{Context, Example, Rule},
    rules::{host_not_in_gateway::serves, se_http_vs_on_tls_port},
};
use malha_mesh::{
    Gateway, GatewayRef, Protocol, Resolution, Service, VirtualService, config::Completeness, host, names::gateway_ref,
};
use malha_model::{
    Spanned, Spec,
    istio::gateway::{Server, ServerTlsMode},
};
use malha_syntax::{Finding, Group, Location, RuleInfo, Span};
use smol_str::SmolStr;
use std::{collections::HashMap, sync::Arc};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "R009", name: "rule-kind-unused", group: Group::Correctness, aliases: &[] },
    what: "Rules of a VirtualService are of a kind that no port which they are for takes: `tcp` rules for a port of HTTP, `http` rules for one of TCP, `tls` rules where TLS ends.",
    why: "A port of HTTP, and a Gateway's server that ends HTTPS, are routed by `http` rules; TLS that passes through by `tls` rules; TLS that ends for other bytes, and everything \
          else, by `tcp` rules. A port of a service that says no protocol takes `http` and `tcp` rules. Rules of another kind are silently unused: what they are meant for goes to the \
          service as if there were none, and at a gateway it is closed or answered with 404.",
    bad: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  selector: {app: orders}
  ports:
    - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  tcp:
    - route:
        - destination: {host: orders, port: {number: 8000}}
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  selector: {app: orders}
  ports:
    - {name: tcp, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  tcp:
    - route:
        - destination: {host: orders, port: {number: 8000}}
",
    ),
    facts: &["A57", "A59", "B2", "E24"],
    check: Some(check),
};

/// How many ports a finding shows.
const SHOWN: usize = 4;

/// The kinds of rules, as sections of a VirtualService.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Tls,
    Tcp,
}

impl Kind {
    fn section(self) -> &'static str {
        match self {
            Kind::Http => "http",
            Kind::Tls => "tls",
            Kind::Tcp => "tcp",
        }
    }

    /// Those that a port of a service takes (semantics B2, E24); none of UDP, which is not routed.
    fn of_port(protocol: Protocol) -> &'static [Kind] {
        match protocol {
            Protocol::Udp => &[],
            Protocol::Auto => &[Kind::Http, Kind::Tcp],
            protocol if protocol.is_http() => &[Kind::Http],
            protocol if protocol.is_tls() => &[Kind::Tls],
            _ => &[Kind::Tcp],
        }
    }

    /// Those that a Gateway's server takes (semantics A57, A59); none where services of the mesh are reached by the
    /// names of their clusters.
    fn of_server(server: &Server, protocol: Protocol) -> &'static [Kind] {
        let Some(tls) = server.tls.as_ref().filter(|_| !protocol.is_http()) else {
            return if protocol.is_http() { &[Kind::Http] } else { &[Kind::Tcp] };
        };
        match tls.mode.as_ref().map_or(ServerTlsMode::Passthrough, |mode| mode.value) {
            ServerTlsMode::AutoPassthrough => &[],
            ServerTlsMode::Passthrough => &[Kind::Tls],
            _ if protocol == Protocol::Https => &[Kind::Http],
            _ => &[Kind::Tcp],
        }
    }
}

/// A port that some rules of a VirtualService may be for.
struct Port {
    gateway: GatewayRef,
    number: u32,
    takes: Vec<Kind>,
    /// For people: `port 80 of ...` and what it is.
    shown: String,
    location: Location,
}

/// What a match says of the ports and gateways that its rule is for.
struct Narrowed<'a> {
    port: Option<u32>,
    gateways: &'a [Spanned<SmolStr>],
}

impl<'a> Narrowed<'a> {
    fn new(port: Option<&Spanned<u32>>, gateways: &'a [Spanned<SmolStr>]) -> Self {
        Narrowed { port: port.map(|port| port.value).filter(|port| *port != 0), gateways }
    }

    fn holds(&self, gateway: &GatewayRef, port: Option<u32>, namespace: &str) -> bool {
        (self.port.is_none() || port.is_none() || self.port == port)
            && (self.gateways.is_empty() || self.gateways.iter().any(|name| gateway_ref(name, namespace) == *gateway))
    }
}

/// A rule, by its place in its section.
struct Written<'a> {
    index: usize,
    location: Location,
    /// One for each match; empty: the rule is for all ports.
    matches: Vec<Narrowed<'a>>,
}

impl Written<'_> {
    /// Whether it is for connections of this gateway or the mesh, and of this port, if that is asked.
    fn is_for(&self, gateway: &GatewayRef, port: Option<u32>, namespace: &str) -> bool {
        self.matches.is_empty() || self.matches.iter().any(|narrowed| narrowed.holds(gateway, port, namespace))
    }
}

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let sidecars = ports_of_sidecars(context);
    for rules in context.mesh.virtual_services().iter().filter(|rules| !rules.hosts.is_empty()) {
        let ports = ports(context, rules, &sidecars);
        for kind in [Kind::Http, Kind::Tls, Kind::Tcp] {
            let unused: Vec<(Written<'_>, Vec<&Port>)> = written(rules, kind)
                .into_iter()
                .filter_map(|rule| {
                    let own = useless_ports(context, rules, kind, &rule, &ports)?;
                    Some((rule, own))
                })
                .collect();
            let is_told = || kind == Kind::Http && se_http_vs_on_tls_port::is_unused(context, rules);
            if let Some(((first, ports), others)) = unused.split_first()
                && !is_told()
            {
                findings.push(finding(rules, kind, first, ports, others.iter().map(|(rule, _)| rule)));
            }
        }
    }
}

fn finding<'a>(
    rules: &VirtualService,
    kind: Kind,
    rule: &Written<'_>,
    ports: &[&Port],
    others: impl Iterator<Item = &'a Written<'a>>,
) -> Finding {
    let section = kind.section();
    let shown: Vec<&str> = ports.iter().take(SHOWN).map(|port| port.shown.as_str()).collect();
    let message = format!("no port takes this `{section}` rule: {}", shown.join("; "));
    let mut wanted: Vec<&str> = ports.iter().flat_map(|port| &port.takes).map(|kind| kind.section()).collect();
    wanted.dedup();
    let help = match wanted.first() {
        Some(wanted) => format!("write it among the `{wanted}` rules, or correct the protocol of the port"),
        None => "remove it, or correct the `tls` of the server".to_owned(),
    };
    let mut finding = Finding::new(RULE.info, rule.location, message)
        .help(help)
        .resource(rules.resource.resource_name())
        .field(format!("spec.{section}[{}]", rule.index));
    for port in ports.iter().take(SHOWN) {
        finding = finding.related(port.location, "the port");
    }
    for other in others {
        finding = finding.related(other.location, "not used either");
    }
    finding
}

/// The rules of a section; one that delegates with what it is merged to, if it is.
fn written(rules: &VirtualService, kind: Kind) -> Vec<Written<'_>> {
    match kind {
        Kind::Http => {
            let mut all: Vec<Written<'_>> = Vec::new();
            for rule in rules.http_rules() {
                let matches = rule.matches().map(|item| Narrowed::new(item.request.port.as_ref(), &item.request.gateways));
                let mut matches: Vec<Narrowed<'_>> = matches.collect();
                match all.last_mut().filter(|last| last.index == rule.index as usize) {
                    // With one that is for all ports, so is the whole.
                    Some(last) if last.matches.is_empty() || matches.is_empty() => last.matches.clear(),
                    Some(last) => last.matches.append(&mut matches),
                    None => all.push(Written { index: rule.index as usize, location: rule.location, matches }),
                }
            }
            all
        }
        Kind::Tls => {
            let narrowed = rules.tls_rules().iter().map(|rule| {
                let matches = rule.matches.iter().map(|item| Narrowed::new(item.port.as_ref(), &item.gateways));
                (rule.span, matches.collect())
            });
            numbered(rules, narrowed)
        }
        Kind::Tcp => {
            let narrowed = rules.tcp_rules().iter().map(|rule| {
                let matches = rule.matches.iter().map(|item| Narrowed::new(item.port.as_ref(), &item.gateways));
                (rule.span, matches.collect())
            });
            numbered(rules, narrowed)
        }
    }
}

fn numbered<'a>(
    rules: &VirtualService,
    narrowed: impl Iterator<Item = (Span, Vec<Narrowed<'a>>)>,
) -> Vec<Written<'a>> {
    let written = |(index, (span, matches))| Written { index, location: rules.resource.location(span), matches };
    narrowed.enumerate().map(written).collect()
}

/// The ports that a rule is for, if there are some and none takes its kind, whatever else there may be.
fn useless_ports<'p>(
    context: &Context<'_>,
    rules: &VirtualService,
    kind: Kind,
    rule: &Written<'_>,
    ports: &'p [Port],
) -> Option<Vec<&'p Port>> {
    let namespace = &rules.name.namespace;
    let own: Vec<&Port> =
        ports.iter().filter(|port| rule.is_for(&port.gateway, Some(port.number), namespace)).collect();
    if own.is_empty() || own.iter().any(|port| port.takes.contains(&kind)) {
        return None;
    }
    let is_unknown = |gateway: &GatewayRef| match gateway {
        GatewayRef::Named(name) => context.mesh.gateway(name).is_none(),
        GatewayRef::Mesh => rules.hosts.iter().any(|host| may_be_more(context, host, kind)),
    };
    let of_rule = rules.gateways.iter().filter(|gateway| rule.is_for(gateway, None, namespace));
    let mut of_rule = of_rule.peekable();
    (of_rule.peek().is_some() && !of_rule.any(is_unknown)).then_some(own)
}

/// Whether sidecars may know ports of a host that the files do not show, or need none for it.
fn may_be_more(context: &Context<'_>, name: &str, kind: Kind) -> bool {
    let registry = context.mesh.registry();
    if host::is_wildcard(name) {
        return context.mesh.config().registry != Completeness::Closed
            || kind == Kind::Http && !registry.services().iter().any(|service| host::matches(name, &service.hostname));
    }
    // HTTP to a host that nobody has is routed on port 80 (semantics B37).
    let mut services = registry.services_of_host(name).peekable();
    match services.peek() {
        None => kind == Kind::Http || context.mesh.config().registry != Completeness::Closed,
        Some(_) => services.any(|service| matches!(service.resolution, Resolution::Alias(_))),
    }
}

/// All ports that rules of this VirtualService may be for.
fn ports(context: &Context<'_>, rules: &VirtualService, sidecars: &PortsOfSidecars) -> Vec<Port> {
    let mut ports = Vec::new();
    for gateway in &rules.gateways {
        match gateway {
            GatewayRef::Mesh => of_services(context, rules, sidecars, &mut ports),
            GatewayRef::Named(name) => {
                if let Some(object) = context.mesh.gateway(name) {
                    of_servers(rules, gateway, object, &mut ports);
                }
            }
        }
    }
    ports
}

/// Those of the services that hosts name: most name one, and few need all to be looked through.
fn of_services(context: &Context<'_>, rules: &VirtualService, sidecars: &PortsOfSidecars, ports: &mut Vec<Port>) {
    let registry = context.mesh.registry();
    let (wild, exact): (Vec<&SmolStr>, Vec<&SmolStr>) = rules.hosts.iter().partition(|host| host::is_wildcard(host));
    let named = exact.iter().flat_map(|host| registry.services_of_host(host));
    let is_wild = |service: &&Arc<Service>| {
        !exact.contains(&&service.hostname) && wild.iter().any(|host| host::matches(host, &service.hostname))
    };
    let matched = if wild.is_empty() { [].iter() } else { registry.services().iter() };
    for service in named.chain(matched.filter(is_wild)) {
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            let mut takes = Kind::of_port(port.protocol).to_vec();
            // A Sidecar's listener has a protocol of its own (semantics E35).
            takes.extend(sidecars.get(&port.number).into_iter().flatten());
            let sections: Vec<String> = takes.iter().map(|kind| format!("`{}`", kind.section())).collect();
            let shown = format!(
                "port {} of `{}` is {}, which takes {} rules",
                port.number,
                service.hostname,
                port.protocol.as_str(),
                sections.join(" and ")
            );
            ports.push(Port {
                gateway: GatewayRef::Mesh,
                number: port.number,
                takes,
                shown,
                location: port.location,
            });
        }
    }
}

/// What the listeners of Sidecars take, by port.
type PortsOfSidecars = HashMap<u32, Vec<Kind>>;

fn ports_of_sidecars(context: &Context<'_>) -> PortsOfSidecars {
    let sidecars = context.mesh.resources().iter().filter_map(|resource| match &resource.spec {
        Spec::Sidecar(sidecar) => Some(sidecar),
        _ => None,
    });
    let mut ports = PortsOfSidecars::new();
    for port in sidecars.flat_map(|sidecar| &sidecar.egress).filter_map(|listener| listener.port.as_ref()) {
        let Some(number) = &port.number else { continue };
        let protocol = port.protocol.as_ref().map_or(Protocol::Auto, |name| Protocol::parse(name));
        ports.entry(number.value).or_default().extend(Kind::of_port(protocol));
    }
    ports
}

fn of_servers(rules: &VirtualService, gateway: &GatewayRef, object: &Gateway, ports: &mut Vec<Port>) {
    for server in object.servers() {
        let is_served = |host: &SmolStr| {
            let mut hosts = server.hosts.iter();
            hosts.any(|written| serves(written, &object.name.namespace, &rules.name.namespace, host))
        };
        let Some(port) = server.port.as_ref().filter(|_| rules.hosts.iter().any(is_served)) else { continue };
        let (Some(number), Some(name)) = (&port.number, &port.protocol) else { continue };
        let protocol = Protocol::parse(name);
        let takes = Kind::of_server(server, protocol);
        let does = match (&server.tls, takes) {
            (Some(_), []) => ", where TLS goes to services by itself",
            (Some(_), [Kind::Tls]) => ", passed through, which takes `tls` rules",
            (Some(_), [Kind::Tcp]) => ", which ends here and takes `tcp` rules",
            (_, [Kind::Http]) => ", which takes `http` rules",
            _ => ", which takes `tcp` rules",
        };
        ports.push(Port {
            gateway: gateway.clone(),
            number: number.value,
            takes: takes.to_vec(),
            shown: format!("port {} of Gateway `{}` is {}{does}", number.value, object.name, protocol.as_str()),
            location: object.resource.location(port.span),
        });
    }
}
