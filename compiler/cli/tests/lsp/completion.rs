//! Completion.

use crate::client::Client;
use crate::command::tree;
use serde_json::Value;

const MESH: &[(&str, &str)] = &[(
    "mesh.yaml",
    "apiVersion: v1
kind: Service
metadata: {name: cart}
spec:
  ports:
  - {name: http, port: 8000}
  - {name: grpc, port: 9000}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec:
  ports: [{name: http, port: 80}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart}
spec:
  host: cart
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: back, namespace: infra}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
",
)];

const HEAD: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
";

fn complete(marked: &str) -> Vec<Value> {
    let mut client = Client::new(tree(MESH));
    let told = client.at_mark("textDocument/completion", "routes.yaml", marked);
    told.as_array().cloned().unwrap_or_default()
}

fn labels(rest: &str) -> Vec<String> {
    let told = complete(&format!("{HEAD}{rest}"));
    told.iter().map(|item| item["label"].as_str().expect("a label").to_owned()).collect()
}

#[test]
fn fields_are_those_of_the_schema_that_are_not_there_yet() {
    let told = complete(&format!("{HEAD}  h|\n"));
    let labels: Vec<&str> = told.iter().filter_map(|item| item["label"].as_str()).collect();
    assert!(labels.contains(&"http") && labels.contains(&"gateways"), "{labels:?}");
    assert!(!labels.contains(&"hosts"), "it is there: {labels:?}");
    let http = told.iter().find(|item| item["label"] == "http").expect("it is told");
    assert_eq!(http["textEdit"]["newText"], "http:");
    assert_eq!(http["documentation"]["value"], "The rules for HTTP, tried in this order.");
    let range = &http["textEdit"]["range"];
    assert_eq!((&range["start"]["character"], &range["end"]["character"]), (&2.into(), &3.into()));
}

#[test]
fn half_written_yaml_has_a_path() {
    let rule = ["retries", "timeout", "directResponse"];
    for rest in [
        "  http:\n  - match: [{uri: {prefix: /a}}]\n    |\n  - directResponse: {status: 200}\n",
        "  http:\n  - re|\n",
        "  http:\n  - |\n",
        "  http: [{|}]\n",
        "  http: [{name: x, t|}]\n",
        "  http: [{name: x, t|: 5s}]\n",
        "  http:\n    - match:\n        - uri: {prefix: /a}\n      re|\n",
    ] {
        let found = labels(rest);
        assert!(rule.iter().all(|name| found.iter().any(|label| label == name)), "{rest}: {found:?}");
    }
    let found = labels("  http:\n  - match:\n    - uri: {|\n");
    assert_eq!(found, Vec::<String>::new(), "nothing closes it, and what follows may be anything");
}

#[test]
fn a_list_is_offered_its_first_item() {
    let told = complete(&format!("{HEAD}  http:\n  |\n"));
    assert!(told.iter().any(|item| item["label"] == "tls"), "at this depth a field may follow");
    let told = complete(&format!("{HEAD}  http:\n    |\n"));
    let route = told.iter().find(|item| item["label"] == "route").expect("it is told");
    assert_eq!(route["textEdit"]["newText"], "- route:");
}

#[test]
fn choices_are_offered_with_what_they_mean() {
    let text = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  host: cart\n  \
                trafficPolicy:\n    tls:\n      mode: |\n";
    let told = complete(text);
    let mutual = told.iter().find(|item| item["label"] == "ISTIO_MUTUAL").expect("it is told");
    assert!(mutual["documentation"]["value"].is_string());
    assert_eq!(labels("  http:\n  - corsPolicy: {allowCredentials: |}\n"), ["true", "false"]);
}

#[test]
fn names_of_the_mesh_are_offered() {
    let route = |rest: &str| labels(&format!("  http:\n  - route:\n    - destination: {rest}\n"));
    assert_eq!(route("{host: |}"), ["cart", "far.other.svc.cluster.local"]);
    assert_eq!(route("{host: ca|}"), ["cart", "far.other.svc.cluster.local"]);
    assert_eq!(route("{host: cart, subset: |}"), ["v1", "v2"]);
    assert_eq!(route("{host: cart, port: {number: |}}"), ["8000", "9000"]);
    assert_eq!(route("\n        host: cart\n        subset: |"), ["v1", "v2"]);
    assert_eq!(labels("  gateways: [|]\n"), ["infra/back", "front", "mesh"]);
    assert_eq!(labels("  gateways:\n  - |\n"), ["infra/back", "front", "mesh"]);
}

#[test]
fn an_object_begins_with_its_kind() {
    let begin = |text: &str| -> Vec<String> {
        complete(text).iter().map(|item| item["label"].as_str().expect("a label").to_owned()).collect()
    };
    assert_eq!(begin("|"), ["apiVersion", "kind", "metadata", "spec"]);
    assert_eq!(begin("apiVersion: networking.istio.io/v1\n|"), ["kind", "metadata", "spec"]);
    assert!(begin("kind: |\n").contains(&"VirtualService".to_owned()));
    assert!(begin("a: b\n---\nkind: VirtualService\napiVersion: |\n").contains(&"networking.istio.io/v1".to_owned()));
    assert!(begin("kind: VirtualService # he|\n").is_empty(), "a comment");
}
