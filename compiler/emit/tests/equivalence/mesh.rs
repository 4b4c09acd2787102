//! Random meshes, as YAML: small vocabularies, so that rules overlap, shadow each other and share hosts.

use super::random::Random;
use std::fmt::Write;

const HOSTS: &[&str] =
    &["foo.com", "a.foo.com", "*.foo.com", "*.b.foo.com", "x.b.foo.com", "bar.org", "*.org", "*", "10.1.2.3"];
const PATHS: &[&str] = &[
    "/", "/a", "/a/", "/a/b", "/a/b/c", "/A", "/api", "/api/v1", "/api/v1/", "/apiv2", "/foo", "/foo/bar", "/FOO/Bar",
    "/z%20z", "/a.b", "",
];
/// Patterns, each with texts in its language or near it: see `requests`.
const PATTERNS: &[&str] = &[
    ".*",
    "/a.*",
    "/api/v[0-9]+",
    "/(foo|bar)/?",
    "(?i)/FOO",
    "/a/[^/]+",
    "[a-z]+",
    "v1|v2",
    "/.*/b",
    "1.*",
    "(a|b)*",
];
const VALUES: &[&str] = &["", "a", "b", "ab", "v1", "v2", "1", "A", "a b", "a,b", "zzz"];
const HEADERS: &[&str] =
    &["x-user", "X-Env", "end-user", "cookie", "user-agent", "accept", "x-forwarded-proto", ":method"];
const QUERIES: &[&str] = &["q", "version", "debug"];
const METHODS: &[&str] = &["GET", "POST", "HEAD", "P"];
const SERVICES: &[&str] = &["web", "cart", "web.default.svc.cluster.local", "nosuch", "other.prod.svc.cluster.local"];

const EGRESS: &[&str] = &["./*", "*/*", "prod/*", "~/*", "./web.default.svc.cluster.local", "*/*.org", "*/bar.org"];

/// A mesh: its YAML and its mesh configuration.
pub(crate) struct Mesh {
    pub(crate) yaml: String,
    pub(crate) config: serde_json::Value,
}

pub(crate) fn mesh(random: &mut Random) -> Mesh {
    let mut yaml = String::from(SERVICES_YAML);
    if random.one_in(3) {
        // A cluster gives them their addresses.
        yaml = yaml.split_inclusive('\n').filter(|line| !line.contains("clusterIP")).collect();
    }
    for number in 0..=random.below(2) {
        gateway(random, number, &mut yaml);
    }
    for number in 0..random.below(3) {
        destination_rule(random, number, &mut yaml);
    }
    for number in 0..=random.below(5) {
        virtual_service(random, number, &mut yaml);
    }
    if random.one_in(3) {
        sidecar(random, &mut yaml);
    }
    let normalization = *random.pick(&["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES", "DEFAULT"]);
    let outbound = *random.pick(&["ALLOW_ANY", "REGISTRY_ONLY", "ALLOW_ANY_DYNAMIC_DNS"]);
    let refresh = *random.pick(&["60s", "1500ms", ""]);
    let trusted = *random.pick(&[0, 0, 1, 2]);
    let details = *random.pick(&["UNDEFINED", "SANITIZE", "APPEND_FORWARD", "ALWAYS_FORWARD_ONLY"]);
    let config = serde_json::json!({
        "defaultConfig": {"gatewayTopology": {"numTrustedProxies": trusted, "forwardClientCertDetails": details}},
        "pathNormalization": {"normalization": normalization},
        "outboundTrafficPolicy": {"mode": outbound},
        "dnsRefreshRate": refresh,
    });
    Mesh { yaml, config }
}

const SERVICES_YAML: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIP: 10.0.0.1
  selector: {app: web}
  ports: [{name: http, port: 80}, {name: http-alt, port: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec:
  clusterIP: 10.0.0.2
  selector: {app: cart}
  ports: [{name: http, port: 80}, {name: tcp, port: 9000}, {name: odd, port: 7070}]
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: prod}
spec:
  clusterIP: 10.0.0.3
  selector: {app: other}
  ports: [{name: grpc, port: 80}, {name: tls, port: 443}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: default, labels: {app: web, version: v1}}
status: {podIP: 10.1.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: default, labels: {app: web, version: v2}}
status: {podIP: 10.1.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: other-1, namespace: prod, labels: {app: other, version: v1}}
status: {podIP: 10.1.0.3}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: default}
spec:
  hosts: [ext.example.org, '*.wild.example.org']
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 443, name: tls, protocol: TLS}]
  resolution: NONE
