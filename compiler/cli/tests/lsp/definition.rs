//! Go to definition.

use crate::client::Client;
use crate::command::tree;

const MESH: &[(&str, &str)] = &[
    (
        "services.yaml",
        "apiVersion: v1
kind: Service
metadata: {name: cart}
spec:
  ports:
  - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 443, name: https, protocol: HTTPS}]
",
    ),
    (
        "rules.yaml",
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart-rule}
spec:
  host: cart
  subsets:
  - name: v1
    labels: {version: v1}
",
    ),
    (
        "gateway.yaml",
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: infra}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ['*']
    tls: {mode: SIMPLE, credentialName: front-cert}
---
apiVersion: v1
kind: Secret
metadata: {name: front-cert, namespace: istio-system}
type: kubernetes.io/tls
",
    ),
    (
        "part.yaml",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: part, namespace: other}
spec:
  http:
  - route: [{destination: {host: cart.default.svc.cluster.local}}]
",
    ),
];

const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  gateways: [infra/front, mesh]
  http:
  - match: [{uri: {prefix: /part}, gateways: [infra/front]}]
    delegate: {name: part, namespace: other}
  - match: [{uri: {prefix: /out}}]
    route:
    - destination: {host: api.example.com, port: {number: 443}}
  - route:
    - destination: {host: cart, subset: v1, port: {number: 8000}}
";

/// `file:line` of each place to which the marked one leads.
fn places(name: &str, text: &str, place: &str) -> Vec<String> {
    let marked = text.replacen(&place.replace('|', ""), place, 1);
    assert_ne!(marked, text);
    let mut client = Client::new(tree(MESH));
    let told = client.at_mark("textDocument/definition", name, &marked);
    let directory = format!("{}/", client.uri(""));
    let each = |place: &serde_json::Value| {
        let file = place["uri"].as_str().expect("a URI").strip_prefix(&directory).expect("it is in the directory");
        format!("{file}:{}", place["range"]["start"]["line"].as_u64().expect("a number") + 1)
    };
    told.as_array().into_iter().flatten().map(each).collect()
}

#[test]
fn names_lead_to_what_they_name() {
    let cases: [(&str, &[&str]); 10] = [
        ("destination: {host: ca|rt,", &["services.yaml:3", "rules.yaml:3"]),
        ("host: api.ex|ample.com", &["services.yaml:12"]),
        ("subset: |v1", &["rules.yaml:7"]),
        ("number: 80|00", &["services.yaml:6"]),
        ("gateways: [infra/f|ront, mesh]", &["gateway.yaml:3"]),
        ("gateways: [infra/fr|ont]", &["gateway.yaml:3"]),
        ("name: pa|rt", &["part.yaml:3"]),
        // The key is as good as the value.
        ("sub|set: v1", &["rules.yaml:7"]),
        ("front, me|sh]", &[]),
        ("pre|fix: /out", &[]),
    ];
    for (place, expected) in cases {
        assert_eq!(places("routes.yaml", ROUTES, place), expected, "{place}");
    }
}

#[test]
fn certificates_lie_where_the_proxy_runs() {
    let gateway = MESH[2].1;
    assert_eq!(places("gateway.yaml", gateway, "credentialName: front|-cert"), ["gateway.yaml:13"]);
}

#[test]
fn rules_lead_to_their_service() {
    assert_eq!(places("rules.yaml", MESH[1].1, "host: c|art"), ["services.yaml:3"]);
}

#[test]
fn open_texts_are_where_things_are() {
    let mut client = Client::new(tree(MESH));
    client.open("services.yaml", &format!("# one\n# two\n{}", MESH[0].1));
    let marked = ROUTES.replace("host: cart", "host: ca|rt");
    let told = client.at_mark("textDocument/definition", "routes.yaml", &marked);
    assert_eq!(told[0]["range"]["start"]["line"], 4);
}
