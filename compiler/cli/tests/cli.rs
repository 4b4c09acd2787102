//! The command as people and programs use it: what it prints, and how it ends.

#[path = "support/command.rs"]
mod command;

use command::{GOOD, malha, malha_with_input, tree, write};
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A misspelt field, a Gateway that does not exist, and a broken document.
const BROKEN: &[(&str, &str)] = &[
    (
        "misspelt.yaml",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: misspelt
spec:
  hosts: [shop.example]
  http:
  - route:
    - destination: {host: cart}
      weigth: 10
",
    ),
    (
        "unbound.yaml",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: unbound
spec:
  hosts: [shop.example]
  gateways: [shoop]
  http:
  - route:
    - destination: {host: cart}
---
kind: [
",
    ),
    ("values.yaml", "replicas: 2\n"),
];

fn both(first: &[(&'static str, &'static str)], second: &[(&'static str, &'static str)]) -> TempDir {
    tree(&[first, second].concat())
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let mesh = both(GOOD, BROKEN);
    let pretty = malha(mesh.path(), &["check"]);
    assert_eq!(pretty.status, 1, "{}", pretty.err);
    assert_snapshot!("check_pretty", pretty.out);
    let concise = malha(mesh.path(), &["check", "--format", "concise", "."]);
    assert_eq!(concise.status, 1);
    assert_snapshot!("check_concise", concise.out);
    let report = malha(mesh.path(), &["check", "--format", "json", "."]);
    assert_eq!(report.status, 1);
    assert_snapshot!("check_json", report.out);
}

#[test]
fn check_is_content_with_a_good_mesh() {
    let mesh = tree(GOOD);
    let told = malha(mesh.path(), &["check"]);
    assert_eq!((told.status, told.out.as_str()), (0, "nothing found (4 objects in 3 files)\n"));
    let report = malha(mesh.path(), &["check", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.out).expect("JSON");
    assert_eq!(report["findings"], json!([]));
    assert_eq!(
        report["summary"]["resources"],
        json!({"Deployment": 1, "Gateway": 1, "Service": 1, "VirtualService": 1})
    );
}

#[test]
fn check_says_that_there_was_nothing_to_check() {
    let none = tree(&[("notes.txt", ""), ("values.yaml", "replicas: 2\n")]);
    let told = malha(none.path(), &["check"]);
    assert_eq!(told.status, 0);
    assert!(told.err.starts_with("no resources were found (1 file read;"), "{}", told.err);
    assert_eq!(malha(tree(GOOD).path(), &["check"]).err, "");
}

#[test]
fn a_quiet_check_prints_findings_alone() {
    let (good, mesh) = (tree(GOOD), both(GOOD, BROKEN));
    let told = malha(good.path(), &["check", "--quiet"]);
    assert_eq!((told.status, told.out.as_str(), told.err.as_str()), (0, "", ""));
    assert_eq!(malha(tree(&[]).path(), &["check", "-q"]).err, "");
    let loud = malha(mesh.path(), &["check", "--format", "concise"]);
    let told = malha(mesh.path(), &["check", "-q", "--format", "concise"]);
    let findings: Vec<&str> =
        loud.out.lines().filter(|line| line.contains("[K") || line.contains("[H") || line.contains("[Y")).collect();
    assert_eq!((told.status, told.out.lines().collect::<Vec<_>>()), (1, findings));
}

#[test]
fn findings_are_limited_to_the_inputs() {
    let mesh = both(GOOD, BROKEN);
    write(&mesh, "malha.toml", "");
    let told = malha(mesh.path(), &["check", "--format", "concise", "misspelt.yaml"]);
    assert!(told.out.starts_with("misspelt.yaml:10:7: error[K001]"), "{}", told.out);
    assert_eq!(told.out.lines().count(), 2, "{}", told.out);
    // Yet the whole mesh is linked: the Gateway of another file is found.
    let told = malha(mesh.path(), &["check", "routes.yaml"]);
    assert_eq!(told.status, 0, "{}", told.out);
}

#[test]
fn the_standard_input_is_a_file_like_any_other() {
    let empty = tree(&[]);
    let told = malha_with_input(empty.path(), &["check", "--format", "concise", "-"], BROKEN[0].1);
    assert_eq!(told.status, 1);
    assert!(told.out.starts_with("<stdin>:10:7: error[K001]"), "{}", told.out);
}

#[test]
fn rules_are_selected_and_silenced() {
    let mesh = both(GOOD, BROKEN);
    let codes = |arguments: &[&str]| {
        let told = malha(mesh.path(), &[&["check", "--format", "json"], arguments].concat());
        let report: Value = serde_json::from_str(&told.out).expect("JSON");
        let findings = report["findings"].as_array().expect("a list").clone();
        let codes: Vec<_> = findings.iter().filter_map(|one| one["code"].as_str().map(str::to_owned)).collect();
        (told.status, codes.join(" "))
    };
    assert_eq!(codes(&[]), (1, "K001 H007 Y001".to_owned()));
    assert_eq!(codes(&["--ignore", "Y,K001"]), (1, "H007".to_owned()));
    assert_eq!(codes(&["--ignore", "admission,gateway-missing"]), (0, String::new()));
    assert_eq!(codes(&["--select", "performance", "--ignore", "admission"]), (0, String::new()));
    write(&mesh, "unbound.yaml", &BROKEN[1].1.replace("[shoop]", "[shoop] # malha: ignore[H007] elsewhere"));
    assert_eq!(codes(&[]), (1, "K001 Y001".to_owned()));
    write(&mesh, "malha.toml", "[lint]\nignore = [\"Y\"]\n[lint.severity]\nK001 = \"info\"\n");
    assert_eq!(codes(&[]), (0, "K001".to_owned()));
    assert_eq!(codes(&["--fail-on", "info"]), (1, "K001".to_owned()));
}

#[test]
fn an_annotation_silences_an_object_and_is_itself_checked() {
    let annotated = BROKEN[1]
        .1
        .replace("---\nkind: [\n", "")
        .replace("  name: unbound\n", "  name: unbound\n  annotations:\n    malha.io/ignore: H007, D001\n");
    let mesh = tree(&[("a.yaml", &annotated)]);
    assert_eq!(malha(mesh.path(), &["check"]).status, 0);
    let mesh = tree(&[("a.yaml", &annotated.replace("H007, D001", "D001"))]);
    let told = malha(mesh.path(), &["check", "--format", "concise"]);
    assert!(told.out.contains("a.yaml:6:22: warning[O005] unused-suppression"), "{}", told.out);
}

#[test]
fn what_cannot_be_done_ends_with_2() {
    let mesh = tree(GOOD);
    let fails = |arguments: &[&str], expected: &str| {
        let told = malha(mesh.path(), arguments);
        assert_eq!(told.status, 2, "{arguments:?}: {}", told.out);
        assert!(told.err.contains(expected), "{arguments:?}: {}", told.err);
        assert_eq!(told.out, "", "{arguments:?}");
    };
    fails(&["check", "nowhere"], "nowhere: ");
    fails(&["check", "--select", "H07"], "did you mean `H007`?");
    fails(
        &["check", "--format", "xml"],
        "[possible values: pretty, concise, json, jsonl, sarif, github, gitlab, junit]",
    );
    fails(&["check", "--fix", "-"], "the standard input cannot be fixed");
    fails(&["check", "--add-ignore", "-"], "the standard input cannot be written to");
    fails(&["check", "--watch", "-"], "the standard input cannot be watched");
    fails(&["check", "--statistics", "--format", "sarif"], "statistics have no such format");
    fails(&["check", "--baseline", "nowhere.json"], "`--write-baseline` writes it");
    fails(&["route"], "no URL is given");
    fails(&["route", "ftp://shop.example/"], "`ftp` is not a scheme");
    fails(&["route", "--batch", "nowhere"], "nowhere: ");
    fails(&["schema", "Gatewy"], "did you mean `Gateway`?");
    fails(&["rule", "gateway-mising"], "did you mean `gateway-missing`?");
    fails(&["run", "--port", "80"], "maps no port");
    fails(&["compile", ".", "-o", "nowhere/mesh.table"], "nowhere");
    write(&mesh, "malha.toml", "[mesh]\nregstry = \"open\"\n");
    fails(&["check"], "malha.toml:2:1: `regstry` is not a key of [mesh]\n  help: did you mean `registry`?");
}

#[test]
fn one_mesh_is_asked_for_where_several_are() {
    let mesh = tree(&[("a/malha.toml", ""), ("a/x.yaml", ""), ("b/malha.toml", "")]);
    for arguments in [&["compile", "-o", "x", "."][..], &["route", "http://x/"], &["show", "routes"], &["run"]] {
        let told = malha(mesh.path(), arguments);
        assert_eq!(told.status, 2, "{arguments:?}");
        assert!(told.err.contains("these are 2 meshes: a/malha.toml, b/malha.toml"), "{}", told.err);
    }
    assert_eq!(malha(mesh.path(), &["check"]).status, 0);
}

#[test]
fn compile_writes_all_or_nothing() {
    let mesh = tree(GOOD);
    let table = mesh.path().join("mesh.table");
    assert_eq!(malha(mesh.path(), &["compile", ".", "-o", "mesh.table"]).status, 0);
    let good = fs::read(&table).expect("it was written");
    assert!(good.starts_with(b"MALHATBL"));
    let told = malha(mesh.path(), &["compile", ".", "--emit", "json", "-o", "-"]);
    assert!(serde_json::from_str::<Value>(&told.out).is_ok_and(|table| table.is_object()), "{}", told.out);
    write(&mesh, "misspelt.yaml", BROKEN[0].1);
    let told = malha(mesh.path(), &["compile", ".", "-o", "mesh.table"]);
    assert_eq!(told.status, 1);
    assert!(told.err.contains("misspelt.yaml:10:7: error[K001]"), "{}", told.err);
    assert!(told.err.contains("nothing was written"), "{}", told.err);
    assert_eq!(fs::read(&table).expect("it is still there"), good);
    let left: Vec<_> =
        fs::read_dir(mesh.path()).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), GOOD.len() + 2, "no temporary file stays: {left:?}");
}

