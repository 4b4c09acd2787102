//! `malha route`: where a request enters, and what is said where nothing takes it.

#[path = "support/command.rs"]
mod command;

use command::{GOOD, Told, malha, tree};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// Services that some clients see and others do not.
const SERVICES: &str = "apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec:
  ports:
  - {name: http, port: 8000}
  - {name: http-admin, port: 8001}
---
apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: bank, annotations: {networking.istio.io/exportTo: 'bank,audit'}}
spec:
  ports:
  - {name: http, port: 8000}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: ['*.example.org']
  ports:
  - {number: 8080, name: http, protocol: HTTP}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  type: ExternalName
  externalName: db.example.com
  ports:
  - {name: http, port: 80}
";

fn mesh() -> TempDir {
    tree(&[GOOD, &[("services.yaml", SERVICES)]].concat())
}

fn route(mesh: &TempDir, words: &[&str]) -> Told {
    malha(mesh.path(), &[&["route"], words].concat())
}

fn decision(mesh: &TempDir, words: &[&str]) -> Value {
    let told = route(mesh, &[&["--format", "json"], words].concat());
    serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{words:?}: {}", told.err))
}

#[test]
fn a_proxy_says_itself_what_it_is() {
    let mesh = mesh();
    let client = decision(&mesh, &["--proxy", "shop/app=web", "http://orders.shop:8000/"]);
    assert_eq!((&client["outcome"], &client["proxy"]["namespace"]), (&"no-endpoints".into(), &"shop".into()));
    // The gateway has the port; the client is asked all the same.
    let client = decision(&mesh, &["--proxy", "shop/app=web", "http://shop.example/cart/"]);
    assert_eq!((&client["outcome"], &client["proxy"]["namespace"]), (&"passthrough".into(), &"shop".into()));
    let gateway = decision(&mesh, &["--proxy", "istio-system/istio=ingressgateway", "http://shop.example/cart/"]);
    assert_eq!(gateway["outcome"], "forward");

    for via in ["gateway", "gateway/default/shop"] {
        let told = route(&mesh, &["--via", via, "--proxy", "shop/app=web", "http://shop.example/cart/"]);
        assert_eq!((told.status, told.out.as_str()), (2, ""));
        let expected =
            format!("no Gateway selects the proxy shop/app=web, and `--via {via}` asks a gateway\n  help: leave out");
        assert!(told.err.contains(&expected), "{}", told.err);
    }
}

#[test]
fn gateways_are_called_by_either_name() {
    let mesh = mesh();
    let shown = malha(mesh.path(), &["show", "listeners", "--format", "json"]);
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    let name =
        shown["listeners"][0]["proxy"].as_str().and_then(|name| name.strip_prefix("gateway ")).expect("a gateway");
    for name in [name, "default/shop"] {
        let told = decision(&mesh, &["--via", &format!("gateway/{name}"), "http://shop.example/cart/"]);
        assert_eq!(told["outcome"], "forward", "{name}");
    }
}

#[test]
fn ways_in_that_are_not_there_are_answered_with_those_that_are() {
    let mesh = mesh();
    for (via, expected) in [
        (
            "gateway/default/shopp",
            "there is no Gateway or gateway proxy default/shopp\n  help: did you mean `--via gateway/default/shop`?",
        ),
        ("default/shop", "help: did you mean `--via gateway/default/shop`?"),
        ("mash", "help: did you mean `--via mesh`?"),
        ("gateway/edge/public", "help: there are gateway/default/shop, gateway/istio-system/shop, and `mesh`"),
    ] {
        let told = route(&mesh, &["--via", via, "http://shop.example/"]);
        assert!(told.status == 2 && told.err.contains(expected), "{via}: {}", told.err);
    }
    let none = tree(&[("services.yaml", SERVICES)]);
    let told = route(&none, &["--via", "gateway/edge/public", "http://shop.example/"]);
    assert!(told.err.contains("help: no Gateway is in these files"), "{}", told.err);
}

#[test]
fn what_is_no_url_is_said_to_be_none() {
    let mesh = tree(&[("istio/mesh.yaml", SERVICES)]);
    for (name, what) in [("istio", "directory"), ("istio/mesh.yaml", "file")] {
        let told = route(&mesh, &[name]);
        assert_eq!(told.status, 2);
        assert!(told.err.contains(&format!("no URL is given: `{name}` is a {what}")), "{}", told.err);
        assert!(told.err.contains(&format!("malha route http://simul-shop.com/login {name}")), "{}", told.err);
    }
    assert!(Path::new(mesh.path()).join("istio").exists());
    assert_eq!(route(&mesh, &["http://istio/"]).status, 0, "a host may be called as a directory is");
}