";

/// Writing to a string does not fail.
macro_rules! put {
    ($out:expr, $($format:tt)*) => { writeln!($out, $($format)*).expect("a string takes everything") };
}

fn gateway(random: &mut Random, number: usize, out: &mut String) {
    put!(out, "---\napiVersion: networking.istio.io/v1\nkind: Gateway");
    put!(out, "metadata: {{name: gw{number}, namespace: default}}\nspec:\n  selector: {{istio: ingress}}\n  servers:");
    for server in 0..=random.below(3) {
        let (port, protocol, tls) = *random.pick(&[
            (80, "HTTP", ""),
            (80, "HTTP", ""),
            (80, "HTTP", ""),
            (8080, "HTTP", ""),
            (8080, "HTTP", ""),
            (81, "HTTP", "{httpsRedirect: true}"),
            (443, "HTTPS", "{mode: SIMPLE, credentialName: c}"),
            (443, "TLS", "{mode: PASSTHROUGH}"),
            (9000, "TCP", ""),
        ]);
        let hosts = if random.one_in(2) { "['*']".to_owned() } else { list(random, HOSTS, 3) };
        put!(out, "  - port: {{number: {port}, name: p{number}-{server}, protocol: {protocol}}}\n    hosts: {hosts}");
        if !tls.is_empty() {
            put!(out, "    tls: {tls}");
        }
    }
}

fn list(random: &mut Random, among: &[&str], most: usize) -> String {
    let mut chosen: Vec<&str> = (0..=random.below(most)).map(|_| *random.pick(among)).collect();
    chosen.sort_unstable();
    chosen.dedup();
    quoted(&chosen)
}

/// One host or two that have no name in common, as a VirtualService demands.
fn apart(random: &mut Random, among: &[&str]) -> String {
    let (one, other) = (*random.pick(among), *random.pick(among));
    let covers = |wide: &str, narrow: &str| wide.strip_prefix('*').is_some_and(|tail| narrow.ends_with(tail));
    let overlap = one == other || covers(one, other) || covers(other, one);
    if overlap { quoted(&[one]) } else { quoted(&[one, other]) }
}

fn quoted(texts: &[&str]) -> String {
    format!("[{}]", texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(", "))
}

fn destination_rule(random: &mut Random, number: usize, out: &mut String) {
    let host = random.pick(SERVICES);
    put!(out, "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule");
    put!(out, "metadata: {{name: dr{number}, namespace: default}}\nspec:\n  host: {host}");
    put!(out, "  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]");
    put!(
        out,
        "  trafficPolicy:\n    loadBalancer: {{simple: {}}}",
        random.pick(&["RANDOM", "ROUND_ROBIN", "LEAST_REQUEST"])
    );
    put!(out, "    connectionPool: {{http: {{maxRetries: {}}}, tcp: {{connectTimeout: 3s}}}}", 1 + random.below(9));
}

/// A Sidecar for the client, with a listener that has a port, one for the rest, or both.
fn sidecar(random: &mut Random, out: &mut String) {
    let scope = *random.pick(&["{labels: {app: client}}", "{labels: {app: other}}"]);
    put!(
        out,
        "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: s, namespace: default}}\nspec:"
    );
    if random.one_in(2) {
        put!(out, "  workloadSelector: {scope}");
    }
    if random.one_in(2) {
        let proxy = ", egressProxy: {host: web.default.svc.cluster.local, port: {number: 80}}";
        let egress_proxy = if random.one_in(2) { proxy } else { "" };
        let mode = random.pick(&["ALLOW_ANY", "REGISTRY_ONLY"]);
        put!(out, "  outboundTrafficPolicy: {{mode: {mode}{}}}", if *mode == "ALLOW_ANY" { egress_proxy } else { "" });
    }
    put!(out, "  egress:");
    let has_port = random.one_in(2);
    if has_port {
        let (number, protocol) =
            *random.pick(&[(80, "HTTP"), (80, "TCP"), (443, "TLS"), (7070, ""), (9000, "TCP"), (3128, "HTTP_PROXY")]);
        put!(out, "  - port: {{number: {number}, protocol: '{protocol}', name: p}}");
        put!(out, "    hosts: {}", list(random, EGRESS, 3));
        if random.one_in(3) {
            put!(out, "    bind: 127.0.0.9");
        }
    }
    if !has_port || random.one_in(2) {
        put!(out, "  - hosts: {}", list(random, EGRESS, 3));
        match random.below(4) {
            0 => put!(out, "    captureMode: NONE"),
            1 => put!(out, "    bind: 127.0.0.8"),
            _ => {}
        }
    }
}