#[test]
fn compile_ends_with_one_thread_to_prove_with() {
    let mesh = tree(GOOD);
    let routes = GOOD.iter().find(|(name, _)| *name == "routes.yaml").expect("it is there").1;
    let (name, host) = ("  name: shop\n", "shop.example");
    assert!(routes.contains(name) && routes.contains(host));
    for at in 0..100 {
        let text = routes.replace(name, &format!("  name: v{at}\n")).replace(host, &format!("v{at}.example"));
        write(&mesh, &format!("v{at}.yaml"), &text);
    }
    // Which thread comes first to what has to be proved is chance.
    for _ in 0..20 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_malha"))
            .args(["compile", ".", "-o", "mesh.table"])
            .env("RAYON_NUM_THREADS", "1")
            .current_dir(mesh.path())
            .spawn()
            .expect("malha starts");
        let deadline = Instant::now() + Duration::from_mins(1);
        let ended = loop {
            match child.try_wait().expect("the child can be asked") {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                ended => break ended,
            }
        };
        if ended.is_none() {
            child.kill().and_then(|()| child.wait()).expect("it is ours to end");
        }
        assert!(ended.is_some_and(|status| status.success()), "it waits for itself: {ended:?}");
    }
}

#[test]
fn a_table_is_the_same_wherever_the_mesh_is() {
    let bytes = |directory: &Path, arguments: &[&str]| {
        let told = malha(directory, arguments);
        assert_eq!(told.status, 0, "{}", told.err);
        fs::read(directory.join("mesh.table")).expect("it was written")
    };
    let (one, two) = (tree(GOOD), tree(&[]));
    for (name, text) in GOOD.iter().rev() {
        write(&two, &format!("deep/down/{name}"), text);
    }
    let arguments = ["compile", "-o", "mesh.table"];
    let expected = bytes(one.path(), &[&arguments[..], &["."]].concat());
    assert_eq!(bytes(two.path(), &[&arguments[..], &["deep"]].concat()), expected);
    let files = ["deep/down/routes.yaml", "deep/down/cart.yaml", "deep/down/gateway.yaml"];
    assert_eq!(bytes(two.path(), &[&arguments[..], &files].concat()), expected);
}

