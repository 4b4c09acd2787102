//! Sidecars: which of them a workload has, and what they let it reach.

use crate::common::{findings_under, object, said};
use malha_mesh::{MeshConfig, config::Completeness};

const CODES: [&str; 5] = ["H020", "H021", "H022", "H023", "H024"];

fn told(objects: &[String]) -> Vec<String> {
    said(objects, &CODES, MeshConfig::default())
}

fn sidecar(name: &str, fields: &str) -> String {
    object(&format!("Sidecar {name}"), &format!("spec: {{{fields}}}"))
}

fn selecting(name: &str, labels: &str, hosts: &str) -> String {
    sidecar(name, &format!("workloadSelector: {{labels: {labels}}}, egress: [{{hosts: [{hosts}]}}]"))
}

fn template(kind: &str, name: &str, labels: &str) -> String {
    let pods = format!("{{metadata: {{labels: {labels}}}}}");
    let spec = match kind {
        "CronJob" => format!("schedule: '@daily', jobTemplate: {{spec: {{template: {pods}}}}}"),
        _ => format!("selector: {{matchLabels: {labels}}}, template: {pods}"),
    };
    object(&format!("{kind} {name}"), &format!("spec: {{{spec}}}"))
}

#[test]
fn a_namespace_has_one_sidecar_without_a_selector() {
    let plain = |name: &str, host: &str| sidecar(name, &format!("egress: [{{hosts: ['{host}']}}]"));
    let lost = ["H020 b metadata.name"];
    assert_eq!(told(&[plain("shop/a", "./*"), plain("shop/b", "*/*")]), lost);
    assert_eq!(told(&[plain("shop/a", "./*"), plain("shop/b", "./*")]), [""; 0], "they say the same");
    assert_eq!(told(&[plain("shop/a", "./*"), plain("team/b", "*/*")]), [""; 0], "of another namespace");
    assert_eq!(told(&[plain("shop/a", "./*"), selecting("shop/b", "{a: b}", "'*/*'")]), [""; 0], "for some workloads");
    let dated =
        |text: String, year: u32| text.replace("labels: {}", &format!("creationTimestamp: '{year}-01-01T00:00:00Z'"));
    let objects = [dated(plain("shop/a", "./*"), 2025), dated(plain("shop/b", "*/*"), 2024)];
    assert_eq!(told(&objects), ["H020 a metadata.name"], "the older one counts");
    let found = findings_under(objects.concat().as_bytes(), MeshConfig::default());
    assert!(found.iter().all(|finding| !finding.message.contains("no file says")), "{found:?}");
}

#[test]
fn a_workload_has_one_sidecar() {
    let one = || selecting("shop/a", "{tier: back}", "'./*'");
    let other = |hosts: &str| selecting("shop/b", "{app: orders}", hosts);
    let workload = |labels: &str| template("Deployment", "shop/orders", labels);
    let lost = ["H021 b spec.workloadSelector"];
    assert_eq!(told(&[workload("{app: orders, tier: back}"), one(), other("'*/*'")]), lost);
    assert_eq!(told(&[template("CronJob", "shop/orders", "{app: orders, tier: back}"), one(), other("'*/*'")]), lost);
    assert_eq!(told(&[workload("{app: orders, tier: back}"), one(), other("'./*'")]), [""; 0], "they say the same");
    assert_eq!(
        told(&[workload("{app: orders}"), template("Deployment", "shop/x", "{tier: back}"), one(), other("'*/*'")]),
        [""; 0],
        "no workload has both labels"
    );
    assert_eq!(told(&[one(), other("'*/*'")]), [""; 0], "nobody knows of a workload");
    let equal = [selecting("shop/a", "{app: orders}", "'./*'"), other("'*/*'")];
    assert_eq!(told(&equal), lost, "whoever has the labels is selected by both");
}

#[test]
fn a_selector_selects_by_the_labels_of_pods() {
    let wanted = || selecting("shop/s", "{app: orders}", "'./*'");
    for kind in [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
        "CronJob",
        "ReplicationController",
        "DeploymentConfig",
        "Rollout",
        "CloneSet",
    ] {
        assert_eq!(told(&[template(kind, "shop/w", "{app: orders}"), wanted()]), [""; 0], "{kind}");
        let found = told(&[template(kind, "shop/w", "{app: order}"), wanted()]);
        assert_eq!(found, ["H024? s spec.workloadSelector"], "{kind}");
    }
    assert_eq!(told(&[wanted()]), [""; 0], "no workload of the namespace is shown");
    assert_eq!(told(&[template("Deployment", "team/w", "{app: order}"), wanted()]), [""; 0], "of another namespace");
    let objects = [template("Deployment", "shop/w", "{app: order}"), wanted()];
    let under = |registry| said(&objects, &CODES, MeshConfig { registry, ..MeshConfig::default() });
    assert_eq!(under(Completeness::Closed), ["H024 s spec.workloadSelector"]);
    assert_eq!(under(Completeness::Open), [""; 0]);
}

