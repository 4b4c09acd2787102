//! Why `malha route` answers 503: a case for each reason.

#[path = "support/command.rs"]
mod command;

use command::{malha, tree, write};
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A gateway that sends everything to one destination; `DESTINATION` is written in its place.
const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [shop.example]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
  - route:
    - destination:
        DESTINATION
";

const CART: &str = "apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  selector: {app: cart}
  ports:
  - {name: http, port: 8000}
  - {name: metrics, port: 9000, targetPort: metrics}
";

const CART_PODS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: cart-v1, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart, version: v1}}
    spec: {containers: [{name: cart}]}
";

/// What is wrong, the reason that is told, the destination, and the other files.
type Case = (&'static str, &'static str, &'static str, Vec<(&'static str, String)>);

/// A DestinationRule with the subset `v1`; `MORE` is written in its place.
const RULE: &str = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: NAMESPACE}
spec:
  host: cart.shop.svc.cluster.local
  subsets:
  - {name: v1, labels: {version: v1}}
MORE";

fn rule(namespace: &str, more: &str) -> String {
    RULE.replace("NAMESPACE", namespace).replace("MORE", more)
}

fn entry(more: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: ext, namespace: shop}}
spec:
  hosts: [ext.example]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  {more}
"
    )
}

/// What is said of a destination: for people, and the part of the JSON.
fn told(destination: &str, files: &[(&str, String)]) -> (String, Value) {
    let mesh = tree(&[]);
    write(&mesh, "routes.yaml", &ROUTES.replace("DESTINATION", &destination.replace(", ", "\n        ")));
    for (name, text) in files {
        write(&mesh, name, text);
    }
    let page = malha(mesh.path(), &["route", "http://shop.example/"]).out;
    let report = malha(mesh.path(), &["route", "http://shop.example/", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.out).unwrap_or_else(|_| panic!("{}", report.err));
    let first = page.find("outcome").unwrap_or(0);
    let last = page.find("retries").unwrap_or(page.len());
    (page[first..last].to_owned(), report["unavailable"].clone())
}

#[test]
fn each_reason_is_told() {
    let cart = || ("cart.yaml", CART.to_owned());
    let pods = || ("pods.yaml", CART_PODS.to_owned());
    let by = |namespace: &str, more: &str| ("rule.yaml", rule(namespace, more));
    let v2 = "  - {name: v2, labels: {version: v2}}\n";
    let cases: Vec<Case> = vec![
        ("a slip", "host-unknown", "host: crat, port: {number: 8000}", vec![cart(), pods()]),
        ("cut short", "host-unknown", "host: cart.shop, port: {number: 8000}", vec![cart(), pods()]),
        ("another namespace", "host-unknown", "host: cart.web.svc.cluster.local", vec![cart(), pods()]),
        ("unlike all", "host-unknown", "host: payment", vec![cart(), pods()]),
        ("not exported", "host-not-exported", "host: ext.example", vec![("ext.yaml", entry("exportTo: [.]"))]),
        (
            "an alias",
            "host-is-alias",
            "host: old",
            vec![(
                "old.yaml",
                "apiVersion: v1\nkind: Service\nmetadata: {name: old, namespace: shop}\nspec: {type: ExternalName, \
                 externalName: old.shop.svc.cluster.local, ports: [{name: http, port: 80}]}\n"
                    .to_owned(),
            )],
        ),
        ("no such port", "port-undefined", "host: cart, port: {number: 8080}", vec![cart(), pods()]),
        ("port of the listener", "port-undefined", "host: cart", vec![cart(), pods()]),
        ("no rule", "no-destination-rule", "host: cart, subset: v2, port: {number: 8000}", vec![cart(), pods()]),
        (
            "rule in another namespace",
            "no-destination-rule",
            "host: cart, subset: v1, port: {number: 8000}",
            vec![cart(), pods(), by("web", "")],
        ),
        (
            "rule not exported",
            "no-destination-rule",
            "host: cart, subset: v1, port: {number: 8000}",
            vec![cart(), pods(), by("shop", "  exportTo: [.]\n")],
        ),
        (
            "rule for other clients",
            "no-destination-rule",
            "host: cart, subset: v1, port: {number: 8000}",
            vec![cart(), pods(), by("shop", "  workloadSelector: {matchLabels: {app: web}}\n")],
        ),
        (
            "no such subset",
            "subset-undefined",
            "host: cart, subset: v11, port: {number: 8000}",
            vec![cart(), pods(), by("shop", "")],
        ),
        (
            "subset of a rule behind another",
            "subset-undefined",
            "host: cart, subset: v2, port: {number: 8000}",
            vec![
                cart(),
                pods(),
                by("shop", ""),
                ("more.yaml", rule("istio-system", v2)),
            ],
        ),
        (
            "subset without endpoints",
            "subset-without-endpoints",
            "host: cart, subset: v2, port: {number: 8000}",
            vec![cart(), pods(), by("shop", v2)],
        ),
        ("no pods", "no-endpoints", "host: cart, port: {number: 8000}", vec![cart()]),
        (
            "labels with a slip",
            "no-endpoints",
            "host: cart, port: {number: 8000}",
            vec![cart(), ("pods.yaml", CART_PODS.replace("app: cart", "app: crat"))],
        ),
        ("no such named port", "no-endpoints", "host: cart, port: {number: 9000}", vec![cart(), pods()]),
        (
            "nobody is ready",
            "no-endpoints",
            "host: cart, port: {number: 8000}",
            vec![
                cart(),
                pods(),
                (
                    "slice.yaml",
                    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: cart-x, namespace: shop, \
                     labels: {kubernetes.io/service-name: cart}}\naddressType: IPv4\nports: [{name: http, port: 8000}]\n\
                     endpoints: [{addresses: [10.0.0.1], conditions: {ready: false}}]\n"
                        .to_owned(),
                ),
            ],
        ),
        (
            "no selector",
            "no-endpoints",
            "host: cart, port: {number: 8000}",
            vec![("cart.yaml", CART.replace("  selector: {app: cart}\n", ""))],
        ),
        ("an entry of none", "no-endpoints", "host: ext.example", vec![("ext.yaml", entry("resolution: NONE"))]),
        ("an entry without endpoints", "no-endpoints", "host: ext.example", vec![("ext.yaml", entry("resolution: STATIC"))]),
    ];
    let mut pages = String::new();
    for (name, reason, destination, files) in cases {
        let (page, unavailable) = told(destination, &files);
        writeln!(pages, "# {name}: {destination}\n{page}").expect("a string takes everything");
        assert_eq!(unavailable[0]["reason"], json!(reason), "{name}\n{page}");
        assert_eq!(unavailable[0]["destination"], json!(0), "{name}");
        assert_eq!(unavailable[0]["at"]["file"], json!("routes.yaml"), "{name}");
    }
    assert_snapshot!("unavailable", pages);
}

