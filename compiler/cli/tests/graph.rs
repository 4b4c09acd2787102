//! `malha graph`: golden files of examples, and what a graph of any mesh holds.

#[path = "support/command.rs"]
mod command;
#[path = "support/graph_syntax.rs"]
mod graph_syntax;

use command::{Told, malha, tree};
use graph_syntax::{dot, mermaid};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout exists")
}

fn graph(directory: &Path, arguments: &[&str]) -> Told {
    let told = malha(directory, &[&["graph"], arguments].concat());
    assert_eq!(told.status, 0, "{}", told.err);
    told
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("graph-{name}"), text));
}

/// A root and its delegate, a rule behind one that takes everything, shares, a mirror, a policy, answers of the proxy's
/// own, a rule for one namespace, and names that are syntax elsewhere.
const ALL: &str = r#"apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*"]
  - port: {number: 443, name: tls, protocol: TLS}
    tls: {mode: PASSTHROUGH}
    hosts: [bank.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
  - match: [{uri: {prefix: /cart}}]
    delegate: {name: cart}
  - match: [{headers: {x: {exact: '"]; <b> -> #35; | \N `'}}}]
    redirect: {uri: /}
  - match: [{uri: {exact: /cart/old}}]
    route: [{destination: {host: orders}}]
  - route:
    - destination: {host: orders, subset: v1}
      weight: 90
    - destination: {host: orders, subset: v9}
      weight: 10
    mirror: {host: audit}
    mirrorPercentage: {value: 12.5}
  - directResponse: {status: 503}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  http:
  - route: [{destination: {host: cart}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bank, namespace: shop}
spec:
  hosts: [bank.example.com]
  gateways: [shop]
  tls:
  - match: [{sniHosts: [bank.example.com]}]
    route: [{destination: {host: bank.example.com, port: {number: 443}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inside, namespace: shop}
spec:
  hosts: [cart]
  exportTo: ["."]
  http:
  - match: [{sourceLabels: {app: web}}]
    route: [{destination: {host: cart}}]
  - route: [{destination: {host: cart}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: shop}
spec:
  host: orders
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank, namespace: shop}
spec:
  hosts: [bank.example.com]
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS}]
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders-v1, namespace: shop}
spec: {selector: {matchLabels: {app: orders}}, template: {metadata: {labels: {app: orders, version: v1}}}}
"#;

#[test]
fn a_mesh_of_everything() {
    let mesh = tree(&[("mesh.yaml", ALL)]);
    let drawn = graph(mesh.path(), &["--format", "dot"]);
    snapshot("everything-dot", &drawn.out);
    assert_eq!(drawn.err, "not drawn: 1 rule that no gateway and no client without labels executes\n");
    let drawn = dot(&drawn.out);
    let node = |begin: &str| {
        drawn.nodes.iter().find(|node| node.label.starts_with(begin)).unwrap_or_else(|| panic!("{begin}"))
    };
    let edge = |from: &str, to: &str| {
        let (from, to) = (&node(from).id, &node(to).id);
        let edge = drawn.edges.iter().find(|edge| edge.from == *from && edge.to == *to);
        edge.unwrap_or_else(|| panic!("{from} -> {to}")).attributes.clone()
    };
    // The delegate takes what is below /cart, so the rule for /cart/old is dead; so is what follows the catch-all.
    for dead in ["shop/shop http[2]", "shop/shop http[4]"] {
        assert!(node(dead).label.ends_with("never reached"), "{dead}");
    }
    assert!(!node("shop/shop http[0]").label.contains("never"));
    edge("shop/shop http[0]", "shop/cart http[0]");
    assert!(edge("shop/shop http[3]", "shop/orders\\nsubset v1").contains("90%"));
    assert!(edge("shop/shop http[3]", "shop/orders\\nsubset v9").contains("10% :80 missing"));
    let mirror = edge("shop/shop http[3]", "audit.shop");
    assert!(mirror.contains("dashed") && mirror.contains("mirror 12.5%"), "{mirror}");
    edge("bank.example.com", "shop/bank tls[0]");
    edge("DestinationRule\\nshop/orders", "shop/orders\\nsubset v2");
    edge("shop/orders\\nsubset v1", "shop/orders-v1");
    edge("cart.shop.svc.cluster.local", "shop/inside http[1]");
}

#[test]
fn every_format_draws_the_same() {
    let mesh = tree(&[("mesh.yaml", ALL)]);
    let (dots, chart) =
        (graph(mesh.path(), &["--format", "dot"]).out, graph(mesh.path(), &["--format", "mermaid"]).out);
    let svg = graph(mesh.path(), &[]).out;
    let (dots, chart) = (dot(&dots), mermaid(&chart));
    assert_eq!(dots.nodes.len(), chart.nodes.len());
    let ends = |edges: &[graph_syntax::Edge]| {
        edges.iter().map(|edge| (edge.from.clone(), edge.to.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ends(&dots.edges), ends(&chart.edges));
    assert_eq!(svg.matches("<title>").count(), dots.nodes.len());
    assert_eq!(svg.matches("<path d=\"M").count(), dots.edges.len() + 1, "and the arrow's head");
    // Every text is told, in none as what it would be there.
    assert!(svg.contains(r#"header x = "]; &lt;b&gt; -&gt; #35; | \N `"#), "{svg}");
    assert_is_xml(&svg);
}

fn assert_is_xml(svg: &str) {
    let mut reader = quick_xml::Reader::from_str(svg);
    let mut depth = 0;
    loop {
        match reader.read_event().expect("XML") {
            quick_xml::events::Event::Start(_) => depth += 1,
            quick_xml::events::Event::End(_) => depth -= 1,
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
}

#[test]
fn examples_are_drawn() {
    for name in ["conflict", "mirror", "subset-typo", "egress"] {
        let path = format!("examples/simul-shop/{name}");
        let told = graph(&root(), &["--format", "mermaid", &path]);
        mermaid(&told.out);
        snapshot(&format!("simul-shop-{name}"), &format!("{}{}", told.out, told.err));
    }
    snapshot("simul-shop-conflict-svg", &graph(&root(), &["examples/simul-shop/conflict"]).out);
}

#[test]
fn a_focus_keeps_what_leads_there_and_on() {
    let mesh = tree(&[("mesh.yaml", ALL)]);
    let labels = |name: &str| {
        let drawn = dot(&graph(mesh.path(), &["--format", "dot", "--focus", name]).out);
        drawn
            .nodes
            .into_iter()
            .map(|node| node.label.split("\\n").next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        labels("audit.shop.svc.cluster.local"),
        ["gateway istio-system/shop", "shop.example.com", "shop/shop http[3]", "audit.shop.svc.cluster.local"]
    );
    assert_eq!(labels("orders-v1"), labels("shop/orders-v1"));
    assert!(labels("shop/cart").contains(&"clients in the mesh".to_owned()));
    let told = malha(mesh.path(), &["graph", "--focus", "nobody"]);
    assert_eq!((told.status, told.out.as_str()), (2, ""));
    assert!(told.err.starts_with("malha: nothing in the graph is called `nobody`"), "{}", told.err);
}

#[test]
fn the_order_of_files_does_not_matter() {
    let documents: Vec<&str> = ALL.split("---\n").collect();
    let files = |reversed: bool| {
        let mut named: Vec<(String, &str)> = Vec::new();
        for (number, text) in documents.iter().enumerate() {
            let number = if reversed { documents.len() - number } else { number };
            named.push((format!("{number:02}.yaml"), text));
        }
        tree(&named.iter().map(|(name, text)| (name.as_str(), *text)).collect::<Vec<_>>())
    };
    for format in ["svg", "dot", "mermaid"] {
        let pages = [false, true].map(|reversed| graph(files(reversed).path(), &["--format", format]).out);
        assert_eq!(pages[0], pages[1]);
    }
}

#[test]
fn graphviz_draws_it() {
    // Where it is not installed, the reader of this test's own has the last word.
    let Ok(version) = Command::new("dot").arg("-V").stderr(Stdio::null()).status() else { return };
    assert!(version.success());
    let mesh = tree(&[("mesh.yaml", ALL)]);
    fs::write(mesh.path().join("mesh.dot"), graph(mesh.path(), &["--format", "dot"]).out).expect("a file");
    let drawn = Command::new("dot").args(["-Tsvg", "mesh.dot"]).current_dir(mesh.path()).output().expect("dot runs");
    assert!(drawn.status.success() && drawn.stderr.is_empty(), "{}", String::from_utf8_lossy(&drawn.stderr));
    let (svg, own) =
        (String::from_utf8_lossy(&drawn.stdout).into_owned(), graph(mesh.path(), &["--format", "dot"]).out);
    assert_eq!(svg.matches("class=\"node\"").count(), dot(&own).nodes.len());
}