#[test]
fn route_tells_what_becomes_of_a_request() {
    let mesh = tree(GOOD);
    let told = malha(mesh.path(), &["route", "http://shop.example/cart/1?x=y"]);
    assert_eq!(told.status, 0, "{}", told.err);
    assert_snapshot!("route_pretty", told.out);
    let told = malha(mesh.path(), &["route", "http://shop.example/cart/1?x=y", "--format", "json"]);
    assert_snapshot!("route_json", told.out);
    let outcome = |arguments: &[&str]| {
        let told = malha(mesh.path(), &[&["route", "--format", "json"], arguments].concat());
        let decision: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}", told.err));
        (decision["outcome"].clone(), decision["host"].clone())
    };
    assert_eq!(outcome(&["http://shop.example/other"]), (json!("not-found"), json!("shop.example")));
    assert_eq!(
        outcome(&["-H", "Host: shop.example", "http://127.0.0.1/cart/"]),
        (json!("forward"), json!("shop.example"))
    );
    // Why it was not taken.
    let told = malha(mesh.path(), &["route", "http://shop.example/other"]);
    assert!(
        told.out.ends_with("not taken: asks for\n  path /cart/* of default/shop at routes.yaml:10\n"),
        "{}",
        told.out
    );
    let told = malha(mesh.path(), &["route", "http://other.example/"]);
    assert!(told.out.ends_with("the listener's hosts\n  shop.example\n"), "{}", told.out);
    // No gateway has the port, so it is asked for in the mesh.
    assert_eq!(outcome(&["http://cart:8000/"]), (json!("forward"), json!("cart")));
    assert_eq!(outcome(&["--via", "mesh", "http://shop.example/"]), (json!("passthrough"), Value::Null));
}