#[test]
fn the_part_to_blame_is_pointed_at() {
    let files = [("cart.yaml", CART.to_owned()), ("pods.yaml", CART_PODS.to_owned()), ("rule.yaml", rule("shop", ""))];
    let line = |destination: &str| told(destination, &files).1[0]["at"]["line"].clone();
    assert_eq!(line("host: crat, subset: v9, port: {number: 8000}"), json!(19));
    assert_eq!(line("host: cart, subset: v9, port: {number: 8000}"), json!(20));
    assert_eq!(line("host: cart, subset: v9, port: {number: 1}"), json!(21));
    assert_eq!(told("host: cart, subset: v1, port: {number: 8000}", &files).1, Value::Null, "nothing is missing");
}

#[test]
fn of_several_destinations_each_is_told() {
    let mesh = tree(&[("cart.yaml", CART), ("pods.yaml", CART_PODS)]);
    let routes = ROUTES.replace(
        "    - destination:\n        DESTINATION\n",
        "    - {destination: {host: cart, port: {number: 8000}}, weight: 50}\n    \
         - {destination: {host: cart, port: {number: 8001}}, weight: 0}\n    \
         - {destination: {host: cart, port: {number: 8000}, subset: v1}, weight: 30}\n    \
         - {destination: {host: card, port: {number: 8000}}, weight: 20}\n",
    );
    write(&mesh, "routes.yaml", &routes);
    let report = malha(mesh.path(), &["route", "http://shop.example/", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.out).unwrap_or_else(|_| panic!("{}", report.err));
    let told: Vec<_> = report["unavailable"].as_array().into_iter().flatten().collect();
    let told: Vec<_> = told.iter().map(|one| (&one["destination"], &one["reason"], &one["at"]["line"])).collect();
    assert_eq!(
        told,
        [(&json!(1), &json!("no-destination-rule"), &json!(20)), (&json!(2), &json!("host-unknown"), &json!(21)),]
    );
}

#[test]
fn a_delegate_and_a_plain_service_are_told_of_too() {
    let mesh = tree(&[("cart.yaml", CART)]);
    let root = "  - {match: [{uri: {prefix: /cart}}], delegate: {name: carts}}\n";
    let delegate = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: carts, namespace: shop}
spec:
  http:
  - route: [{destination: {host: crat}}]
";
    let routes = ROUTES.replace("  - route:\n    - destination:\n        DESTINATION\n", root);
    write(&mesh, "routes.yaml", &format!("{routes}{delegate}"));
    let unavailable = |arguments: &[&str]| {
        let report = malha(mesh.path(), &[&["route", "--format", "json"], arguments].concat());
        let report: Value = serde_json::from_str(&report.out).unwrap_or_else(|_| panic!("{}", report.err));
        report["unavailable"][0].clone()
    };
    let told = unavailable(&["http://shop.example/cart"]);
    assert_eq!((&told["reason"], &told["at"]["line"]), (&json!("host-unknown"), &json!(24)), "{told}");
    let told = unavailable(&["--via", "mesh", "http://cart.shop:8000/"]);
    assert_eq!((&told["reason"], &told["at"]), (&json!("no-endpoints"), &Value::Null), "{told}");
}
