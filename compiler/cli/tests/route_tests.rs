//! `malha test` as people and CI systems use it: what it prints, and how it ends.

#[path = "support/command.rs"]
mod command;
#[path = "support/junit_schema.rs"]
mod junit_schema;

use command::{GOOD, malha, malha_with_input, tree, write};
use insta::assert_snapshot;
use quick_xml::{Reader, events::Event};
use serde_json::{Value, json};
use tempfile::TempDir;

const PASSING: &str = "tests:
- name: the cart is reached by its path
  requests:
  - GET http://shop.example/cart/1
  - {url: http://shop.example/cart/, headers: {X-User: me}}
  expect:
    rule: default/shop http[0]
    destination: {host: cart, port: 8000}
    rewrite: {path: /1}
- name: nothing else is there
  request: http://shop.example/other
  expect: {status: 404, rule: null}
";

/// The second request fails by its path, the third by everything, the fourth has no decision.
const FAILING: &str = "tests:
- name: the cart & its <parts>
  requests:
  - http://shop.example/cart/1
  - http://shop.example/cart/2
  - http://shop.example/other
  - {via: gateway/default/none, authority: shop.example}
  expect:
    destination: {host: cart}
    rewrite: {path: /1}
";

fn with(tests: &[(&'static str, &'static str)]) -> TempDir {
    tree(&[GOOD, tests].concat())
}

#[test]
fn tests_pass_or_say_what_was_decided() {
    let mesh = with(&[("cart.test.yaml", FAILING)]);
    let told = malha(mesh.path(), &["test"]);
    assert_eq!(told.status, 1, "{}", told.err);
    assert_snapshot!("test_pretty", told.out);
    let verbose = malha(mesh.path(), &["test", "-v"]);
    assert!(
        verbose.out.starts_with("ok    the cart & its <parts>: GET http://shop.example/cart/1 cart.test.yaml:4:5\n")
    );

    let fixed = PASSING.replace("rewrite: {path: /1}", "rewrite: {authority: shop.example}");
    write(&mesh, "cart.test.yaml", &fixed);
    let told = malha(mesh.path(), &["test"]);
    assert_eq!((told.status, told.out.as_str()), (0, "3 passed, 0 failed (1 test file)\n"), "{}", told.err);
}

#[test]
fn programs_get_json_junit_and_annotations() {
    let mesh = with(&[("cart.test.yaml", FAILING), ("more_test.yml", PASSING)]);
    let told = malha(mesh.path(), &["test", "--format", "github", "--coverage"]);
    assert_eq!(told.status, 1);
    assert_snapshot!("test_github", told.out);
    let told = malha(mesh.path(), &["test", "--format", "junit"]);
    assert_eq!(told.status, 1);
    assert_snapshot!("test_junit", told.out);
    junit_schema::holds_for(&[told.out]);
    let told = malha(mesh.path(), &["test", "--format", "json", "--coverage"]);
    let report: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(report["summary"], json!({"tests": 7, "passed": 3, "failed": 4}));
    let second = &report["tests"][1];
    assert_eq!(second["differences"], json!([{"key": "rewrite.path", "expected": "/1", "actual": "/2"}]));
    assert_eq!((&second["line"], &second["column"], &second["status"]), (&json!(5), &json!(5), &json!("failed")));
    assert_eq!(second["decision"]["rule"]["file"], json!("routes.yaml"));
    assert_eq!(report["coverage"]["percentage"], json!(100.0));
}

#[test]
fn junit_is_well_formed_whatever_tests_are_called() {
    let nasty = "tests:\n- name: \"a \\x01 < & > \\\" ' ]]> \\uFFFF é\"\n  request: {authority: shop.example, path: \"/?a=<&>\"}\n  expect: {body: \"<\\x02>\"}\n";
    let mesh = with(&[("nasty.test.yaml", nasty)]);
    let told = malha(mesh.path(), &["test", "--format", "junit"]);
    assert_eq!(told.status, 1, "{}", told.err);
    let mut reader = Reader::from_str(&told.out);
    reader.config_mut().check_end_names = true;
    let (mut depth, mut names) = (0_i32, Vec::new());
    loop {
        let event = reader.read_event().expect("it is well-formed");
        if let Event::Start(element) | Event::Empty(element) = &event {
            for attribute in element.attributes() {
                let attribute = attribute.expect("it is well-formed");
                if attribute.key.as_ref() == "name" {
                    names.push(attribute.value.into_owned());
                }
            }
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((depth, names.len()), (0, 3), "{}", told.out);
    assert!(!told.out.contains(['\u{1}', '\u{2}', '\u{FFFF}']), "XML cannot hold these:\n{}", told.out);
    junit_schema::holds_for(&[told.out]);
}

#[test]
fn malformed_tests_are_told_with_their_place() {
    let mesh = with(&[(
        "bad.test.yaml",
        "tests:
- name: slips
  reqest: http://shop.example/
  request: {pth: /, port: eighty}
  expect: {destinaton: {host: cart}, destination: {subst: v1}, timeout: 10, outcome: redirected}
- request: ftp://shop.example/
  expect: {}
- a text
",
    )]);
    let told = malha(mesh.path(), &["test"]);
    assert_eq!((told.status, told.out.as_str()), (2, ""));
    assert_snapshot!("test_malformed", told.err);
    let fails = |text: &str, expected: &str| {
        write(&mesh, "bad.test.yaml", text);
        let told = malha(mesh.path(), &["test"]);
        assert_eq!(told.status, 2, "{text}");
        assert!(told.err.contains(expected), "{text}: {}", told.err);
    };
    fails("tests: [\n", "bad.test.yaml:1:8: this bracket is never closed");
    fails("- a list\n", "bad.test.yaml:1:1: a test file must be a mapping, and is a list");
    fails("test: []\n", "bad.test.yaml:1:1: `test` is not a key of a test file\n  help: did you mean `tests`?");
    fails("tests: {}\n", "bad.test.yaml:1:8: `tests` must be a list");
    fails("tests: [{name: a, name: b}]\n", "bad.test.yaml:1:");
    fails("testCases: [{wantmatch: true}]\n", "did you mean `wantMatch`?");
    // Good ones beside them do not run: a test that nobody understands is not one that passes.
    write(&mesh, "good.test.yaml", PASSING);
    fails("tests: [{}]\n", "bad.test.yaml:1:9: this test has no `name`");
}

#[test]
fn a_job_that_tests_nothing_is_not_green() {
    let fails = |mesh: &TempDir, arguments: &[&str], expected: &str| {
        let told = malha(mesh.path(), &[&["test"], arguments].concat());
        assert_eq!((told.status, told.out.as_str()), (2, ""), "{arguments:?}");
        assert!(told.err.contains(expected), "{arguments:?}: {}", told.err);
    };
    let mesh = tree(GOOD);
    fails(&mesh, &[], "there are no route tests here\n  help: write them in a file that ends in `.test.yaml`");
    fails(&mesh, &["--coverage"], "there are no route tests here");
    fails(&mesh, &["nowhere"], "nowhere: ");
    fails(&mesh, &["--fail-under", "101"], "a share is from 0 to 100");
    fails(&mesh, &["--suggest", "--format", "junit"], "--suggest has no place in this format");
    write(&mesh, "cart.test.yaml", "tests: []\n");
    fails(&mesh, &[], "there are no route tests here");
    write(&mesh, "cart.test.yaml", PASSING);
    fails(&mesh, &["cart.test.yaml"], "these tests have no configuration to be about");
    // Under a malha.toml the whole mesh is there.
    write(&mesh, "malha.toml", "");
    let fixed = PASSING.replace("    rewrite: {path: /1}\n", "");
    write(&mesh, "cart.test.yaml", &fixed);
    let told = malha(mesh.path(), &["test", "cart.test.yaml"]);
    assert_eq!(told.status, 0, "{}{}", told.out, told.err);
}

#[test]
fn other_commands_pass_over_tests_in_silence() {
    let mesh = tree(GOOD);
    let run = |arguments: &[&str]| {
        let told = malha(mesh.path(), arguments);
        (told.status, told.out, told.err)
    };
    let commands: [&[&str]; 4] = [
        &["check"],
        &["compile", ".", "-o", "-", "--emit", "json"],
        &["show", "resources"],
        &["route", "http://shop.example/cart/1"],
    ];
    let before: Vec<_> = commands.iter().map(|command| run(command)).collect();
    write(&mesh, "cart.test.yaml", PASSING);
    write(&mesh, "broken_test.yml", "tests: [\n# malha: ignore[H008] not a comment of the mesh\n");
    write(&mesh, "cases.yaml", "testCases:\n- description: x\n  description: y\n");
    for (command, before) in commands.iter().zip(before) {
        assert_eq!(run(command), before, "{command:?}");
    }
    // An object is one in whatever file.
    write(&mesh, "object_test.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {}\n");
    assert!(run(&["check"]).1.contains("5 objects in 4 files"), "{}", run(&["check"]).1);
}

#[test]
fn uncovered_rules_are_named_and_tests_for_them_suggested() {
    let mesh = tree(GOOD);
    write(
        &mesh,
        "more.yaml",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: more}
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
  - match:
    - uri: {prefix: /catalogue}
      method: {exact: POST}
      headers: {x-user: {regex: '[0-9]{2}'}}
    - uri: {prefix: /catalogue}
      queryParams: {page: {exact: '1'}}
    redirect: {uri: /cart/}
  - match:
    - uri: {exact: /catalogue}
    directResponse: {status: 410}
  - match:
    - uri: {prefix: /cart/old}
    route: [{destination: {host: cart}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: unbound}
spec:
  hosts: [shop.example]
  gateways: [missing]
  http:
  - route: [{destination: {host: cart}}]
",
    );
    // Nothing is tested yet, and that is where suggestions begin.
    let told = malha(mesh.path(), &["test", "--suggest"]);
    assert_eq!(told.status, 0, "{}", told.err);
    assert!(told.err.starts_with("0 of 6 matches reached by a test (0.0 %)\nnot reached:\n"), "{}", told.err);
    assert_snapshot!("test_suggest", told.out);
    write(&mesh, "suggested.test.yaml", &told.out);
    let told = malha(mesh.path(), &["test", "--coverage"]);
    assert_eq!(told.status, 0, "what is suggested passes:\n{}{}", told.out, told.err);
    assert!(told.out.contains("of 6 matches reached by a test"), "{}", told.out);
    assert!(told.out.contains("more.yaml:29 default/unbound http[0]"), "{}", told.out);
    let told = malha(mesh.path(), &["test", "--fail-under", "95"]);
    assert_eq!(told.status, 1);
    assert!(told.err.contains("--fail-under asks for 95 %"), "{}", told.err);
    assert_eq!(malha(mesh.path(), &["test", "--fail-under", "50"]).status, 0);
}

#[test]
fn delegates_and_connections_are_covered_too() {
    let mesh = tree(&[(
        "mesh.yaml",
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 443, name: tls, protocol: TLS}, hosts: [safe.example], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http:
  - match: [{uri: {prefix: /a}}]
    delegate: {name: leaf}
  tls:
  - match: [{port: 443, sniHosts: [shop.example]}]
    route: [{destination: {host: safe}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf}
spec:
  http:
  - match: [{method: {exact: PUT}}]
    directResponse: {status: 201}
  - directResponse: {status: 200}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: safe}
spec:
  hosts: [safe.example]
  gateways: [edge]
  tls:
  - match: [{port: 443, sniHosts: [safe.example]}]
    route: [{destination: {host: safe, port: {number: 443}}}]
",
    )]);
    let told = malha(mesh.path(), &["test", "--suggest"]);
    assert_snapshot!("test_suggest_connections", told.out);
    write(
        &mesh,
        "a.test.yaml",
        "tests:
- {name: put, request: PUT http://shop.example/a, expect: {rule: 'default/leaf http[0]', status: 201}}
- {name: safe, request: {protocol: tls, port: 443, tls: {sni: safe.example}}, expect: {rule: 'default/safe tls[0]'}}
",
    );
    let told = malha(mesh.path(), &["test", "--coverage"]);
    assert_eq!(told.status, 0, "{}{}", told.out, told.err);
    assert!(!told.out.contains("default/root http"), "the root's rule was reached through its delegate:\n{}", told.out);
    assert!(told.out.contains("default/leaf http[1]"), "{}", told.out);
}

/// VirtualServices alone, as the users of istio-config-validator have them: Gateways and a delegate are elsewhere.
const ALONE: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: site, namespace: site}
spec:
  hosts: [www.example.com, example.com]
  http:
  - match:
    - uri: {regex: '/users(/.*)?'}
    route: [{destination: {host: users, port: {number: 80}}}]
  - match:
    - uri: {prefix: /partners}
      method: {regex: '(GET|OPTIONS)'}
    route: [{destination: {host: partner.partner.svc.cluster.local}}]
    rewrite: {uri: /partner}
    fault: {abort: {percentage: {value: 100}, httpStatus: 403}}
  - match:
    - scheme: {exact: https}
      uri: {prefix: /safe}
    redirect: {uri: /x, authority: other.example}
  - route: [{destination: {host: monolith.monolith.svc.cluster.local}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: site}
spec:
  hosts: ['*.example.org']
  gateways: [edge/public, edge/internal]
  http:
  - match: [{uri: {prefix: /seller}}]
    delegate: {name: seller, namespace: elsewhere}
  - match: [{uri: {prefix: /merchants}}]
    delegate: {name: merchants}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: merchants, namespace: site}
spec:
  http:
  - route: [{destination: {host: merchants, subset: v1}, weight: 80}, {destination: {host: merchants, subset: v2}, weight: 20}]
    headers: {request: {set: {x-custom: ok}}}
";

const CASES: &str = r#"testCases:
  - description: users have a service of their own
    wantMatch: true
    request:
      authority: ["www.example.com", "example.com"]
      method: ["GET", "POST"]
      uri: ["/users", "/users/"]
      headers:
        x-user-id: abc123
    route:
    - destination:
        host: users
        port:
          number: 80
  - description: partners only get GET or OPTIONS
    wantMatch: false
    request:
      authority: ["example.com"]
      method: ["PUT", "POST"]
      uri: ["/partners", "/partners/1"]
    route:
    - destination:
        host: partner.partner.svc.cluster.local
  - description: all parts of a rule
    wantMatch: true
    request: {authority: [example.com], method: [GET], uri: [/partners/1]}
    route: [{destination: {host: partner.partner.svc.cluster.local}, weight: 0}]
    rewrite: {uri: /partner}
    fault: {abort: {percentage: {value: 100.0}, httpStatus: 403}}
  - description: by scheme
    wantMatch: true
    request: {scheme: https, authority: [example.com], method: [GET], uri: [/safe]}
    redirect: {uri: /x, authority: other.example}
  - description: a delegate that is not here
    wantMatch: true
    request: {authority: [a.example.org], method: [GET], uri: [/seller/1]}
    delegate: {name: seller, namespace: elsewhere}
  - description: what a delegate does
    wantMatch: true
    request: {authority: [a.example.org], method: [GET], uri: [/merchants]}
    route:
    - {destination: {host: merchants, subset: v1}, weight: 80}
    - {destination: {host: merchants, subset: v2}, weight: 20}
    headers: {request: {set: {x-custom: ok}}}
  - description: nobody's
    wantMatch: true
    request: {authority: [a.example.org], method: [GET], uri: [/]}
"#;

#[test]
fn the_tests_of_istio_config_validator_are_read_as_they_are() {
    let mesh = tree(&[("site.yaml", ALONE), ("tests/cases.yml", CASES)]);
    let told = malha(mesh.path(), &["test"]);
    assert_eq!((told.status, told.out.as_str()), (0, "17 passed, 0 failed (1 test file)\n"), "{}", told.err);
    // The other way round each of them fails, but for the last: it describes nothing.
    let turned = CASES.replace("wantMatch: true", "wantMatch: no").replace("wantMatch: false", "wantMatch: true");
    write(&mesh, "tests/cases.yml", &turned);
    let told = malha(mesh.path(), &["test"]);
    assert_eq!(told.status, 1);
    assert_snapshot!("test_validator", told.out);
    let told = malha_with_input(mesh.path(), &["test", "site.yaml", "-"], CASES);
    assert_eq!(told.status, 0, "{}{}", told.out, told.err);
}

/// Two Gateways, one of which sends everybody to https, and a service of the mesh.
const GATEWAYS: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec:
  selector: {istio: public}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: site}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: internal, namespace: edge}
