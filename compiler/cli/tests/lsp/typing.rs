//! Findings while typing.

use crate::client::{Client, codes, position};
use crate::command::{GOOD, tree};
use serde_json::{Value, json};

const DEAD: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
  - match:
    - uri: {prefix: /a}
    directResponse: {status: 200}
  - match: [{uri: {prefix: /a/c}}]
    directResponse: {status: 404}
  - directResponse: {status: 503}
";

fn text_of(name: &str) -> &'static str {
    GOOD.iter().find(|(file, _)| *file == name).expect("a file").1
}

fn insert(at: &Value, text: &str) -> Value {
    json!([{ "range": { "start": at, "end": at }, "text": text }])
}

#[test]
fn findings_have_all_that_an_editor_can_show() {
    let mut client = Client::new(tree(&[("shop.yaml", DEAD)]));
    let findings = client.open_file("shop.yaml");
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((&finding["code"], &finding["source"]), (&json!("R001"), &json!("malha")));
    assert_eq!(finding["severity"], 1);
    assert_eq!(finding["tags"], json!([1]), "it can as well be deleted");
    let message = finding["message"].as_str().expect("words");
    assert!(message.starts_with("no request reaches `spec.http[1]`") && message.contains("\nhelp: "), "{message}");
    assert_eq!(finding["range"]["start"], json!({ "line": 10, "character": 12 }));
    let related = &finding["relatedInformation"][0];
    assert_eq!(related["location"]["uri"], client.uri("shop.yaml").as_str());
    assert_eq!(related["location"]["range"]["start"]["line"], 8);
}

#[test]
fn what_is_typed_counts_before_it_is_saved() {
    let mut client = Client::new(tree(GOOD));
    assert!(client.open_file("routes.yaml").is_empty());
    let text = text_of("routes.yaml");
    let at = position(text, text.find("[shop]").expect("the gateway") + 5);
    client.change("routes.yaml", &insert(&at, "s"));
    assert_eq!(codes(&client.findings("routes.yaml")), ["H007"]);
    // Two changes of one message, each in the text that the one before leaves.
    let start = json!({ "line": at["line"], "character": at["character"] });
    let end = json!({ "line": at["line"], "character": at["character"].as_u64().expect("a number") + 1 });
    let changes = json!([
        { "range": { "start": start, "end": start }, "text": "" },
        { "range": { "start": start, "end": end }, "text": "" },
    ]);
    client.change("routes.yaml", &changes);
    assert!(client.findings("routes.yaml").is_empty());
    let on_disk = std::fs::read_to_string(client.directory.path().join("routes.yaml")).expect("it is there");
    assert_eq!(on_disk, text, "the server writes nothing");
}

#[test]
fn a_question_right_behind_a_change_does_not_keep_its_findings_back() {
    let mut client = Client::new(tree(GOOD));
    assert!(client.open_file("routes.yaml").is_empty());
    let uri = client.uri("routes.yaml");
    let change = |version: usize, text: &str| {
        let document = json!({ "uri": uri.as_str(), "version": version });
        let params = json!({ "textDocument": document, "contentChanges": [{ "text": text }] });
        json!({ "jsonrpc": "2.0", "method": "textDocument/didChange", "params": params })
    };
    let place = json!({ "textDocument": { "uri": uri.as_str() }, "position": { "line": 0, "character": 0 } });
    let hover = json!({ "jsonrpc": "2.0", "id": "hover", "method": "textDocument/hover", "params": place });
    let good = text_of("routes.yaml");
    let bad = good.replace("[shop]", "[shot]");
    // While the first change is checked, the second one comes to wait together with the question.
    for (version, (first, second, found)) in
        [(good, bad.as_str(), &["H007"][..]), (bad.as_str(), good, &[])].into_iter().cycle().take(10).enumerate()
    {
        let version = 10 + 2 * version;
        client.send_together(&[change(version, first), change(version + 1, second), hover.clone()]);
        client.wait(|message| message["id"] == "hover");
        assert_eq!(codes(&client.findings("routes.yaml")), found);
    }
}

#[test]
fn another_file_is_told_of_when_its_findings_change() {
    let mut client = Client::new(tree(GOOD));
    assert!(client.open_file("gateway.yaml").is_empty());
    let other = text_of("gateway.yaml").replace("name: shop\n", "name: shops\n");
    client.change("gateway.yaml", &json!([{ "text": other }]));
    assert_eq!(codes(&client.findings("routes.yaml")), ["H007"], "it is not even open");
    client.change("gateway.yaml", &json!([{ "text": text_of("gateway.yaml") }]));
    assert!(client.findings("routes.yaml").is_empty());
}

