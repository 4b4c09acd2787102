//! A decision for people.

use super::missing::Missing;
use crate::words;
use malha_table::{Decision, Destination, HeaderOps, Outcome, Protocol, Request, Rule};
use std::fmt::Write as _;

/// Prints what becomes of a request, one fact a line; `why` is why the mesh does not know its host, and the remedy.
pub(super) fn pretty(request: &Request, decision: &Decision, missing: &[Missing], why: [Option<&str>; 2]) -> String {
    let mut page = Page(String::new());
    let authority = request.authority.as_deref().unwrap_or("");
    match request.protocol {
        Some(Protocol::Tcp) => page.line("connection", authority),
        Some(Protocol::Tls) => page.line("connection", &format!("{authority}, TLS")),
        Some(Protocol::Http) | None => {
            let (method, path) = (request.method.as_deref().unwrap_or("GET"), request.path.as_deref().unwrap_or("/"));
            page.line("request", &format!("{method} {authority}{path}"));
        }
    }
    if let Some(proxy) = &decision.proxy {
        page.line("proxy", &words::proxy(proxy));
    }
    if let Some(listener) = &decision.listener {
        page.line("listener", &format!("{} {}", listener.port, listener.protocol));
    }
    if let Some(host) = &decision.host {
        page.line("virtual host", host);
    }
    if let Some(rule) = &decision.rule {
        page.line("rule", &place(rule));
        if let Some(delegate) = &rule.delegate {
            page.line("delegate", &place(delegate));
        }
    }
    page.line("outcome", &outcome(decision));
    for (name, line) in ["  why", "  help"].into_iter().zip(why) {
        if let Some(line) = line {
            page.line(name, line);
        }
    }
    for (number, told) in decision.destinations.iter().enumerate() {
        page.line("destination", &destination(told, decision.destinations.len() > 1));
        let why = missing.iter().filter(|missing| missing.destination == number).flat_map(Missing::lines);
        for (line, name) in why.zip(["  why", "  help"]) {
            page.line(name, &line);
        }
        page.operations("  request", &told.request_headers);
        page.operations("  response", &told.response_headers);
    }
    if let Some(rewrite) = &decision.rewrite {
        page.line("rewritten to", &format!("{} on {}", rewrite.path, rewrite.authority));
    }
    page.operations("request", &decision.request_headers);
    page.operations("response", &decision.response_headers);
    if let Some(timeout) = &decision.timeout {
        page.line("timeout", timeout);
    }
    if let Some(retries) = decision.retries.as_ref().filter(|retries| retries.attempts > 0) {
        let each = retries.per_try_timeout.as_ref().map(|limit| format!(", {limit} each")).unwrap_or_default();
        page.line("retries", &format!("{}{each}, on {}", retries.attempts, retries.retry_on.join(", ")));
    }
    for mirror in &decision.mirrors {
        let subset = mirror.subset.as_ref().map(|subset| format!(" subset {subset}")).unwrap_or_default();
        page.line("mirror", &format!("{}:{}{subset}, {} %", mirror.host, mirror.port, mirror.percentage));
    }
    if let Some(delay) = decision.fault.as_ref().and_then(|fault| fault.delay.as_ref()) {
        page.line("fault", &format!("delay of {} for {} %", delay.duration, delay.percentage));
    }
    if let Some(abort) = decision.fault.as_ref().and_then(|fault| fault.abort.as_ref()) {
        let status = abort.status.map(|status| status.to_string()).or_else(|| abort.grpc_status.clone());
        page.line("fault", &format!("abort with {} for {} %", status.unwrap_or_default(), abort.percentage));
    }
    if let Some(cors) = &decision.cors {
        page.line("cors", &cors.allow_origins.join(", "));
    }
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "{name:13} {value}");
    }

    fn operations(&mut self, what: &str, operations: &HeaderOps) {
        for (name, value) in &operations.set {
            self.line(what, &format!("set {name}: {value}"));
        }
        for (name, value) in &operations.add {
            self.line(what, &format!("add {name}: {value}"));
        }
        for name in &operations.remove {
            self.line(what, &format!("remove {name}"));
        }
    }
}

fn place(rule: &Rule) -> String {
    let item = rule.match_index.map(|index| format!(".match[{index}]")).unwrap_or_default();
    let name = rule.route_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let Rule { kind, namespace, name: object, section, index, file, line, .. } = rule;
    format!("{kind} {namespace}/{object} spec.{section}[{index}]{item}{name} at {file}:{line}")
}

fn destination(destination: &Destination, weighted: bool) -> String {
    let mut text = format!("{}:{}", destination.host, destination.port);
    if let Some(subset) = &destination.subset {
        let _ = write!(text, " subset {subset}");
    }
    if weighted {
        let _ = write!(text, ", weight {}", destination.weight);
    }
    match destination.endpoints {
        _ if destination.missing => text.push_str(", which is not there: 503"),
        Some(0) => text.push_str(", without a usable endpoint: 503"),
        Some(1) => text.push_str(", 1 endpoint"),
        Some(count) => {
            let _ = write!(text, ", {count} endpoints");
        }
        None => {}
    }
    text
}

fn outcome(decision: &Decision) -> String {
    match decision.outcome {
        Outcome::Forward => "forwarded".to_owned(),
        Outcome::Redirect | Outcome::HttpsRedirect => match &decision.redirect {
            Some(redirect) => format!("redirected to {} with {}", redirect.location, redirect.status),
            None => "redirected".to_owned(),
        },
        Outcome::Respond => match &decision.respond {
            Some(respond) => format!("answered with {}: {}", respond.status, respond.body),
            None => "answered".to_owned(),
        },
        Outcome::NotFound => "404: no route takes it".to_owned(),
        Outcome::NoCluster => "503: the destination is no service or subset that the proxy knows".to_owned(),
        Outcome::NoEndpoints => "503: the destination has no usable endpoint".to_owned(),
        Outcome::TcpForward => "bytes are passed on".to_owned(),
        Outcome::NoListener => "refused: nothing listens on that port".to_owned(),
        Outcome::ListenerRejected => "refused: Envoy would not load this listener".to_owned(),
        Outcome::Closed => "closed: no filter chain takes the connection".to_owned(),
        Outcome::Passthrough => "passed on to where the client meant it to go: no service or rule takes it".to_owned(),
        Outcome::Blackhole => "502: no service or rule takes it, and the mesh lets nothing else out".to_owned(),
        Outcome::BadRequest => "refused before routing: the proxy does not accept such a request".to_owned(),
    }
}