#[test]
fn what_nothing_takes_is_told_apart() {
    let mesh = mesh();
    for (proxy, url, reason, message, help) in [
        (
            "shop/app=web",
            "http://orders:81/",
            "port-undefined",
            "Service shop/orders (services.yaml:3) has no port 81; it has 8000 (http), 8001 (http-admin)",
            "ask for `orders:8000`",
        ),
        (
            "shop/app=web",
            "http://api.example.org/",
            "port-undefined",
            "ServiceEntry shop/outside (services.yaml:18) has no port 80; it has 8080 (http)",
            "ask for `api.example.org:8080`",
        ),
        (
            "shop/app=web",
            "http://ledger.bank:8000/",
            "host-not-exported",
            "`ledger.bank` is not exported to namespace `shop`, where the proxy is: \
             Service bank/ledger (services.yaml:11) is exported to `audit`, `bank` only",
            "add `shop` or `*` to its `exportTo`",
        ),
        (
            "shop/app=web",
            "http://db.shop/",
            "host-is-alias",
            "Service shop/db (services.yaml:26) stands for `db.example.com`, which is no service here",
            "add a ServiceEntry for `db.example.com`",
        ),
        (
            "shop/app=web",
            "http://ordres:8000/",
            "host-unknown",
            "no Service or ServiceEntry in these files has the host `ordres`",
            "did you mean `orders`?",
        ),
        (
            "shop/app=web",
            "http://orders.shopp:8000/",
            "host-unknown",
            "no Service or ServiceEntry in these files has the host `orders.shopp`",
            "did you mean `orders.shop`?",
        ),
    ] {
        let told = decision(&mesh, &["--proxy", proxy, url]);
        let text = |key: &str| told["unknown"][key].as_str().unwrap_or_default().to_owned();
        assert_eq!((text("reason").as_str(), text("message").as_str()), (reason, message), "{url}");
        assert!(text("help").starts_with(help), "{url}: {}", told["unknown"]);
        let page = route(&mesh, &["--proxy", proxy, url]).out;
        assert!(page.contains(&format!("why         {message}\n")), "{page}");
        assert!(page.contains(&format!("help        {help}")), "{page}");
    }
    assert_eq!(decision(&mesh, &["--proxy", "audit/app=x", "http://ledger.bank:8000/"])["unknown"], Value::Null);
    assert_eq!(decision(&mesh, &["--via", "mesh", "http://10.0.0.1/"])["unknown"], Value::Null);

    let told = decision(&mesh, &["http://shop.example:81/"]);
    let help = "no gateway listens on port 81, so a sidecar was asked; gateways listen on 80";
    assert_eq!((&told["outcome"], &told["unknown"]["help"]), (&"passthrough".into(), &help.into()));
}

#[test]
fn hosts_outside_of_the_cluster_that_begin_alike_are_no_slips() {
    let outside = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: shop}\nspec:\n  \
                   hosts: [www.widgets.example]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n";
    let mesh = tree(&[("outside.yaml", outside)]);
    let told = decision(&mesh, &["--via", "mesh", "http://www.gadgets.test/"]);
    assert_eq!((&told["unknown"]["reason"], &told["unknown"]["help"]), (&"host-unknown".into(), &Value::Null));
}

#[test]
fn a_wildcard_that_a_sidecar_leaves_out_is_named_with_it() {
    let sidecar = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: narrow, namespace: shop}\nspec:\n  \
                   egress:\n  - hosts: [./orders.shop.svc.cluster.local]\n";
    let mesh = tree(&[GOOD, &[("services.yaml", SERVICES), ("sidecar.yaml", sidecar)]].concat());
    let told = decision(&mesh, &["--proxy", "shop/app=web", "http://api.example.org:8080/"]);
    assert_eq!(told["unknown"]["reason"], "host-not-let-through", "{told}");
    assert_eq!(
        told["unknown"]["message"],
        "Sidecar shop/narrow (sidecar.yaml:3) does not let `*.example.org` through, which ServiceEntry shop/outside \
         (services.yaml:18) has"
    );
    assert_eq!(told["unknown"]["help"], "add `shop/*.example.org` to its `egress[].hosts`");
}

#[test]
fn a_connection_of_bytes_is_told_as_one() {
    let bytes = "apiVersion: v1\nkind: Service\nmetadata: {name: postgres, namespace: db}\nspec: {ports: [{name: tcp, port: 5432}]}\n";
    let mesh = tree(&[GOOD, &[("postgres.yaml", bytes)]].concat());
    for words in [&["tcp://postgres.db:5432"][..], &["--port", "5432", "tcp://postgres.db"]] {
        let told = route(&mesh, &[&["--via", "mesh"], words].concat());
        assert!(told.out.starts_with("connection    postgres.db"), "{}{}", told.out, told.err);
        assert!(told.out.contains("destination   postgres.db.svc.cluster.local:5432"), "{}", told.out);
    }
    let told = route(&mesh, &["-X", "PUT", "tcp://postgres.db:5432"]);
    assert!(told.status == 2 && told.err.contains("have no method and no headers"), "{}", told.err);
}
