//! A table as JSON, for people and for `compile --emit json`: what it holds, in its own order, with the names of the
//! decision contract where there are such.

use malha_table::{
    Role, Table,
    http::{GatewayTopology, PathNormalization, duration_text},
    view::{
        Action, ActionKind, Chain, Cluster, Condition, Destination, Discovery, Endpoint, Fallback, Field, Filter,
        Forward, HashKey, HeaderOperation, HeaderOps, Listener, LoadBalancer, PathRewrite, PathTest, Proxy, Removed,
        Route, RouteTable, Rule, Source, UpstreamProtocol, ValueTest, ValueTestKind, Views, VirtualHost,
    },
};
use serde_json::{Map, Value, json};

/// The whole table as JSON. Indexes, automata and hash tables are not shown: they follow from the rest.
pub fn json(table: &Table) -> Value {
    let normalization = match table.path_normalization() {
        PathNormalization::None => "NONE",
        PathNormalization::Base => "BASE",
        PathNormalization::MergeSlashes => "MERGE_SLASHES",
        PathNormalization::DecodeAndMergeSlashes => "DECODE_AND_MERGE_SLASHES",
    };
    let mut told = json!({
        "version": malha_table::format::VERSION,
        "program": format!("{:016x}", table.program_hash()),
        "features": table.features().collect::<Vec<_>>(),
        "pathNormalization": normalization,
        "proxies": table.proxies().map(|one| proxy(&one)).collect::<Vec<_>>(),
    });
    if let Some(rate) = table.dns_refresh() {
        told["dnsRefresh"] = duration_text(rate).into();
    }
    let topology = table.gateway_topology();
    if topology != GatewayTopology::default() {
        told["gatewayTopology"] = json!({
            "numTrustedProxies": topology.trusted_proxies,
            "forwardClientCertDetails": topology.client_cert.name(),
            "proxyProtocol": topology.proxy_protocol,
        });
    }
    told
}

/// An object without the fields that hold nothing.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    let fields = fields.into_iter().filter(|(_, value)| says_something(value));
    Value::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn strings<'s>(texts: impl Iterator<Item = &'s str>) -> Value {
    texts.map(Value::from).collect()
}

fn pairs<'s>(pairs: impl Iterator<Item = (&'s str, &'s str)>) -> Value {
    Value::Object(pairs.map(|(key, value)| (key.to_owned(), value.into())).collect())
}

fn proxy(proxy: &Proxy<'_>) -> Value {
    object([
        ("role", if proxy.role() == Role::Gateway { "gateway" } else { "sidecar" }.into()),
        ("namespace", proxy.namespace().into()),
        ("name", proxy.name().into()),
        ("labels", pairs(proxy.labels())),
        ("gateways", proxy.gateways().map(|(namespace, name)| format!("{namespace}/{name}")).collect()),
        ("otherPorts", fallback(proxy.fallback()).into()),
        ("egressProxy", proxy.egress_proxy().map(|named| destinations(named.bytes.destinations())).into()),
        ("listeners", proxy.listeners().map(|one| listener(&one)).collect()),
        ("clusters", proxy.clusters().map(|one| cluster(&one)).collect()),
    ])
}

fn fallback(fallback: Fallback) -> &'static str {
    match fallback {
        Fallback::Close => "close",
        Fallback::Passthrough => "passthrough",
        Fallback::Blackhole => "blackhole",
        Fallback::EgressProxy => "egressProxy",
    }
}

fn listener(listener: &Listener<'_>) -> Value {
    object([
        ("name", listener.name().into()),
        ("port", listener.port().into()),
        ("bind", listener.bind().text().into()),
        ("protocol", listener.protocol().into()),
        ("serverPorts", listener.server_ports().collect()),
        ("names", strings(listener.names())),
        ("rejected", listener.rejected().into()),
        ("fallback", fallback(listener.fallback()).into()),
        ("filterChains", listener.chains().map(|one| chain(&one)).collect()),
    ])
}