#[test]
fn route_tells_where_bytes_go_for_a_name_or_an_address() {
    let service = |namespace: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: store, namespace: {namespace}}}\n\
             spec: {{{more}ports: [{{name: tcp, port: 5432}}, {{name: tls, port: 7443}}]}}\n"
        )
    };
    let mesh = tree(&[
        ("one.yaml", &service("one", "")),
        ("two.yaml", &service("two", "")),
        ("known.yaml", &service("known", "clusterIP: 10.0.0.7, ")),
    ]);
    let route = |url: &str| {
        let told = malha(mesh.path(), &["route", "--format", "json", "--via", "mesh", url]);
        let decision: Value =
            serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{url}: {error} {}", told.err));
        let host = decision["destinations"][0]["host"].as_str().unwrap_or_default().to_owned();
        (decision["outcome"].as_str().unwrap_or_default().to_owned(), host)
    };
    for (url, namespace) in [
        ("tcp://store.one:5432", "one"),
        ("tcp://store.two.svc:5432", "two"),
        ("tcp://store.known.svc.cluster.local:5432", "known"),
        ("tcp://10.0.0.7:5432", "known"),
        ("tls://store.two:7443", "two"),
        ("https://store.one:7443/", "one"),
    ] {
        // Nobody is behind them.
        assert_eq!(route(url), ("no-endpoints".to_owned(), format!("store.{namespace}.svc.cluster.local")), "{url}");
    }
    assert_eq!(route("tcp://nosuch.one:5432"), ("passthrough".to_owned(), String::new()));
    for (url, words) in [("tcp://store.one", "names no port"), ("tcp://store.one:5432/path", "has a path")] {
        let told = malha(mesh.path(), &["route", url]);
        assert!(told.status == 2 && told.err.contains(words), "{url}: {}", told.err);
    }
}

#[test]
fn route_tells_every_rule_that_was_passed_over() {
    let mesh = tree(GOOD);
    let mut rules = DEAD.to_owned();
    for number in 0..15 {
        writeln!(rules, "  - match: [{{uri: {{prefix: /{number}/}}}}]\n    directResponse: {{status: 204}}")
            .expect("a string takes everything");
    }
    write(&mesh, "routes.yaml", &format!("{rules}  - directResponse: {{status: 205}}\n"));
    let dead = "  path = /cart/old of default/shop at routes.yaml:13 \
                (removed: never reached; taken by default/shop http[0].match[0])\n";
    let page = malha(mesh.path(), &["route", "http://shop.example/x"]).out;
    assert!(
        page.contains(&format!("not taken: asks for\n  path /cart* of default/shop at routes.yaml:10\n{dead}")),
        "{page}"
    );
    assert!(page.ends_with("  and 7 more; `--all` shows them\n"), "{page}");
    let page = malha(mesh.path(), &["route", "--all", "http://shop.example/x"]).out;
    assert!(page.ends_with("  path /14/* of default/shop at routes.yaml:47\n"), "{page}");
    let told = malha(mesh.path(), &["route", "--format", "json", "http://shop.example/x"]);
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    let passed_over = told["passedOver"].as_array().expect("a list");
    assert_eq!(passed_over.len(), 19);
    assert_eq!(passed_over[1]["rule"]["line"], json!(13));
    assert_eq!(passed_over[1]["removed"], json!("never reached; taken by default/shop http[0].match[0]"));
    assert_eq!((&passed_over[18]["asksFor"], &passed_over[18]["removed"]), (&json!("path /14/*"), &Value::Null));
    // The rules after the one that took it were not tried.
    let told = malha(mesh.path(), &["route", "--format", "json", "http://shop.example/list"]);
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(told["passedOver"].as_array().map(Vec::len), Some(3));
    let told = malha(mesh.path(), &["route", "--format", "json", "http://other.example/"]);
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!((&told["passedOver"], &told["otherHosts"]), (&json!([]), &json!(["shop.example"])));
}