fn virtual_service(random: &mut Random, number: usize, out: &mut String) {
    let is_mesh = random.one_in(3);
    let hosts = if is_mesh { list(random, &SERVICES[..3], 2) } else { apart(random, HOSTS) };
    let gateways =
        if is_mesh { *random.pick(&["[mesh]", "[mesh, gw0]"]) } else { *random.pick(&["[gw0]", "[gw0, gw1]"]) };
    put!(out, "---\napiVersion: networking.istio.io/v1\nkind: VirtualService");
    put!(
        out,
        "metadata: {{name: vs{number}, namespace: default}}\nspec:\n  hosts: {hosts}\n  gateways: {gateways}\n  http:"
    );
    for rule in 0..=random.below(7) {
        put!(out, "  - name: r{rule}");
        http_rule(random, out);
    }
    if random.one_in(3) {
        let host = random.pick(SERVICES);
        put!(
            out,
            "  tls:\n  - match: [{{port: 443, sniHosts: {hosts}}}]\n    route: [{{destination: {{host: {host}}}}}]"
        );
    }
    if random.one_in(3) {
        let (one, other) = (random.pick(SERVICES), random.pick(SERVICES));
        put!(out, "  tcp:\n  - route: [{{destination: {{host: {one}, port: {{number: 9000}}}}, weight: 30}}, ");
        put!(out, "      {{destination: {{host: {other}}}, weight: 70}}]");
    }
}

fn http_rule(random: &mut Random, out: &mut String) {
    let matches: Vec<String> = (0..random.below(4)).map(|_| http_match(random)).collect();
    if !matches.is_empty() {
        put!(out, "    match:");
        for condition in &matches {
            put!(out, "    - {{{condition}}}");
        }
    }
    // Only a prefix that was matched can be replaced.
    let by_prefix = matches.iter().all(|it| !it.contains("uri: ") || it.contains("uri: {prefix"));
    match random.below(8) {
        0 => put!(out, "    redirect: {{{}}}", redirect(random, by_prefix)),
        1 => put!(out, "    directResponse: {{status: {}, body: {{string: text}}}}", 200 + random.below(300)),
        _ => http_route(random, out),
    }
    if random.one_in(4) {
        put!(out, "    headers:\n      request: {{set: {{x-route: '%REQ(:path)%'}}, remove: [x-user]}}");
        put!(out, "      response: {{add: {{x-seen: 'a'}}}}");
    }
}

fn string_match(random: &mut Random, values: &[&str]) -> String {
    match random.below(5) {
        0 | 1 => format!("{{exact: '{}'}}", random.pick(values)),
        2 => format!("{{prefix: '{}'}}", random.pick(values)),
        3 => format!("{{regex: '{}'}}", random.pick(PATTERNS)),
        _ => "{}".to_owned(),
    }
}

/// Only of a path can a prefix be empty.
fn header_match(random: &mut Random) -> String {
    string_match(random, VALUES).replace("{prefix: ''}", "{prefix: 'b'}")
}

