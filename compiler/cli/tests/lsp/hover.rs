//! Hover.

use crate::client::Client;
use crate::command::tree;

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
";

const RULES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http:
  - match:
    - uri: {exact: /a/special}
    directResponse: {status: 201}
  - match:
    - uri: {prefix: /a}
    timeout: 5s
    directResponse: {status: 200}
  - match: [{uri: {prefix: /a/c}}]
    directResponse: {status: 404}
  - directResponse: {status: 503}
";

/// What is told of the first place of `place`, its mark counted.
fn hover(text: &str, place: &str) -> String {
    let marked = text.replacen(&place.replace('|', ""), place, 1);
    let mut client = Client::new(tree(&[("shop.yaml", text), ("gateway.yaml", GATEWAY)]));
    let told = client.at_mark("textDocument/hover", "shop.yaml", &marked);
    told["contents"]["value"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_field_says_what_it_is_for() {
    let told = hover(RULES, "time|out: 5s");
    assert!(told.starts_with("`timeout` (string)\n\nTime allowed for the whole request"), "{told}");
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\n\
                spec: {host: a, trafficPolicy: {tls: {mode: SIMPLE}}}\n";
    let told = hover(rule, "mode: SIM|PLE");
    assert!(told.contains("`mode`") && told.contains("`SIMPLE`: "), "{told}");
    let told = hover(&RULES.replace("  gateways: [front]\n", ""), "uri: {pre|fix: /a}");
    assert!(told.contains("wins requests of which none can be shown"), "no proxy takes them: {told}");
    assert_eq!(hover("kind: ConfigMap\napiVersion: v1\ndata: {a: b}\n", "a: |b"), "");
}

#[test]
fn a_match_says_what_it_wins_and_who_has_the_rest() {
    let told = hover(RULES, "uri: {pre|fix: /a}");
    assert!(told.contains("**`spec.http[1].match[0]`** wins requests, such as `GET shop.example.com/a"), "{told}");
    let loss = "- `spec.http[0].match[0]` (shop.yaml:10) takes a part, such as `GET shop.example.com/a/special`";
    assert!(told.contains(loss), "{told}");
}

#[test]
fn a_dead_rule_says_so_with_what_its_finding_means() {
    let told = hover(RULES, "uri: {pre|fix: /a/c}");
    assert!(
        told.contains("**`spec.http[2].match[0]`** wins nothing: earlier rules take all that it asks for"),
        "{told}"
    );
    assert!(told.contains("- `spec.http[1].match[0]` (shop.yaml:13) takes a part"), "{told}");
    assert!(told.contains("**R001 rule-shadowed**"), "{told}");
    assert!(told.contains("curl "), "{told}");
}

#[test]
fn a_rule_as_a_whole_tells_of_each_match() {
    let text = RULES.replace("    - uri: {prefix: /a}\n", "    - uri: {prefix: /a}\n    - uri: {prefix: /b}\n");
    let told = hover(&text, "match|:\n    - uri: {prefix: /a}");
    assert!(told.contains("**`spec.http[1].match[0]`**") && told.contains("**`spec.http[1].match[1]`**"), "{told}");
}

#[test]
fn a_delegate_is_told_of_where_it_is_merged() {
    let text = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http:
  - match: [{uri: {prefix: /a}}]
    delegate: {name: part}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: part}
spec:
  http:
  - match: [{uri: {prefix: /a/b}}]
    directResponse: {status: 200}
";
    let told = hover(text, "uri: {pre|fix: /a/b}");
    assert!(
        told.contains("as `default/root` delegates to it wins requests, such as `GET shop.example.com/a/b"),
        "{told}"
    );
}
