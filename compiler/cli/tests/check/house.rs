//! A house's own policies: JSON Schemas and conditions in CEL.

use super::{
    command::{malha, tree, write},
    places, report,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
  labels: {team: Shop}
spec:
  hosts: [shop.example.com]
  http:
  - match: [{uri: {prefix: /a}}]
    timeout: 5s
    directResponse: {status: 200}
  - directResponse: {status: 503}
";

const SCHEMA: &str = r#"{
  "properties": {
    "metadata": {
      "required": ["annotations"],
      "properties": {"labels": {"properties": {"team": {"type": "string", "pattern": "^[a-z]+$"}}}}
    },
    "spec": {
      "properties": {
        "http": {"items": {"properties": {"timeout": {}, "match": {}}, "additionalProperties": false}}
      }
    }
  }
}"#;

#[test]
fn a_schema_finds_the_place() {
    let mesh = tree(&[
        ("malha.toml", "[lint.schemas]\nVirtualService = \"policies/routes.json\"\n"),
        ("policies/routes.json", SCHEMA),
        // In a list, and in a document that is no object.
        (
            "a.yaml",
            &format!(
                "kind: List\napiVersion: v1\nitems:\n- {}---\nx: 1\n",
                ROUTES.replace('\n', "\n  ").trim_end_matches(' ')
            ),
        ),
    ]);
    let told = malha(mesh.path(), &["check", "--format", "concise"]);
    assert_eq!(told.status, 1, "{}", told.err);
    insta::assert_snapshot!("house_schema", told.out);
    // The schema itself is no part of the mesh.
    let (_, told) = report(mesh.path(), &[]);
    assert_eq!(told["summary"]["files"], 1);
    assert_eq!(told["findings"][0]["resource"]["name"], "shop");
}

