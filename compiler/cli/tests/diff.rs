//! `malha diff` as people use it: directories, revisions, exit statuses.

#[path = "support/command.rs"]
mod command;

use command::{malha, tree, write};
use serde_json::Value;
use std::{path::Path, process::Command};

const MESH: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: ['*']
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec:
  ports: [{name: http, port: 8000}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: default}
spec:
  host: cart
  subsets:
    - {name: v1, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match: [{uri: {prefix: /cart}}]
      route: [{destination: {host: cart, subset: v1}}]
    - match: [{uri: {prefix: /old}}]
      redirect: {uri: /cart}
    - match: [{uri: {prefix: /health}}]
      directResponse: {status: 200}
";

/// The report on a change of `MESH`.
fn changes(edits: &[(&str, &str)]) -> (i32, Value) {
    let text = edits.iter().fold(MESH.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let trees = tree(&[("old/mesh.yaml", MESH)]);
    write(&trees, "new/mesh.yaml", &text);
    let told = malha(trees.path(), &["diff", "old", "new", "--format", "json"]);
    (told.status, serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {} {}", told.out, told.err)))
}

fn classes(report: &Value) -> Vec<&str> {
    report["changes"].as_array().into_iter().flatten().filter_map(|change| change["class"].as_str()).collect()
}

#[test]
fn lines_that_move_are_no_change() {
    let (status, report) = changes(&[("spec:\n  hosts: [shop", "# a comment\nspec:\n  hosts: [shop")]);
    assert_eq!((status, report["identical"].as_bool()), (0, Some(true)), "{report}");
    // Rules that exclude each other may change places.
    let (status, report) = changes(&[
        ("    - match: [{uri: {prefix: /old}}]\n      redirect: {uri: /cart}\n", ""),
        ("  http:\n", "  http:\n    - match: [{uri: {prefix: /old}}]\n      redirect: {uri: /cart}\n"),
    ]);
    assert_eq!((status, classes(&report)), (0, Vec::new()), "{report}");
}

#[test]
fn each_class_with_a_witness() {
    let cases = [
        (vec![("prefix: /old", "prefix: /older")], vec!["removed"]),
        (
            vec![(
                "    - match: [{uri: {prefix: /health",
                "    - match: [{uri: {prefix: /new}}]\n      directResponse: {status: 204}\n    - match: [{uri: {prefix: /health",
            )],
            vec!["added"],
        ),
        (vec![("redirect: {uri: /cart}", "redirect: {uri: /basket}")], vec!["rerouted"]),
        (vec![("subset: v1}}]", "subset: v1}}]\n      timeout: 5s")], vec!["policy"]),
    ];
    for (edits, expected) in cases {
        let (status, report) = changes(&edits);
        assert_eq!((status, classes(&report)), (1, expected), "{edits:?}: {report}");
        let change = &report["changes"][0];
        assert_eq!(change["host"], "shop.example.com");
        assert_ne!(change["before"], change["after"]);
        assert!(change["witness"]["path"].as_str().is_some_and(|path| path.starts_with('/')), "{report}");
        assert!(change["region"].as_str().is_some_and(|words| words.contains("path")), "{report}");
    }
}

#[test]
fn a_subset_that_comes_with_its_use_is_a_hazard() {
    let (_, report) = changes(&[
        (
            "    - {name: v1, labels: {version: v1}}",
            "    - {name: v1, labels: {version: v1}}\n    - {name: v2, labels: {version: v2}}",
        ),
        ("{host: cart, subset: v1}", "{host: cart, subset: v2}"),
    ]);
    let hazard = &report["hazards"][0];
    assert_eq!(hazard["code"], "O001", "{report}");
    assert!(hazard["message"].as_str().is_some_and(|words| words.contains("`v2`")), "{report}");
    assert!(hazard["range"]["start"]["line"].as_u64().is_some_and(|line| line > 1), "{report}");
}

fn git(directory: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let status =
        Command::new("git").arg("-C").arg(directory).args(identity).args(arguments).status().expect("git runs");
    assert!(status.success(), "git {arguments:?}");
}

#[test]
fn a_revision_is_compared_with_the_working_tree() {
    let repository = tree(&[("istio/mesh.yaml", MESH), ("other/readme.txt", "no mesh\n")]);
    git(repository.path(), &["init", "--quiet"]);
    git(repository.path(), &["add", "."]);
    git(repository.path(), &["commit", "--quiet", "-m", "first"]);
    let same = malha(repository.path(), &["diff", "HEAD"]);
    assert_eq!((same.status, same.err.as_str()), (0, ""), "{}", same.out);
    write(&repository, "istio/mesh.yaml", &MESH.replace("prefix: /old", "prefix: /older"));
    for arguments in [&["diff", "HEAD"][..], &["diff", "HEAD", "istio"], &["diff", "HEAD", "istio/mesh.yaml"]] {
        let told = malha(repository.path(), arguments);
        assert_eq!(told.status, 1, "{arguments:?}: {} {}", told.out, told.err);
        assert!(told.out.contains("removed shop.example.com"), "{arguments:?}: {}", told.out);
    }
    let inside = malha(&repository.path().join("istio"), &["diff", "HEAD"]);
    assert_eq!(inside.status, 1, "{}", inside.err);
    git(repository.path(), &["commit", "--quiet", "-am", "second"]);
    let revisions = malha(repository.path(), &["diff", "HEAD~1", "HEAD", "--format", "markdown"]);
    assert_eq!(revisions.status, 1, "{}", revisions.err);
    assert!(revisions.out.starts_with("### 1 change"), "{}", revisions.out);
    let unknown = malha(repository.path(), &["diff", "no-such-branch"]);
    assert_eq!(unknown.status, 2);
    assert!(unknown.err.contains("neither a path nor a revision"), "{}", unknown.err);
    let option = malha(repository.path(), &["diff", "--", "--output=x"]);
    assert_eq!(option.status, 2, "{}", option.out);
}

#[test]
fn what_takes_no_part_is_said() {
    let trees = tree(&[("old/mesh.yaml", MESH)]);
    write(&trees, "new/mesh.yaml", &MESH.replace("redirect:", "redirekt:"));
    let told = malha(trees.path(), &["diff", "old", "new"]);
    assert_eq!(told.status, 1, "{}", told.out);
    assert!(told.err.contains("new/mesh.yaml:") && told.err.contains("error[K001]"), "{}", told.err);
    assert!(told.err.contains("malha: of NEW what cannot be read, or a cluster would refuse"), "{}", told.err);
    assert!(!told.err.contains("OLD"), "{}", told.err);
}

#[test]
fn files_of_a_revision_are_called_as_from_here() {
    let repository = tree(&[("istio/mesh.yaml", &MESH.replace("redirect:", "redirekt:"))]);
    git(repository.path(), &["init", "--quiet"]);
    git(repository.path(), &["add", "."]);
    git(repository.path(), &["commit", "--quiet", "-m", "first"]);
    let inside = repository.path().join("istio");
    for (place, words, name) in [
        (repository.path(), &["diff", "HEAD"][..], "istio/mesh.yaml:"),
        (repository.path(), &["diff", "HEAD", "istio"], "istio/mesh.yaml:"),
        (repository.path(), &["diff", "HEAD", "istio/mesh.yaml"], "istio/mesh.yaml:"),
        (&inside, &["diff", "HEAD"], "mesh.yaml:"),
    ] {
        let told = malha(place, words);
        let lines: Vec<&str> = told.err.lines().filter(|line| line.contains("error[K001]")).collect();
        assert_eq!(lines.len(), 2, "{words:?}: {}", told.err);
        assert!(lines.iter().all(|line| line.starts_with(name)), "{words:?}: {}", told.err);
    }
}

#[test]
fn tables_are_compared_with_each_other_and_with_files() {
    let trees = tree(&[("old/mesh.yaml", MESH), ("new/mesh.yaml", &MESH.replace("prefix: /old", "prefix: /older"))]);
    for side in ["old", "new"] {
        let compiled = malha(trees.path(), &["compile", side, "-o", &format!("{side}.table")]);
        assert_eq!(compiled.status, 0, "{}", compiled.err);
    }
    let same = malha(trees.path(), &["diff", "old", "old.table"]);
    assert_eq!((same.status, same.err.as_str()), (0, ""), "{}", same.out);
    let expected = malha(trees.path(), &["diff", "old", "new"]).out;
    assert!(expected.contains("removed shop.example.com"), "{expected}");
    for arguments in [["diff", "old.table", "new.table"], ["diff", "old.table", "new"], ["diff", "old", "new.table"]] {
        let told = malha(trees.path(), &arguments);
        assert_eq!((told.status, told.out), (1, expected.clone()), "{arguments:?}: {}", told.err);
    }
    // Two meshes are no one's table.
    write(&trees, "new/a/malha.toml", "");
    write(&trees, "new/a/mesh.yaml", MESH);
    let several = malha(trees.path(), &["diff", "old.table", "new"]);
    assert_eq!((several.status, several.out.as_str()), (2, ""), "{}", several.err);
    assert!(several.err.contains("a table is one mesh, and NEW has several"), "{}", several.err);
}

/// The report on two trees.
fn report(old: &str, new: &str) -> (i32, Value) {
    let trees = tree(&[("old/mesh.yaml", old), ("new/mesh.yaml", new)]);
    let told = malha(trees.path(), &["diff", "old", "new", "--format", "json"]);
    (told.status, serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {} {}", told.out, told.err)))
}

/// The names of what differs besides the decisions.
fn details(report: &Value) -> Vec<&str> {
    let changes = report["changes"].as_array().into_iter().flatten();
    let details = changes.filter_map(|change| change["details"].as_array()).flatten();
    details.filter_map(|detail| detail["what"].as_str()).collect()
}

const PODS: &str = "---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: default, labels: {app: cart, version: v1}}
status: {podIP: 10.1.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: default, labels: {app: cart, version: v2}}
status: {podIP: 10.1.0.2}
";

#[test]
fn what_no_decision_shows_is_told_by_name() {
    let mesh = format!(
        "{}{PODS}",
        MESH.replace(
            "  ports: [{name: http, port: 8000}]",
            "  selector: {app: cart}\n  ports: [{name: http, port: 8000}]"
        )
    );
    let moved = mesh.replace("labels: {version: v1}}\n---", "labels: {version: v2}}\n---");
    let (status, told) = report(&mesh, &moved);
    assert_eq!((status, classes(&told)), (1, vec!["rerouted"]), "{told}");
    assert_eq!(details(&told), ["endpoints of outbound|8000|v1|cart.default.svc.cluster.local"]);
    let detail = &told["changes"][0]["details"][0];
    assert_eq!((&detail["before"], &detail["after"]), (&"10.1.0.1:8000".into(), &"10.1.0.2:8000".into()));

    let limited =
        mesh.replace("  host: cart\n", "  host: cart\n  trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}\n");
    let (_, told) = report(&mesh, &limited);
    assert_eq!(classes(&told), ["policy"; 2], "{told}");
    let policies = ["v1", ""].map(|subset| format!("policy of outbound|8000|{subset}|cart.default.svc.cluster.local"));
    assert_eq!(details(&told), policies);

    let mirrored = |limit: &str| {
        let mirror = "      mirrors: [{destination: {host: cart}}]\n    - match: [{uri: {prefix: /old}}]";
        let rule = format!("  host: cart\n  trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {limit}}}}}}}\n");
        mesh.replace("    - match: [{uri: {prefix: /old}}]", mirror)
            .replace("destination: {host: cart, subset: v1}", "destination: {host: other}")
            .replace("  host: cart\n", &rule)
    };
    let (_, told) = report(&mirrored("1"), &mirrored("2"));
    assert_eq!(told["changes"][0]["proxy"]["namespace"], "istio-system", "{told}");
    assert_eq!(details(&told)[0], "policy of outbound|8000||cart.default.svc.cluster.local");
}

#[test]
fn clients_that_some_rule_asks_for_are_compared() {
    let service = "apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec:
  ports: [{name: http, port: 80}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: default}
spec:
  hosts: [cart]
  http:
    - match: [{sourceLabels: {app: web}, uri: {prefix: /a}}]
      directResponse: {status: 418}
    - route: [{destination: {host: cart}}]
";
    let (status, told) = report(service, &service.replace("418", "200"));
    assert_eq!((status, classes(&told)), (1, vec!["rerouted"]), "{told}");
    let change = &told["changes"][0];
    assert_eq!(
        (&change["proxy"]["labels"]["app"], &change["before"]["respond"]["status"]),
        (&"web".into(), &418.into())
    );

    // Clients that it is the same for are told once, of the one that nothing is known of; those that a rule takes some
    // requests of, apart.
    let slow = "    - timeout: 5s\n      route: [{destination: {host: cart}}]\n";
    let (_, told) = report(service, &service.replace("    - route: [{destination: {host: cart}}]\n", slow));
    let change = &told["changes"][0];
    assert_eq!((classes(&told), change["also"].as_u64()), (vec!["policy"; 2], Some(1)), "{told}");
    assert_eq!(change["proxy"]["labels"], serde_json::json!({}));

    // Two sorts at once: a client that is of both.
    let two = service.replace(
        "    - match: [{sourceLabels: {app: web}, uri: {prefix: /a}}]\n      directResponse: {status: 418}\n",
        "    - match: [{sourceLabels: {app: web}}]\n      directResponse: {status: 418}\n    - match: [{sourceLabels: {tier: b}}]\n      \
         directResponse: {status: 200}\n",
    );
    let (status, told) = report(
        &two,
        &two.replace("418", "999")
            .replace("200", "418")
            .replace("999", "200")
            .replace("app: web", "x: y")
            .replace("tier: b", "app: web")
            .replace("x: y", "tier: b"),
    );
    assert_eq!((status, classes(&told)), (1, vec!["rerouted"]), "{told}");
}

#[test]
fn namespaces_that_something_is_exported_to_are_compared() {
    let mesh = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  ports: [{name: http, port: 80}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  exportTo: [team-x]
  http:
    - timeout: 1s
      route: [{destination: {host: web}}]
";
    let (status, told) = report(mesh, &mesh.replace("1s", "2s"));
    assert_eq!((status, classes(&told)), (1, vec!["policy"]), "{told}");
    assert_eq!(told["changes"][0]["proxy"]["namespace"], "team-x");
}

#[test]
fn listeners_and_names_that_come_and_go() {
    let tls = MESH.replace(
        "    - port: {number: 80, name: http, protocol: HTTP}\n      hosts: ['*']\n",
        "    - port: {number: 443, name: https, protocol: HTTPS}\n      hosts: [shop.example.com]\n      tls: {mode: SIMPLE, credentialName: c}\n",
    );
    // A name more at the server changes nothing for the others.
    let more =
        tls.replace("hosts: [shop.example.com]\n      tls", "hosts: [shop.example.com, x.example.com]\n      tls");
    for (old, new, class) in [(&tls, &more, "added"), (&more, &tls, "removed")] {
        let (status, told) = report(old, new);
        assert_eq!((status, classes(&told)), (1, vec![class]), "{told}");
        assert_eq!(told["changes"][0]["region"], "connections for server name x.example.com");
    }
    // How TLS ends is told as such.
    let (_, told) = report(&tls, &tls.replace("credentialName: c", "credentialName: d"));
    assert_eq!((classes(&told), details(&told)), (vec!["policy"], vec!["how TLS ends"]), "{told}");
    // A port less.
    let (_, told) = report(MESH, &MESH.replace("number: 80,", "number: 8080,"));
    assert!(details(&told).contains(&"the listener"), "{told}");
}

#[test]
fn settings_of_the_mesh_are_compared() {
    let trees = tree(&[("old/mesh.yaml", MESH), ("new/mesh.yaml", MESH), ("old/malha.toml", "")]);
    write(&trees, "new/malha.toml", "[mesh]\nconfig = \"mesh-config.yaml\"\n");
    let told = |config: &str| -> Value {
        write(&trees, "new/mesh-config.yaml", config);
        let told = malha(trees.path(), &["diff", "old", "new", "--format", "json"]);
        serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {} {}", told.out, told.err))
    };
    // At the gateway, and on the mesh's one port.
    let paths = told("pathNormalization: {normalization: MERGE_SLASHES}\n");
    let twice = (vec!["rerouted"; 2], vec!["path normalisation"; 2]);
    assert_eq!((classes(&paths), details(&paths)), twice, "{paths}");
    assert_eq!(paths["changes"][0]["witness"]["path"], "/a//b");

    // What stands in front of gateways is theirs alone.
    let trusted = told("defaultConfig: {gatewayTopology: {numTrustedProxies: 1, proxyProtocol: {}}}\n");
    assert_eq!(classes(&trusted), ["rerouted"; 2], "{trusted}");
    assert_eq!(details(&trusted), ["trusted proxies", "PROXY protocol"], "{trusted}");
    assert_eq!(trusted["changes"][0]["witness"]["headers"]["x-forwarded-proto"], "https");

    // What the mesh does not know, on its port and on the others.
    let unknown = told("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n");
    assert!(details(&unknown).contains(&"other connections"), "{unknown}");
    let hosts: Vec<_> = unknown["changes"].as_array().into_iter().flatten().map(|change| &change["host"]).collect();
    assert_eq!(hosts, ["any connection", "*", "any connection"], "{unknown}");
}

/// Two Services that share a port, and get their addresses from a cluster.
const STORES: &str = "apiVersion: v1
kind: Service
metadata: {name: store, namespace: one}
spec: {selector: {app: store}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: two}
spec: {selector: {app: store}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: away, namespace: one}
spec:
  hosts: [away.example]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  addresses: [192.0.2.7]
  resolution: STATIC
  endpoints: [{address: 192.0.2.7}]
";

#[test]
fn bytes_for_services_without_an_address_are_told_by_name() {
    let rule = |namespace: &str| {
        format!(
            "{STORES}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: store, namespace: {namespace}}}
spec:
  hosts: [store.{namespace}.svc.cluster.local]
  tcp: [{{route: [{{destination: {{host: away.example}}}}]}}]
"
        )
    };
    // What the first of the two has, connections for any address have as well: that is told once.
    for namespace in ["one", "two"] {
        let (status, told) = report(STORES, &rule(namespace));
        assert_eq!((status, classes(&told)), (1, vec!["rerouted"]), "{told}");
        let change = &told["changes"][0];
        let host = format!("store.{namespace}.svc.cluster.local");
        assert_eq!(
            (&change["host"], &change["witness"]["authority"]),
            (&Value::from(host.clone()), &Value::from(host)),
            "{told}"
        );
        assert_eq!(change["before"]["destinations"][0]["host"], format!("store.{namespace}.svc.cluster.local"));
        assert_eq!(change["after"]["destinations"][0]["host"], "away.example", "{told}");
    }
}

#[test]
fn bytes_by_a_name_that_loses_its_address_are_told() {
    let store = |address: &str| {
        format!(
            "apiVersion: v1
kind: Service
metadata: {{name: store, namespace: db}}
spec: {{{address}ports: [{{name: tcp, port: 5432}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: store, namespace: db}}
spec:
  hosts: [store.db.svc.cluster.local]
  tcp:
  - match: [{{destinationSubnets: [10.0.0.0/8]}}]
    route: [{{destination: {{host: away.example}}}}]
---
{}",
            STORES.rsplit("---\n").next().unwrap_or_default()
        )
    };
    let (status, told) = report(&store("clusterIP: 10.0.0.1, "), &store(""));
    assert_eq!(status, 1, "{told}");
    let changes = told["changes"].as_array().expect("changes");
    let by_name = changes.iter().find(|change| change["witness"]["authority"] == "store.db.svc.cluster.local");
    let change = by_name.unwrap_or_else(|| panic!("{told}"));
    assert_eq!(change["before"]["destinations"][0]["host"], "away.example", "{told}");
    assert_eq!(change["after"]["destinations"][0]["host"], "store.db.svc.cluster.local", "{told}");
}