#[test]
fn a_port_may_be_the_number_of_the_server() {
    let mesh = tree(GOOD);
    write(
        &mesh,
        "ingress.yaml",
        "apiVersion: v1
kind: Service
metadata: {name: ingress, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  ports:
  - {name: http, port: 80, targetPort: 8080}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ingress, namespace: istio-system}
spec:
  selector:
    matchLabels: {istio: ingressgateway}
  template:
    metadata:
      labels: {istio: ingressgateway}
    spec:
      containers: [{name: proxy}]
",
    );
    for url in ["http://shop.example/cart/", "http://shop.example:8080/cart/"] {
        let told = malha(mesh.path(), &["route", "--format", "json", url]);
        let decision: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}", told.err));
        assert_eq!((&decision["outcome"], &decision["listener"]["port"]), (&json!("forward"), &json!(8080)), "{url}");
    }
}

#[test]
fn a_batch_is_answered_line_by_line() {
    let mesh = tree(GOOD);
    let good = r#"{"authority":"shop.example","path":"/cart/1"}
{"via":"mesh","authority":"cart:8000"}
{"via":"mesh","proxy":{"namespace":"other","labels":{"a":"b"}},"authority":"cart:8000"}
"#;
    let answers = |input: &str| {
        let told = malha_with_input(mesh.path(), &["route", "--batch", "-", "."], input);
        let lines: Vec<Value> = told.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        (told.status, lines)
    };
    let (status, lines) = answers(good);
    assert_eq!(status, 0);
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap_or_default()).collect();
    assert_eq!(outcomes, ["forward", "forward", "passthrough"]);
    assert_eq!(lines[2]["proxy"], json!({"namespace": "other", "labels": {"a": "b"}}));
    let (status, lines) = answers(&format!("{{\n{good}{{\"colour\":1}}\n{{\"via\":\"sea\"}}\n"));
    assert_eq!(status, 2);
    let failed: Vec<_> = lines.iter().map(|line| line["error"].is_string()).collect();
    assert_eq!(failed, [true, false, false, false, true, true]);
}

#[test]
fn show_lists_what_proxies_execute() {
    let mesh = tree(GOOD);
    let mut lists = String::new();
    for what in ["resources", "listeners", "routes", "clusters", "endpoints"] {
        let told = malha(mesh.path(), &["show", what]);
        assert_eq!(told.status, 0, "{}", told.err);
        writeln!(lists, "{what}\n{}", told.out).expect("a string takes everything");
    }
    assert_snapshot!("show_tables", lists);
    let markdown = malha(mesh.path(), &["show", "listeners", "--format", "markdown"]);
    assert!(markdown.out.starts_with("| proxy | bind |"), "{}", markdown.out);
    let report =
        malha(mesh.path(), &["show", "routes", "--format", "json", "--proxy", "istio-system/istio=ingressgateway"]);
    let report: Value = serde_json::from_str(&report.out).expect("JSON");
    assert_eq!(report["routes"][0]["at"], json!("routes.yaml:10"));
}

/// Of the rules, the second and a match of the third are never reached.
const DEAD: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
  - match:
    - uri: {prefix: /cart}
    directResponse: {status: 201}
  - match:
    - uri: {exact: /cart/old}
    directResponse: {status: 202}
  - match:
    - uri: {prefix: /carts}
    - uri: {prefix: /list}
    directResponse: {status: 203}
";

