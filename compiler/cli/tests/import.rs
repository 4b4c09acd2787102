//! `malha import`: what a cluster prints, as a tree that checks and runs.

#[path = "support/command.rs"]
mod command;

use command::{Told, malha, tree};
use std::{collections::BTreeMap, fs, path::Path};

/// What `kubectl get ... -A -o yaml` prints of a small shop.
const DUMP: &str = include_str!("import/dump.yaml");

fn import(directory: &Path, arguments: &[&str]) -> Told {
    malha(directory, &[&["import"], arguments].concat())
}

fn imported(directory: &Path, arguments: &[&str]) -> Told {
    let told = import(directory, arguments);
    assert_eq!(told.status, 0, "{}", told.err);
    told
}

/// The files below a directory, by path.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).expect("below it").to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read_to_string(&path).expect("text"));
            }
        }
    }
    found
}

#[test]
fn a_dump_becomes_a_clean_tree_that_checks() {
    let directory = tree(&[("dump.yaml", DUMP)]);
    let told = imported(directory.path(), &["dump.yaml", "-o", "mesh"]);
    let written = files(&directory.path().join("mesh"));
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "istio-system/configmap-istio.yaml",
            "malha.toml",
            "shop/deployment-orders.yaml",
            "shop/endpointslice-legacy-1.yaml",
            "shop/gateway-shop.yaml",
            "shop/pod-lone.yaml",
            "shop/service-legacy.yaml",
            "shop/service-orders.yaml",
            "shop/virtualservice-orders.yaml",
        ]
    );
    assert_eq!(
        written["shop/virtualservice-orders.yaml"],
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
  namespace: shop
  creationTimestamp: 2026-03-04T05:06:07Z
  labels:
    team: 'true'
  annotations:
    owner: orders@example.com
spec:
  gateways:
  - shop
  hosts:
  - orders.example.com
  http:
  - match:
    - headers:
        x-build:
          exact: 010
    route:
    - destination:
        host: orders
        port:
          number: 8000
"
        .replace("exact: 010", "exact: '010'")
    );
    assert!(!written["shop/deployment-orders.yaml"].contains("creationTimestamp"));
    assert!(!written["shop/deployment-orders.yaml"].contains("status"));
    assert!(written["shop/pod-lone.yaml"].contains("podIP: 10.1.0.9"));
    assert!(!written["shop/pod-lone.yaml"].contains("hostIP"));
    for line in [
        "left out: 1 object (EndpointSlice: made by a Service that is here)",
        "left out: 1 object (Pod: made by a ReplicaSet that is here)",
        "left out: 1 object (ReplicaSet: made by a Deployment that is here)",
        "left out: 1 object (Secret: --secrets writes it)",
        "left out: 1 object (PersistentVolumeClaim: not a kind that Malha reads)",
        "left out: 1 object (being deleted)",
        "next: malha check mesh",
    ] {
        assert!(told.out.lines().any(|it| it == line), "{line}:\n{}", told.out);
    }
    let checked = malha(directory.path(), &["check", "mesh", "--format", "concise"]);
    assert_eq!((checked.status, checked.out.lines().count()), (0, 1), "{}{}", checked.out, checked.err);
    let routed = malha(
        directory.path(),
        &["route", "-H", "x-build: 010", "http://orders.example.com:8080/", "mesh", "--format", "json"],
    );
    assert!(routed.out.contains("\"endpoints\": 2"), "two replicas of the Deployment: {}{}", routed.out, routed.err);
}