spec:
  selector: {istio: internal}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  ports: [{name: http, port: 8000}]
";

#[test]
fn requests_without_a_proxy_enter_where_the_virtual_service_is_bound() {
    let entered = |hosts: &str, gateways: &str, authority: &str| {
        let service = format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: s, namespace: shop}}\n\
             spec:\n  hosts: {hosts}\n  gateways: {gateways}\n  http: [{{route: [{{destination: {{host: cart}}}}]}}]\n"
        );
        let case = format!(
            "testCases: [{{wantMatch: true, request: {{authority: ['{authority}'], method: [GET], uri: [/]}}, \
             route: [{{destination: {{host: cart}}}}]}}]\n"
        );
        let mesh = tree(&[("gateways.yaml", GATEWAYS), ("s.yaml", &service), ("s_test.yaml", &case)]);
        let told = malha(mesh.path(), &["test", "--format", "json"]);
        let report: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}", told.err));
        assert_eq!(told.status, 0, "{}", told.out);
        let request = &report["tests"][0]["request"];
        format!("{} {} {}", request["via"], request["port"], request["tls"]["sni"]).replace('"', "")
    };
    let one = "[shop.example]";
    assert_eq!(entered(one, "[edge/internal]", "shop.example"), "gateway/edge/internal 8080 null");
    assert_eq!(entered(one, "[edge/public]", "shop.example"), "gateway/edge/public 443 shop.example");
    assert_eq!(entered(one, "[edge/internal, edge/public]", "shop.example"), "gateway/edge/internal 8080 null");
    assert_eq!(entered(one, "[mesh, edge/internal]", "shop.example"), "gateway/edge/internal 8080 null");
    assert_eq!(entered(one, "[edge/public, edge/internal, mesh]", "shop.example"), "mesh 80 null");
    assert_eq!(entered("['*.example']", "[elsewhere]", "a.shop.example"), "gateway/shop/elsewhere 80 null");
    assert_eq!(entered("[cart]", "[mesh]", "cart"), "mesh 8000 null");
    assert_eq!(entered("[cart]", "[mesh]", "cart.shop.svc.cluster.local:8000"), "mesh 8000 null");
}

#[test]
fn a_refused_object_takes_no_part_and_that_is_said() {
    let mesh = with(&[("cart.test.yaml", PASSING)]);
    write(&mesh, "routes.yaml", &GOOD[1].1.replace("rewrite:", "rewrit:"));
    let told = malha(mesh.path(), &["test"]);
    assert_eq!(told.status, 1);
    assert!(told.err.contains("routes.yaml:11:5: error[K001]"), "{}", told.err);
    assert!(told.err.contains("takes no part in these tests"), "{}", told.err);
}
