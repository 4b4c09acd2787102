//! How a session begins and ends.

use crate::client::{Client, codes};
use crate::command::{GOOD, tree};
use serde_json::{Value, json};

#[test]
fn a_session_that_is_shut_down_ends_well() {
    let mut client = Client::new(tree(GOOD));
    assert_eq!(client.ask("shutdown", Value::Null), Value::Null);
    let refused = client.response("textDocument/hover", json!({}));
    assert_eq!(refused["error"]["code"], -32600);
    client.notify("exit", Value::Null);
    assert_eq!(client.end(), 0);
}

#[test]
fn an_exit_without_shutdown_is_an_error() {
    let mut client = Client::new(tree(GOOD));
    client.notify("exit", Value::Null);
    assert_eq!(client.end(), 1);
}

#[test]
fn an_editor_that_goes_away_ends_the_server() {
    assert_eq!(Client::new(tree(GOOD)).end(), 1);
}

#[test]
fn nothing_is_answered_before_initialize() {
    let mut client = Client::silent(tree(GOOD));
    let refused = client.response("textDocument/hover", json!({}));
    assert_eq!(refused["error"]["code"], -32002);
    client.notify("exit", Value::Null);
    assert_eq!(client.end(), 1);
}

#[test]
fn what_is_not_served_or_not_understood_is_refused_and_the_server_goes_on() {
    let mut client = Client::new(tree(GOOD));
    assert_eq!(client.response("textDocument/rename", json!({}))["error"]["code"], -32601);
    assert_eq!(client.response("textDocument/hover", json!({ "position": 1 }))["error"]["code"], -32602);
    client.notify("textDocument/didOpen", json!("nonsense"));
    client.notify("$/somethingOfTheEditor", json!({}));
    assert_eq!(codes(&client.open_file("routes.yaml")), Vec::<&str>::new());
}

#[test]
fn the_editor_is_asked_to_tell_of_changes_on_the_disk() {
    let mut client = Client::silent(tree(GOOD));
    let watching = json!({ "workspace": { "didChangeWatchedFiles": { "dynamicRegistration": true } } });
    client.ask("initialize", json!({ "capabilities": watching, "rootUri": client.uri("") }));
    client.notify("initialized", json!({}));
    let asked = client.told(|message| message["method"] == "client/registerCapability").expect("it is asked");
    assert_eq!(asked["params"]["registrations"][0]["method"], "workspace/didChangeWatchedFiles");
    client.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": null }));

    client.open_file("routes.yaml");
    let other = client.directory.path().join("gateway.yaml");
    let text = std::fs::read_to_string(&other).expect("it is there").replace("name: shop\n", "name: shops\n");
    std::fs::write(&other, text).expect("a file");
    let changes = json!([{ "uri": client.uri("gateway.yaml"), "type": 2 }]);
    client.notify("workspace/didChangeWatchedFiles", json!({ "changes": changes }));
    assert_eq!(codes(&client.findings("routes.yaml")), ["H007"]);
}

#[test]
fn a_malha_toml_that_is_not_understood_is_told_and_waited_out() {
    let mut client = Client::new(tree(&[GOOD, &[("malha.toml", "[mesh]\nregistry = \"shut\"\n")]].concat()));
    client.open_file("routes.yaml");
    let told = client.told(|message| message["method"] == "window/showMessage").expect("it is told");
    assert!(told["params"]["message"].as_str().expect("words").contains("registry"), "{told}");

    std::fs::write(client.directory.path().join("malha.toml"), "[mesh]\nregistry = \"closed\"\n").expect("a file");
    std::fs::remove_file(client.directory.path().join("gateway.yaml")).expect("it was there");
    let changes = json!([{ "uri": client.uri("malha.toml"), "type": 2 }]);
    client.notify("workspace/didChangeWatchedFiles", json!({ "changes": changes }));
    assert_eq!(codes(&client.findings("routes.yaml")), ["H007"]);
}

#[test]
fn settings_that_break_meanwhile_leave_the_rest_as_it_was() {
    let mut client = Client::new(tree(&[GOOD, &[("malha.toml", "")]].concat()));
    assert!(client.open_file("routes.yaml").is_empty());
    std::fs::write(client.directory.path().join("malha.toml"), "[mesh\n").expect("a file");
    let changes = json!([{ "uri": client.uri("malha.toml"), "type": 2 }]);
    client.notify("workspace/didChangeWatchedFiles", json!({ "changes": changes }));
    client.told(|message| message["method"] == "window/showMessage").expect("it is told");
    let text = std::fs::read_to_string(client.directory.path().join("routes.yaml")).expect("it is there");
    assert_eq!(codes(&client.replace("routes.yaml", &text.replace("[shop]", "[shot]"))), ["H007"]);
    assert!(client.told(|message| message["method"] == "window/showMessage").is_none(), "once is enough");
}

#[test]
fn a_change_counts_though_the_mesh_config_cannot_be_read_for_a_moment() {
    let settings = [("malha.toml", "[mesh]\nconfig = \"mesh/config\"\n"), ("mesh/config", "{}\n")];
    let mut client = Client::new(tree(&[GOOD, &settings].concat()));
    assert!(client.open_file("routes.yaml").is_empty());
    let root = client.directory.path().to_owned();
    std::fs::rename(root.join("mesh/config"), root.join("mesh/away")).expect("it is there");
    let gateway = std::fs::read_to_string(root.join("gateway.yaml")).expect("it is there");
    std::fs::write(root.join("gateway.yaml"), gateway.replace("name: shop\n", "name: shops\n")).expect("a file");
    let changes =
        json!([{ "uri": client.uri("gateway.yaml"), "type": 2 }, { "uri": client.uri("mesh/config"), "type": 3 }]);
    client.notify("workspace/didChangeWatchedFiles", json!({ "changes": changes }));
    client.told(|message| message["method"] == "window/showMessage").expect("it is told");
    std::fs::rename(root.join("mesh/away"), root.join("mesh/config")).expect("it is there");
    let changes = json!([{ "uri": client.uri("mesh/config"), "type": 1 }]);
    client.notify("workspace/didChangeWatchedFiles", json!({ "changes": changes }));
    assert_eq!(codes(&client.findings("routes.yaml")), ["H007"]);
}