fn chain(chain: &Chain<'_>) -> Value {
    let (http, tcp) = match chain.filter() {
        Some(Filter::Http(table)) => (route_table(&table), Value::Null),
        Some(Filter::Tcp(route)) => {
            let fields = [("rule", rule(route.rule())), ("destinations", destinations(route.destinations()))];
            (Value::Null, object(fields))
        }
        None => (Value::Null, Value::Null),
    };
    let termination = chain.termination().map(|termination| {
        let files = |(file, key): (&str, &str)| object([("certificate", file.into()), ("privateKey", key.into())]);
        let certificates: Value = termination.certificates().map(files).collect();
        object([
            ("mode", termination.mode().into()),
            ("credentials", strings(termination.credentials())),
            ("certificates", certificates),
            ("caCertificates", termination.ca_certificates().into()),
            ("caCredential", termination.ca_credential().into()),
            ("caCrl", termination.ca_crl().into()),
            ("minVersion", termination.min_version().into()),
            ("maxVersion", termination.max_version().into()),
            ("cipherSuites", strings(termination.cipher_suites())),
            ("subjectAltNames", strings(termination.subject_alt_names())),
            ("verifyCertificateSpki", strings(termination.key_hashes())),
            ("verifyCertificateHash", strings(termination.certificate_hashes())),
            ("insecureSkipVerify", termination.insecure_skip_verify().then_some(true).into()),
        ])
    });
    object([
        ("serverNames", strings(chain.server_names())),
        ("destinations", strings(chain.destinations())),
        ("tls", chain.tls().into()),
        ("inspected", chain.is_inspected().then_some(true).into()),
        ("termination", termination.into()),
        ("location", chain.location().map(|location| format!("{}:{}", location.file(), location.line())).into()),
        ("routes", http),
        ("tcp", tcp),
    ])
}

fn route_table(table: &RouteTable<'_>) -> Value {
    object([
        ("name", table.name().into()),
        ("virtualHosts", table.virtual_hosts().map(|one| virtual_host(&one)).collect()),
    ])
}

fn virtual_host(host: &VirtualHost<'_>) -> Value {
    object([
        ("domains", strings(host.domains())),
        ("requireTls", host.requires_tls().then_some(true).into()),
        ("catchAll", host.catch_all().map(fallback).into()),
        ("routes", host.routes().map(|one| route(&one, host)).collect()),
        ("removed", host.removed().map(|one| removed(&one)).collect()),
    ])
}

/// A route that no request comes to.
fn removed(removed: &Removed<'_>) -> Value {
    let rule = |source: Source<'_>| serde_json::to_value(source.to_rule()).unwrap_or_default();
    object([
        ("position", removed.position().into()),
        ("rule", removed.source().map(rule).into()),
        ("takenBy", removed.taken_by().map(rule).collect()),
    ])
}

fn rule(rule: Option<Rule<'_>>) -> Value {
    let Some(rule) = rule else { return Value::Null };
    let told = rule.source().map(|source| source.to_rule());
    let mut told = serde_json::to_value(told).unwrap_or_default();
    if let Value::Object(fields) = &mut told {
        fields.insert("id".to_owned(), format!("{:016x}", rule.id()).into());
    }
    told
}

fn route(route: &Route<'_>, host: &VirtualHost<'_>) -> Value {
    let mut fields = Map::new();
    fields.insert("path".to_owned(), path_test(route.path_test()));
    let conditions: Vec<Value> = route.conditions(host).map(|one| condition(&one)).collect();
    if !conditions.is_empty() {
        fields.insert("conditions".to_owned(), conditions.into());
    }
    if let Some(told) = route.action().map(|one| action(&one)) {
        fields.insert("action".to_owned(), told);
    }
    if let rule @ Value::Object(_) = rule(route.rule()) {
        fields.insert("rule".to_owned(), rule);
    }
    Value::Object(fields)
}

fn path_test(path: PathTest<'_>) -> Value {
    let (kind, value, ignore_case) = match path {
        PathTest::Any => return json!("any"),
        PathTest::Exact { value, ignore_case } => ("exact", value, ignore_case),
        PathTest::Prefix { value, ignore_case } => ("prefix", value, ignore_case),
        PathTest::Regex(text) => ("regex", text, false),
    };
    object([(kind, value.into()), ("ignoreCase", ignore_case.then_some(true).into())])
}