#[test]
fn the_root_namespace_has_a_sidecar_for_all() {
    let selected = selecting("istio-system/s", "{app: orders}", "'./*'");
    assert_eq!(told(std::slice::from_ref(&selected)), ["H023 s spec.workloadSelector"]);
    let own = template("Deployment", "istio-system/w", "{app: orders}");
    assert_eq!(told(&[own, selected.clone()]), [""; 0], "it is for a workload of the namespace");
    let config = MeshConfig { root_namespace: "root".into(), ..MeshConfig::default() };
    assert_eq!(said(&[selected], &["H023"], config), [""; 0], "another namespace is the root");
}

#[test]
fn a_host_is_reached_where_it_lives() {
    let service = |name: &str| object(&format!("Service {name}"), "spec: {ports: [{name: http, port: 80}]}");
    let rules =
        object("VirtualService web/v", "spec: {hosts: [v.example.com], http: [{directResponse: {status: 200}}]}");
    let entry = object(
        "ServiceEntry infra/e",
        "spec: {hosts: [x.org], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}",
    );
    let cases = [
        ("shop/orders.shop.svc.cluster.local", ""),
        ("*/orders.shop.svc.cluster.local", ""),
        ("./orders.shop.svc.cluster.local", "H022 s spec.egress[0].hosts[0]"),
        ("web/orders.shop.svc.cluster.local", "H022 s spec.egress[0].hosts[0]"),
        ("shop/ordres.shop.svc.cluster.local", "H022? s spec.egress[0].hosts[0]"),
        ("team/orders.team.svc.cluster.local", ""),
        ("./v.example.com", ""),
        ("*/v.example.com", ""),
        ("infra/x.org", ""),
        ("./x.org", "H022? s spec.egress[0].hosts[0]"),
        ("./unknown.org", ""),
        ("./*", ""),
        ("*/*.org", ""),
        ("~/*", ""),
    ];
    for (host, expected) in cases {
        let objects = [
            service("shop/orders"),
            service("web/front"),
            rules.clone(),
            entry.clone(),
            sidecar("web/s", &format!("egress: [{{hosts: ['{host}']}}]")),
        ];
        let expected: Vec<&str> = [expected].into_iter().filter(|told| !told.is_empty()).collect();
        assert_eq!(told(&objects), expected, "{host}");
    }
}

#[test]
fn what_a_sidecar_keeps_from_clients_is_not_told_of_them() {
    const OF_DESTINATIONS: [&str; 6] = ["D001", "D005", "D010", "D011", "D013", "D016"];
    let service = object("Service shop/orders", "spec: {ports: [{name: http, port: 80}, {name: http-b, port: 81}]}");
    let rules = |destination: &str| {
        let http = format!("http: [{{route: [{{destination: {destination}}}]}}]");
        object("VirtualService shop/orders", &format!("spec: {{exportTo: ['.'], hosts: [orders], {http}}}"))
    };
    let told = |destination: &str, egress: &str| {
        let objects = [service.clone(), rules(destination), sidecar("shop/a", &format!("egress: [{egress}]"))];
        said(&objects, &OF_DESTINATIONS, MeshConfig::default())
    };
    let undefined = "{host: orders, subset: v1, port: {number: 80}}";
    let lost = ["D001 orders spec.http[0].route[0].destination.subset"];
    assert_eq!(told(undefined, "{hosts: ['./*']}"), lost);
    assert_eq!(told(undefined, "{hosts: ['*/orders.shop.svc.cluster.local']}"), lost);
    assert_eq!(told(undefined, "{hosts: ['team/*']}"), [""; 0], "the rules are not let through");
    let of_80 = "{port: {number: 80, protocol: HTTP, name: p}, hosts: ['./*']}";
    let other_port = told("{host: orders, port: {number: 81}}", of_80);
    assert_eq!(other_port, [""; 0], "the service has the port, though no listener has");
}