#[test]
fn a_document_that_is_closed_is_as_on_the_disk() {
    let mut client = Client::new(tree(GOOD));
    client.open_file("cart.yaml");
    let broken = text_of("routes.yaml").replace("[shop]", "[shot]");
    assert_eq!(codes(&client.open("routes.yaml", &broken)), ["H007"]);
    let document = json!({ "uri": client.uri("routes.yaml") });
    client.notify("textDocument/didClose", json!({ "textDocument": document }));
    assert!(client.findings("routes.yaml").is_empty());
}

#[test]
fn broken_text_is_a_finding_and_stops_nothing() {
    let mut client = Client::new(tree(GOOD));
    let text = text_of("routes.yaml");
    for end in (0..text.len()).step_by(7) {
        client.open("routes.yaml", &text[..end]);
    }
    assert_eq!(codes(&client.replace("routes.yaml", "a: [\n")), ["Y001"]);
    assert!(client.replace("routes.yaml", text).is_empty());
}

#[test]
fn a_file_that_is_not_saved_yet_is_of_its_mesh() {
    let mut client = Client::new(tree(&[GOOD, &[("malha.toml", "")]].concat()));
    let other = text_of("routes.yaml").replace("name: shop\n", "name: other\n").replace("[shop]", "[shot]");
    assert_eq!(codes(&client.open("new.yaml", &other)).first(), Some(&"H007"));
}

#[test]
fn meshes_are_not_mixed() {
    let other = text_of("routes.yaml").replace("[shop]", "[shot]");
    let mut client =
        Client::new(tree(&[GOOD, &[("other/malha.toml", ""), ("other/routes.yaml", other.as_str())]].concat()));
    assert!(client.open_file("routes.yaml").is_empty());
    assert!(!codes(&client.open_file("other/routes.yaml")).is_empty());
}

#[test]
fn characters_count_as_the_protocol_counts_them() {
    let mut client = Client::new(tree(GOOD));
    // Two units each, four bytes; and one unit, two bytes.
    let head = text_of("routes.yaml").replace("    - destination: {host: cart}\n", "");
    let destination = "destination: {host: cart, subset: v9}";
    let text = format!("{head}    - {{headers: {{request: {{set: {{x-a: 𝄞𝄞ä}}}}}}, {destination}}}\n");
    let findings = client.open("routes.yaml", &text);
    assert_eq!(codes(&findings), ["D001"]);
    let at = text.find("v9").expect("the subset");
    assert_eq!(findings[0]["range"], json!({ "start": position(&text, at), "end": position(&text, at + 2) }));
    // An edit behind them.
    let range = json!({ "start": position(&text, at - 10), "end": position(&text, at + 2) });
    client.change("routes.yaml", &json!([{ "range": range, "text": "" }]));
    assert!(client.findings("routes.yaml").is_empty());
}

#[test]
fn several_documents_and_other_line_breaks_have_their_places() {
    let two = format!("{}---\n{}", text_of("gateway.yaml"), text_of("routes.yaml").replace("[shop]", "[shot]"));
    for text in [two.clone(), two.replace('\n', "\r\n")] {
        let mut client = Client::new(tree(&[("cart.yaml", text_of("cart.yaml"))]));
        let findings = client.open("both.yaml", &text);
        assert_eq!(codes(&findings), ["H007"]);
        let at = text.find("shot").expect("the gateway");
        assert_eq!(findings[0]["range"], json!({ "start": position(&text, at), "end": position(&text, at + 4) }));
        let range = json!({ "start": position(&text, at + 3), "end": position(&text, at + 4) });
        client.change("both.yaml", &json!([{ "range": range, "text": "p" }]));
        assert!(client.findings("both.yaml").is_empty());
    }
}

#[test]
fn keystrokes_that_wait_are_checked_together() {
    let mut client = Client::new(tree(GOOD));
    client.open_file("routes.yaml");
    let text = text_of("routes.yaml");
    let at = position(text, text.find("[shop]").expect("the gateway") + 5);
    for _ in 0..50 {
        client.change("routes.yaml", &insert(&at, "s"));
    }
    let findings = client.findings("routes.yaml");
    assert!(findings[0]["message"].as_str().expect("words").contains(&format!("/shop{}`", "s".repeat(50))));
}

#[test]
fn a_request_that_is_cancelled_has_an_answer() {
    let mut client = Client::new(tree(GOOD));
    client.open_file("routes.yaml");
    let place =
        json!({ "textDocument": { "uri": client.uri("routes.yaml") }, "position": { "line": 0, "character": 0 } });
    client.send(&json!({ "jsonrpc": "2.0", "id": "slow", "method": "textDocument/hover", "params": place }));
    client.notify("$/cancelRequest", json!({ "id": "slow" }));
    let answer = client.wait(|message| message["id"] == "slow");
    assert!(answer["error"]["code"] == -32800 || answer.get("result").is_some(), "{answer}");
}