fn condition(condition: &Condition<'_>) -> Value {
    let (field, name) = match condition.field() {
        Field::Method => ("method", None),
        Field::Scheme => ("scheme", None),
        Field::Authority => ("authority", None),
        Field::PathWithQuery => ("pathWithQuery", None),
        Field::Header(name) => ("header", Some(name)),
        Field::Query(name) => ("query", Some(name)),
        Field::Claim(path) => ("claim", Some(path)),
    };
    object([
        ("field", field.into()),
        ("name", name.into()),
        ("test", value_test(&condition.test())),
        ("negated", condition.is_negated().then_some(true).into()),
    ])
}

fn value_test(wanted: &ValueTest<'_>) -> Value {
    match wanted.kind() {
        ValueTestKind::Present => json!("present"),
        ValueTestKind::Exact(text) => json!({"exact": text}),
        ValueTestKind::Prefix(text) => json!({"prefix": text}),
        ValueTestKind::Regex(text) => json!({"regex": text}),
    }
}

fn action(action: &Action<'_>) -> Value {
    let (kind, told) = match action.kind() {
        ActionKind::Forward(told) => ("forward", forward(&told)),
        ActionKind::Redirect(redirect) => {
            let to = redirect.to();
            let fields = [
                ("status", redirect.status().into()),
                ("scheme", to.scheme.into()),
                ("authority", to.authority.into()),
                ("port", to.port.into()),
                ("path", to.path.into()),
                ("prefix", to.prefix.into()),
            ];
            ("redirect", object(fields))
        }
        ActionKind::Respond(respond) => {
            let body = String::from_utf8_lossy(respond.body());
            ("respond", json!({"status": respond.status(), "body": body}))
        }
        ActionKind::Passthrough => ("passthrough", json!(true)),
        ActionKind::ByHost => ("byHost", json!(true)),
        ActionKind::Blackhole => ("blackhole", json!(true)),
    };
    object([
        (kind, told),
        ("requestHeaders", header_ops(&action.request_headers())),
        ("responseHeaders", header_ops(&action.response_headers())),
    ])
}

fn header_ops(ops: &HeaderOps<'_>) -> Value {
    let values = |values: Views<'_, HeaderOperation<'_>>| {
        let values: Vec<HeaderOperation<'_>> = values.collect();
        pairs(values.iter().map(|value| (value.name(), value.text())))
    };
    object([("set", values(ops.set())), ("add", values(ops.add())), ("remove", strings(ops.remove()))])
}

fn forward(forward: &Forward<'_>) -> Value {
    let rewrite = forward.path_rewrite().map(|rewrite| match rewrite {
        PathRewrite::Matched(text) => json!({"matched": text}),
        PathRewrite::Regex { text, substitution, .. } => json!({"regex": text, "substitution": substitution}),
    });
    let retries = forward.retries().map(|retries| {
        object([
            ("attempts", retries.attempts().into()),
            ("perTryTimeout", retries.per_try_timeout().map(duration_text).into()),
            ("retryOn", strings(retries.conditions())),
            ("statusCodes", retries.status_codes().collect()),
            ("backoff", retries.backoff().map(duration_text).into()),
            ("avoidPreviousHosts", retries.avoids_previous_hosts().into()),
            ("remoteLocalities", retries.tries_remote_localities().into()),
        ])
    });
    let mirror = |one: malha_table::view::Mirror<'_>| {
        object([("destination", destination(&one.destination())), ("perMillion", one.per_million().into())])
    };
    object([
        ("destinations", destinations(forward.destinations())),
        ("rewrite", rewrite.into()),
        ("authority", forward.authority().into()),
        ("timeout", forward.timeout().map(duration_text).into()),
        ("retries", retries.into()),
        ("mirrors", forward.mirrors().map(mirror).collect()),
        ("fault", fault(forward)),
        ("cors", cors(forward)),
        ("hash", forward.hash().map(hash_key).collect()),
    ])
}

fn fault(forward: &Forward<'_>) -> Value {
    let Some(fault) = forward.fault() else { return Value::Null };
    let delay =
        fault.delay().map(|delay| json!({"duration": duration_text(delay.duration), "perMillion": delay.per_million}));
    let abort = fault.abort().map(|abort| {
        object([
            ("status", abort.status.into()),
            ("grpcStatus", abort.grpc_status.into()),
            ("perMillion", abort.per_million.into()),
        ])
    });
    object([("delay", delay.into()), ("abort", abort.into())])
}