#[test]
fn a_condition_is_asked_of_every_object_of_its_kinds() {
    let toml = "[[lint.policy]]
name = \"timeouts\"
kind = \"VirtualService\"
check = \"object.spec.http.all(rule, has(rule.timeout))\"
message = \"every rule has a timeout\"
help = \"5s is a good start\"
severity = \"error\"
field = \"spec.http\"

[[lint.policy]]
name = \"owners\"
check = \"has(object.metadata.labels) && 'team' in object.metadata.labels\"
message = \"every object says whose it is\"

[[lint.policy]]
name = \"numbers\"
kind = [\"VirtualService\", \"Gateway\"]
check = \"object.spec.http[0].directResponse.status == 200 && object.metadata.labels.team == 'Shop'\"
message = \"the first rule answers\"

[[lint.policy]]
name = \"careless\"
kind = \"VirtualService\"
check = \"object.spec.tls.size() == 0\"
message = \"no TLS\"
";
    let mesh = tree(&[
        ("malha.toml", toml),
        ("a.yaml", ROUTES),
        ("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"),
    ]);
    let told = malha(mesh.path(), &["check", "--format", "concise"]);
    assert_eq!(told.status, 1, "{}", told.err);
    insta::assert_snapshot!("house_policies", told.out);

    // Findings of policies are findings like any other.
    let codes = |more: &[&str]| places(&report(mesh.path(), more).1);
    assert_eq!(codes(&["--ignore", "house-policy"]), [""; 0]);
    assert_eq!(codes(&["--select", "X002"]).len(), 3);
    write(
        &mesh,
        "b.yaml",
        "apiVersion: v1\nkind: ConfigMap # malha: ignore[D001]\nmetadata: {name: x} # malha: ignore[X002] nobody's\n",
    );
    assert_eq!(codes(&[]), ["X002 a.yaml:4", "X002 a.yaml:8", "O005 b.yaml:2"]);
    assert!(malha(mesh.path(), &["rule", "X002"]).out.starts_with("# X002 house-policy"));
}

#[test]
fn what_asks_for_nothing_sensible_is_refused() {
    let mesh = tree(&[("a.yaml", ROUTES), ("no.json", "{"), ("none.json", "{\"type\": 7}")]);
    for (toml, expected) in [
        (
            "[lint.schemas]\nVirtualServce = \"x.json\"\n",
            "there is no kind `VirtualServce`\n  help: did you mean `VirtualService`?",
        ),
        ("[lint.schemas]\nGateway = \"x.json\"\n", "malha.toml: lint.schemas: x.json: "),
        ("[lint.schemas]\nGateway = \"no.json\"\n", "malha.toml: lint.schemas: no.json: "),
        ("[lint.schemas]\nGateway = \"none.json\"\n", "malha.toml: lint.schemas: none.json: "),
        ("[[lint.policy]]\nname = \"x\"\n", "a table of [[lint.policy]] has no `check`"),
        (
            "[[lint.policy]]\nname = \"x\"\ncheck = \"a(\"\nmessage = \"m\"\n",
            "malha.toml: lint.policy `x`: the condition is not understood: ",
        ),
        ("[[lint.policy]]\nname = \"x\"\ncheck = \"true\"\nmessage = \"m\"\nknd = \"y\"\n", "did you mean `kind`?"),
    ] {
        write(&mesh, "malha.toml", toml);
        let told = malha(mesh.path(), &["check"]);
        assert_eq!(told.status, 2, "{toml}: {}", told.out);
        assert!(told.err.contains(expected), "{toml}: {}", told.err);
    }
}

/// References that fan out: what a validator does doubles with each.
#[test]
fn a_schema_that_would_take_for_ever_is_given_up() {
    let definition = |at: usize| {
        let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
        (format!("d{at}"), json!({"allOf": [next.clone(), next]}))
    };
    let chain = |length: usize| {
        let mut definitions: Map<String, Value> = (0..length).map(definition).collect();
        definitions.insert(format!("d{length}"), json!({"required": ["owner"]}));
        json!({"$ref": "#/$defs/d0", "$defs": definitions}).to_string()
    };
    let endless = json!({"properties": {"spec": {"allOf": [{"$ref": "#/properties/spec"}]}}}).to_string();
    let steps = "asking `policies/routes.json` about this object takes over 1000000 steps";
    let cases = [
        (chain(2), 1, "X001"),
        (chain(30), 1, steps),
        (chain(90), 2, "malha.toml: lint.schemas: policies/routes.json: over 64 of its parts ask each other"),
        (endless, 2, "its references come back to themselves without a step into the object"),
    ];
    for (schema, status, said) in &cases {
        let mesh = tree(&[
            ("malha.toml", "[lint.schemas]\nVirtualService = \"policies/routes.json\"\n"),
            ("policies/routes.json", schema),
            ("a.yaml", ROUTES),
        ]);
        let told = malha(mesh.path(), &["check", "--select", "X", "--format", "concise"]);
        assert_eq!(told.status, *status, "{said}: {}{}", told.out, told.err);
        assert!(told.out.contains(said) || told.err.contains(said), "{said}: {}{}", told.out, told.err);
    }
}

#[test]
fn a_condition_that_would_take_for_ever_is_given_up() {
    let mut hosts = String::new();
    for host in 0..400 {
        write!(hosts, "h{host}.example.com, ").expect("a string takes everything");
    }
    let routes = ROUTES.replace("shop.example.com", hosts.trim_end_matches(", "));
    let doubled = format!("[object.spec.hosts[0]]{}.size() > 0", ".map(x, x + x)".repeat(60));
    let longer = format!("object.spec.hosts{}.size() > 0", ".map(x, object.spec.hosts + object.spec.hosts)".repeat(3));
    for (check, holds) in [
        ("object.spec.hosts.all(a, object.spec.hosts.exists(b, a == b))", true),
        ("object.spec.hosts.map(a, a + '!').filter(a, a.endsWith('!')).size() == object.spec.hosts.size()", true),
        (
            "object.spec.hosts.all(a, object.spec.hosts.all(b, object.spec.hosts.all(c, object.spec.hosts.all(d, true))))",
            false,
        ),
        (
            "object.spec.hosts.map(a, object.spec.hosts.map(b, object.spec.hosts.map(c, object.spec.hosts))).size() > 0",
            false,
        ),
        ("object.spec.hosts.all(a, a in object.spec.hosts && a.matches('^h[0-9]+[.]'))", true),
        ("object.spec.hosts.all(a, object.spec.hosts.all(b, a in object.spec.hosts))", false),
        ("object.spec.hosts.all(a, object.spec.hosts.all(b, a.matches('^h[0-9]+[.]')))", false),
        ("object.spec.hosts.all(a, object.spec.hosts.all(b, object == object))", false),
        (doubled.as_str(), false),
        (longer.as_str(), false),
    ] {
        let toml = format!("[[lint.policy]]\nname = \"p\"\ncheck = \"{check}\"\nmessage = \"m\"\n");
        let mesh = tree(&[("malha.toml", &toml), ("a.yaml", &routes)]);
        let told = malha(mesh.path(), &["check", "--select", "X", "--format", "concise"]);
        assert_eq!(told.status, i32::from(!holds), "{check}: {}{}", told.out, told.err);
        assert!(holds || told.out.contains("it takes over 2000000 steps for this object"), "{check}: {}", told.out);
    }
}