#[test]
fn show_names_what_the_table_does_without() {
    let mesh = tree(GOOD);
    write(&mesh, "routes.yaml", DEAD);
    let report =
        malha(mesh.path(), &["show", "routes", "--format", "json", "--proxy", "istio-system/istio=ingressgateway"]);
    let report: Value = serde_json::from_str(&report.out).expect("JSON");
    let routes = report["routes"].as_array().expect("routes");
    let told: Vec<_> = routes.iter().map(|row| (row["at"].clone(), row["removed"].clone())).collect();
    let why = json!("never reached; taken by default/shop http[0].match[0]");
    assert_eq!(
        told,
        [
            (json!("routes.yaml:10"), Value::Null),
            (json!("routes.yaml:13"), why.clone()),
            (json!("routes.yaml:16"), why),
            (json!("routes.yaml:17"), Value::Null),
        ]
    );
    let page = malha(mesh.path(), &["show", "routes"]).out;
    assert!(page.contains("REMOVED") && page.contains("never reached; taken by"), "{page}");
    // Coverage is of what the files say: a match that is left out still counts, and no test can reach it.
    write(
        &mesh,
        "shop.test.yaml",
        "tests:\n- name: it is taken before\n  request: GET http://shop.example/cart/old\n  expect: {status: 201}\n",
    );
    let told = malha(mesh.path(), &["test", "--coverage", "--format", "json"]);
    let report: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}{}", told.out, told.err));
    assert_eq!((&report["coverage"]["total"], &report["coverage"]["covered"]), (&json!(4), &json!(1)), "{report:#}");
}

#[test]
fn a_refused_object_takes_no_part() {
    let mesh = both(GOOD, &BROKEN[..1]);
    let told = malha(mesh.path(), &["show", "resources", "--format", "json"]);
    let report: Value = serde_json::from_str(&told.out).expect("JSON");
    let refused = |name: &str| {
        let rows = report["resources"].as_array().expect("a list");
        rows.iter().find(|row| row["name"] == name).map(|row| row["refused"].clone())
    };
    assert_eq!((refused("misspelt"), refused("cart")), (Some(json!(true)), Some(json!(false))));
}

#[test]
fn answers_say_beside_them_what_takes_no_part() {
    let mesh = both(GOOD, BROKEN);
    for words in [&["route", "http://shop.example/cart"][..], &["show", "routes"], &["graph"]] {
        let told = malha(mesh.path(), words);
        assert_eq!(told.status, 0, "{words:?}: {}", told.err);
        assert!(told.err.contains("misspelt.yaml:10:7: error[K001]"), "{words:?}: {}", told.err);
        assert!(told.err.contains("unbound.yaml:") && told.err.contains("takes no part (2 errors)"), "{}", told.err);
    }
    let whole = tree(GOOD);
    assert_eq!(malha(whole.path(), &["route", "http://shop.example/cart"]).err, "");
    let (old, new) = (whole.path().to_string_lossy(), mesh.path().to_string_lossy());
    let told = malha(mesh.path(), &["diff", &old, &new]);
    assert!(told.err.contains("misspelt.yaml:10:7: error[K001]"), "{}", told.err);
    assert!(told.err.contains("of NEW") && told.err.contains("takes no part (2 errors)"), "{}", told.err);
}

#[test]
fn rules_schemas_and_completions_are_printed() {
    let anywhere = tree(&[]);
    let page = malha(anywhere.path(), &["rule", "D001"]);
    assert!(page.out.starts_with("# D001 subset-undefined\n"), "{}", page.out);
    let pages = malha(anywhere.path(), &["rule", "ist0101"]).out;
    for title in ["# C001 ", "# D001 ", "# D010 ", "# H007 "] {
        assert!(pages.lines().any(|line| line.starts_with(title)), "several rules have the alias: {title}");
    }
    let list = malha(anywhere.path(), &["rule"]);
    assert!(list.out.lines().any(|line| line.starts_with("H007 gateway-missing ")), "{}", list.out);
    let schema = malha(anywhere.path(), &["schema", "Gateway"]);
    let schema: Value = serde_json::from_str(&schema.out).expect("JSON");
    assert!(schema["properties"]["spec"].is_object());
    let script = malha(anywhere.path(), &["completions", "bash"]);
    assert!(script.out.contains("_malha()"), "{}", script.out);
}

#[test]
fn help_teaches() {
    let anywhere = tree(&[]);
    for command in ["check", "compile", "run", "route", "show", "test"] {
        let told = malha(anywhere.path(), &[command, "--help"]);
        assert_eq!(told.status, 0);
        assert!(told.out.contains("Example"), "{command} --help shows no example:\n{}", told.out);
    }
}