fn cors(forward: &Forward<'_>) -> Value {
    let Some(cors) = forward.cors() else { return Value::Null };
    object([
        ("allowOrigins", cors.allow_origins().map(|origin| value_test(&origin)).collect()),
        ("allowMethods", strings(cors.allow_methods())),
        ("allowHeaders", strings(cors.allow_headers())),
        ("exposeHeaders", strings(cors.expose_headers())),
        ("maxAge", cors.max_age().map(duration_text).into()),
        ("allowCredentials", cors.allow_credentials().into()),
        ("ignoreUnmatchedPreflights", cors.ignores_unmatched_preflights().into()),
    ])
}

fn hash_key(key: HashKey<'_>) -> Value {
    match key {
        HashKey::Header(name) => json!({"header": name}),
        HashKey::Cookie { name, path, ttl } => {
            object([("cookie", name.into()), ("path", path.into()), ("ttl", ttl.map(duration_text).into())])
        }
        HashKey::SourceIp => json!("sourceIp"),
        HashKey::QueryParameter(name) => json!({"queryParameter": name}),
    }
}

fn destinations(destinations: Views<'_, Destination<'_>>) -> Value {
    destinations.map(|one| destination(&one)).collect()
}

fn destination(destination: &Destination<'_>) -> Value {
    object([
        ("host", destination.host().into()),
        ("port", destination.port().into()),
        ("subset", destination.subset().into()),
        ("weight", destination.weight().into()),
        ("cluster", destination.cluster().map(|cluster| cluster.name()).into()),
        ("authority", destination.authority().into()),
        ("requestHeaders", header_ops(&destination.request_headers())),
        ("responseHeaders", header_ops(&destination.response_headers())),
    ])
}

fn cluster(cluster: &Cluster<'_>) -> Value {
    let discovery = match cluster.discovery() {
        Discovery::Eds => "eds",
        Discovery::StrictDns => "strictDns",
        Discovery::LogicalDns => "logicalDns",
        Discovery::OriginalDestination => "originalDestination",
        Discovery::DynamicDns => "dynamicDns",
    };
    let load_balancer = match cluster.load_balancer() {
        LoadBalancer::LeastRequest => json!("leastRequest"),
        LoadBalancer::RoundRobin => json!("roundRobin"),
        LoadBalancer::Random => json!("random"),
        LoadBalancer::Passthrough => json!("passthrough"),
        LoadBalancer::RingHash { minimum_size } => json!({"ringHash": minimum_size}),
        LoadBalancer::Maglev { table_size } => json!({"maglev": table_size}),
    };
    let limits = cluster.limits().map(|(name, value)| (name.to_owned(), value.into()));
    object([
        ("name", cluster.name().into()),
        ("discovery", discovery.into()),
        ("originalPort", cluster.original_port().into()),
        ("http2", (cluster.protocol() == UpstreamProtocol::Http2).then_some(true).into()),
        ("clientProtocol", (cluster.protocol() == UpstreamProtocol::Clients).then_some(true).into()),
        ("endpoints", cluster.endpoints().map(|one| endpoint(&one)).collect()),
        ("loadBalancer", load_balancer),
        ("connectTimeout", cluster.connect_timeout().map(duration_text).into()),
        ("limits", Value::Object(limits.collect())),
        ("policy", cluster.policy_json().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()),
        ("destinationRule", cluster.destination_rule().map(|(namespace, name)| format!("{namespace}/{name}")).into()),
    ])
}

fn endpoint(endpoint: &Endpoint<'_>) -> Value {
    object([
        ("address", endpoint.address().into()),
        ("port", endpoint.port().into()),
        ("weight", endpoint.weight().into()),
        ("locality", endpoint.locality().into()),
        ("priority", endpoint.priority().into()),
        ("localityWeight", endpoint.locality_weight().into()),
        ("workload", endpoint.workload().map(|(namespace, name)| format!("{namespace}/{name}")).into()),
        ("labels", pairs(endpoint.labels())),
    ])
}