fn http_match(random: &mut Random) -> String {
    let mut fields = Vec::new();
    if !random.one_in(5) {
        fields.push(format!("uri: {}", string_match(random, PATHS)));
    }
    if random.one_in(4) {
        fields.push("ignoreUriCase: true".to_owned());
    }
    if random.one_in(5) {
        fields.push(format!("method: {}", string_match(random, METHODS)));
    }
    if random.one_in(12) {
        fields.push(format!("authority: {}", string_match(random, HOSTS)));
    }
    if random.one_in(15) {
        fields.push(format!("scheme: {}", string_match(random, &["http", "https"])));
    }
    if random.one_in(15) {
        fields.push("port: 80".to_owned());
    }
    for (field, names) in [("headers", HEADERS), ("withoutHeaders", HEADERS), ("queryParams", QUERIES)] {
        if random.one_in(3) {
            let mut tests: Vec<(&str, String)> =
                (0..=random.below(2)).map(|_| (*random.pick(names), header_match(random))).collect();
            tests.dedup_by(|one, other| one.0 == other.0);
            let tests: Vec<String> = tests.iter().map(|(name, test)| format!("'{name}': {test}")).collect();
            fields.push(format!("{field}: {{{}}}", tests.join(", ")));
        }
    }
    fields.join(", ")
}

fn redirect(random: &mut Random, by_prefix: bool) -> &'static str {
    const REDIRECTS: &[&str] = &[
        "prefixRewrite: /p",
        "uri: /new",
        "uri: '/new?x=1', redirectCode: 308",
        "authority: other.com",
        "scheme: https",
        "port: 8443",
        "derivePort: FROM_REQUEST_PORT, scheme: https",
        "authority: 'other.com:9', port: 7, uri: n",
    ];
    let among = if by_prefix { REDIRECTS } else { &REDIRECTS[1..] };
    among[random.below(among.len())]
}

fn http_route(random: &mut Random, out: &mut String) {
    put!(out, "    route:");
    for destination in 0..=random.below(3) {
        let host = random.pick(SERVICES);
        let subset = random.pick(&["", ", subset: v1", ", subset: v2", ", subset: none"]);
        let port = random.pick(&["", ", port: {number: 80}", ", port: {number: 8080}"]);
        // Not all of them can be zero.
        let weight = if destination == 0 { 10 } else { random.below(3) * 10 };
        put!(out, "    - destination: {{host: {host}{subset}{port}}}\n      weight: {weight}");
        if random.one_in(6) {
            put!(
                out,
                "      headers: {{request: {{set: {{host: dest.com, x-d: '1'}}}}, response: {{remove: [x-gone]}}}}"
            );
        }
    }
    if random.one_in(3) {
        let rewrite = random.pick(&[
            "uri: /",
            "uri: /v2",
            "uri: n",
            "authority: new.com",
            "uri: /x, authority: 'new.com:81'",
            r"uriRegexRewrite: {match: '/a(.*)', rewrite: '/\1'}",
            r"uriRegexRewrite: {match: 'a*', rewrite: '-'}",
            r"uriRegexRewrite: {match: '(o+)|x', rewrite: '[\1\9]'}",
        ]);
        put!(out, "    rewrite: {{{rewrite}}}");
    }
    if random.one_in(3) {
        put!(out, "    timeout: {}s", 1 + random.below(20));
    }
    if random.one_in(4) {
        let retries = random.pick(&[
            "attempts: 0",
            "attempts: 3, perTryTimeout: 2s",
            "attempts: 1, retryOn: '5xx,404', backoff: 10ms",
        ]);
        put!(out, "    retries: {{{retries}}}");
    }
    if random.one_in(5) {
        put!(out, "    mirrors: [{{destination: {{host: cart, port: {{number: 80}}}}, percentage: {{value: 12.5}}}}]");
    }
    if random.one_in(6) {
        let fault = random.pick(&[
            "delay: {fixedDelay: 5s, percentage: {value: 50}}",
            "abort: {httpStatus: 503, percentage: {value: 0.1}}",
            "abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}, delay: {fixedDelay: 1s}",
        ]);
        put!(out, "    fault: {{{fault}}}");
    }
    if random.one_in(6) {
        put!(out, "    corsPolicy:\n      allowOrigins: [{{exact: 'https://a'}}, {{regex: '.*b'}}, {{prefix: c}}]");
        put!(
            out,
            "      allowMethods: [GET]\n      allowHeaders: [x-a]\n      maxAge: 24h\n      allowCredentials: true"
        );
    }
}
