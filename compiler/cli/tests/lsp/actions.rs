//! Code actions.

use crate::client::Client;
use crate::command::{malha, tree};
use serde_json::{Value, json};

const MATCHES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
  - match:
    - uri: {prefix: /a}
    directResponse: {status: 200}
  - match: [{uri: {prefix: /a/b}}]
    directResponse: {status: 200}
  - match: [{uri: {prefix: /a/c}}]
    directResponse: {status: 404}
  - directResponse: {status: 503}
";

fn actions(client: &mut Client, name: &str, line: u32) -> Vec<Value> {
    let at = json!({ "line": line, "character": 14 });
    let params = json!({
        "textDocument": { "uri": client.uri(name) },
        "range": { "start": at, "end": at },
        "context": { "diagnostics": [] },
    });
    client.ask("textDocument/codeAction", params).as_array().expect("a list").clone()
}

/// The text with the edits of an action.
fn applied(action: &Value, uri: &str, text: &str) -> String {
    let offset = |at: &Value| {
        let number = |key: &str| usize::try_from(at[key].as_u64().expect("a number")).expect("it is small");
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines[..number("line")].iter().map(|line| line.len()).sum::<usize>() + number("character")
    };
    let mut text_ = text.to_owned();
    for edit in action["edit"]["changes"][uri].as_array().expect("edits").iter().rev() {
        let (start, end) = (offset(&edit["range"]["start"]), offset(&edit["range"]["end"]));
        text_.replace_range(start..end, edit["newText"].as_str().expect("a text"));
    }
    text_
}

#[test]
fn fixes_say_whether_they_are_safe() {
    let mut client = Client::new(tree(&[("shop.yaml", MATCHES)]));
    client.open_file("shop.yaml");
    let safe = actions(&mut client, "shop.yaml", 10);
    assert_eq!(safe[0]["title"], "delete `spec.http[1]`");
    assert_eq!((&safe[0]["kind"], &safe[0]["isPreferred"]), (&json!("quickfix"), &json!(true)));
    assert_eq!(safe[0]["diagnostics"][0]["code"], "R001");
    let unsafe_one = actions(&mut client, "shop.yaml", 12);
    let title = unsafe_one[0]["title"].as_str().expect("words");
    assert!(title.starts_with("delete `spec.http[2]` (unsafe"), "{title}");
    assert!(unsafe_one[0].get("isPreferred").is_none());

    let uri = client.uri("shop.yaml");
    let fixed = applied(&safe[0], &uri, MATCHES);
    let lines = "  - match: [{uri: {prefix: /a/b}}]\n    directResponse: {status: 200}\n";
    assert_eq!(fixed, MATCHES.replace(lines, ""));
    assert!(actions(&mut client, "shop.yaml", 0).is_empty(), "there is nothing on that line");
}

#[test]
fn only_what_is_wanted_is_offered() {
    let mut client = Client::new(tree(&[("shop.yaml", MATCHES)]));
    client.open_file("shop.yaml");
    let everything = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let mut ask = |only: &str| {
        let params = json!({
            "textDocument": { "uri": client.uri("shop.yaml") },
            "range": everything,
            "context": { "diagnostics": [], "only": [only] },
        });
        client.ask("textDocument/codeAction", params).as_array().expect("a list").len()
    };
    assert_eq!((ask("quickfix"), ask("refactor")), (4, 0));
}

#[test]
fn comments_are_those_of_add_ignore() {
    for text in [MATCHES.to_owned(), MATCHES.replace('\n', "\r\n")] {
        let mut client = Client::new(tree(&[("shop.yaml", text.as_str())]));
        client.open_file("shop.yaml");
        let uri = client.uri("shop.yaml");
        let mut silenced = text.clone();
        for line in [12, 10] {
            let offered = actions(&mut client, "shop.yaml", line);
            assert_eq!(offered[1]["title"], "silence R001 rule-shadowed here by a comment");
            silenced = applied(&offered[1], &uri, &silenced);
        }
        assert!(client.replace("shop.yaml", &silenced).is_empty());
        malha(client.directory.path(), &["check", "--add-ignore", "."]);
        let written = std::fs::read_to_string(client.directory.path().join("shop.yaml")).expect("it is there");
        assert_eq!(silenced, written);
    }
}

#[test]
fn json_has_no_comments() {
    let text = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": { "name": "shop" },
        "spec": { "hosts": ["a.example"], "htp": [] },
    });
    let mut client = Client::new(tree(&[("shop.json", text.to_string().as_str())]));
    assert!(!client.open_file("shop.json").is_empty());
    let everything = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 9, "character": 0 } });
    let params = json!({
        "textDocument": { "uri": client.uri("shop.json") }, "range": everything, "context": { "diagnostics": [] },
    });
    let offered = client.ask("textDocument/codeAction", params);
    let titles = offered.as_array().expect("a list").iter().map(|action| action["title"].to_string());
    assert!(!titles.into_iter().any(|title| title.contains("comment")), "{offered}");
}