#[test]
fn what_is_there_is_kept_unless_told_otherwise() {
    let directory = tree(&[("dump.yaml", DUMP)]);
    imported(directory.path(), &["dump.yaml", "-o", "mesh"]);
    let again = imported(directory.path(), &["dump.yaml", "-o", "mesh"]);
    assert!(again.out.starts_with("0 files written to mesh, 9 there already\n"), "{}", again.out);

    let changed = directory.path().join("mesh/shop/gateway-shop.yaml");
    let settings = directory.path().join("mesh/malha.toml");
    fs::write(&changed, "mine\n").expect("written");
    fs::write(&settings, "[mesh]\nregistry = \"closed\"\n").expect("written");
    fs::remove_file(directory.path().join("mesh/shop/service-orders.yaml")).expect("removed");
    let refused = import(directory.path(), &["dump.yaml", "-o", "mesh"]);
    assert_eq!(refused.status, 2);
    assert!(refused.err.contains("mesh holds other text for shop/gateway-shop.yaml\n"), "{}", refused.err);
    assert!(!directory.path().join("mesh/shop/service-orders.yaml").exists(), "nothing is written");

    let forced = imported(directory.path(), &["dump.yaml", "-o", "mesh", "--force"]);
    assert!(forced.out.starts_with("2 files written to mesh, 7 there already\n"), "{}", forced.out);
    assert_ne!(fs::read_to_string(changed).expect("text"), "mine\n");
    let note = "note: mesh/malha.toml does not name the mesh's settings: say `config = \"istio-system/configmap-istio.yaml\"` in its [mesh]";
    assert!(forced.out.contains(note), "{}", forced.out);
    let kept = fs::read_to_string(settings).expect("text");
    assert_eq!(kept, "[mesh]\nregistry = \"closed\"\n", "settings are people's own");
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let directory = tree(&[("dump.yaml", DUMP)]);
    imported(directory.path(), &["dump.yaml", "-o", "mesh", "--secrets"]);
    let secret = directory.path().join("mesh/shop/secret-shop-tls.yaml");
    assert!(fs::read_to_string(&secret).expect("text").contains("tls.key: bm8ga2V5"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = || fs::metadata(&secret).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        let open = || fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("it is mine");
        open();
        imported(directory.path(), &["dump.yaml", "-o", "mesh", "--secrets"]);
        assert_eq!(mode(), 0o600, "the same text");
        open();
        fs::write(&secret, "another").expect("written");
        imported(directory.path(), &["dump.yaml", "-o", "mesh", "--secrets", "--force"]);
        assert_eq!(mode(), 0o600, "another text");
    }
}

/// Of each object of a List in YAML its file.
fn imported_list(items: &str) -> BTreeMap<String, String> {
    let directory = tree(&[("dump.yaml", &format!("apiVersion: v1\nkind: List\nitems:\n{items}"))]);
    imported(directory.path(), &["dump.yaml", "-o", "mesh", "--secrets"]);
    files(&directory.path().join("mesh"))
}

#[test]
fn what_others_make_is_left_out_only_where_their_template_is_there() {
    let owned = |kind: &str, name: &str, group: &str, maker: &str, template: &str| {
        format!(
            "- apiVersion: {group}
  kind: {kind}
  metadata: {{name: {name}, namespace: shop, uid: {name}, ownerReferences: [{{controller: true, uid: {maker}}}]}}
  spec: {{{template}}}
"
        )
    };
    let template = "template: {metadata: {labels: {app: a}}}";
    // A Rollout that borrows the template of a Deployment makes the ReplicaSet that has it.
    let borrowed = [
        owned("Rollout", "roll", "argoproj.io/v1alpha1", "nobody", "workloadRef: {kind: Deployment, name: a}"),
        owned("ReplicaSet", "set", "apps/v1", "roll", template),
        owned("Pod", "pod", "v1", "set", ""),
    ];
    let names: Vec<String> = imported_list(&borrowed.concat()).into_keys().collect();
    assert_eq!(names, ["shop/replicaset-set.yaml", "shop/rollout-roll.yaml"]);
    let config = [
        owned("DeploymentConfig", "config", "apps.openshift.io/v1", "nobody", template),
        owned("ReplicationController", "controller", "v1", "config", template),
        owned("Pod", "pod", "v1", "controller", ""),
    ];
    let names: Vec<String> = imported_list(&config.concat()).into_keys().collect();
    assert_eq!(names, ["shop/deploymentconfig-config.yaml"]);
}

#[test]
fn ages_stay_where_they_count_and_secrets_of_accounts_out() {
    let written = imported_list(
        "- apiVersion: v1
  kind: Service
  metadata: {name: switch, labels: {light: \"on\"}}
- apiVersion: security.istio.io/v1
  kind: PeerAuthentication
  metadata: {name: a, creationTimestamp: 2026-01-01T00:00:00Z}
- apiVersion: v1
  kind: Secret
  metadata: {name: account-token}
  type: kubernetes.io/service-account-token
  data: {ca.crt: Zm9v, token: Zm9v}
- apiVersion: v1
  kind: Secret
  metadata: {name: password}
  data: {password: Zm9v}
",
    );
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    assert_eq!(names, ["default/peerauthentication-a.yaml", "default/service-switch.yaml"]);
    assert!(written["default/service-switch.yaml"].contains("light: \"on\""), "without quotes it would be true");
    assert!(written["default/peerauthentication-a.yaml"].contains("creationTimestamp: 2026-01-01T00:00:00Z"));
}

#[test]
fn typed_lists_and_json_are_read_and_the_later_of_two_counts() {
    let list = r#"{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntryList", "items": [
        {"metadata": {"name": "api", "namespace": "shop"}, "spec": {"hosts": ["a.example.com"]}},
        {"metadata": {"name": "api", "namespace": "shop"}, "spec": {"hosts": ["b.example.com"]}}]}"#;
    let directory = tree(&[("dump.json", list)]);
    let told = imported(directory.path(), &["dump.json", "-o", "mesh"]);
    assert!(told.out.contains("note: ServiceEntry shop/api is there twice"), "{}", told.out);
    let written = files(&directory.path().join("mesh"));
    assert!(
        written["shop/serviceentry-api.yaml"].starts_with("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n")
    );
    assert!(written["shop/serviceentry-api.yaml"].contains("- b.example.com"));
}

#[test]
fn what_cannot_be_imported_says_why_and_writes_nothing() {
    let named = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{ports: [{{port: 80}}]}}\n"
        )
    };
    let cases = [
        ("a: [", "dump.yaml:1: "),
        ("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n", "there is nothing to import"),
        (&named("../../etc/passwd"), "this is no name of Kubernetes"),
        (&named("\"\""), "a service has no name"),
    ];
    for (text, expected) in cases {
        let directory = tree(&[("dump.yaml", text)]);
        let told = import(directory.path(), &["dump.yaml", "-o", "mesh"]);
        assert_eq!(told.status, 2, "{text}");
        assert!(told.err.contains(expected), "{text}: {}", told.err);
        assert!(!directory.path().join("mesh").exists());
    }
    let directory = tree(&[("dump.yaml", DUMP)]);
    let told = import(directory.path(), &["absent.yaml"]);
    assert!(told.status == 2 && told.err.contains("absent.yaml: "), "{}", told.err);
}

#[test]
fn a_dump_within_its_tree_is_named() {
    let directory = tree(&[("dump.yaml", DUMP)]);
    let told = imported(directory.path(), &["dump.yaml"]);
    assert!(
        told.out.contains("note: dump.yaml lies in . too, where each of its objects is read twice"),
        "{}",
        told.out
    );
    let told = imported(directory.path(), &["dump.yaml", "-o", "mesh"]);
    assert!(!told.out.contains("twice"), "{}", told.out);
}
