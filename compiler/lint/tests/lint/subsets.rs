//! Subsets: what they select, by what the files show.

use crate::common::{object, said};
use malha_mesh::{MeshConfig, config::Completeness};

const SERVICE: &str = "spec: {selector: {app: a}, ports: [{name: http, port: 80}]}";

fn service() -> String {
    object("Service shop/a", SERVICE)
}

fn template(head: &str, labels: &str, more: &str) -> String {
    let spec =
        format!("spec: {{selector: {{matchLabels: {labels}}}, template: {{metadata: {{labels: {labels}}}}}{more}}}");
    object(head, &spec)
}

/// A DestinationRule whose subset `s` has these labels.
fn subset(host: &str, labels: &str) -> String {
    object("DestinationRule shop/r", &format!("spec: {{host: {host}, subsets: [{{name: s, labels: {labels}}}]}}"))
}

fn route(host: &str) -> String {
    object(
        "VirtualService shop/v",
        &format!("spec: {{hosts: [{host}], http: [{{route: [{{destination: {{host: {host}, subset: s}}}}]}}]}}"),
    )
}

fn found(objects: &[String], registry: Completeness) -> Vec<String> {
    said(objects, &["D013"], MeshConfig { registry, ..MeshConfig::default() })
}

#[test]
fn a_subset_selects_what_the_files_show() {
    let pod = |labels: &str, status: &str| {
        object(&format!("Pod shop/p {labels}"), &format!("spec: {{containers: []}}\nstatus: {{{status}}}"))
    };
    let v1 = "{app: a, version: v1}";
    // What shows workloads, the labels of the subset, and whether they are said to select nothing.
    let cases: Vec<(&str, Vec<String>, &str, bool)> = vec![
        ("a template", vec![template("Deployment shop/d", v1, "")], "{version: v1}", false),
        ("none has them", vec![template("Deployment shop/d", v1, "")], "{version: v2}", true),
        ("any template counts", vec![template("StatefulSet shop/d", v1, "")], "{version: v2}", true),
        ("any template counts", vec![template("DaemonSet shop/d", v1, "")], "{version: v2}", true),
        (
            "scaled to nothing for now",
            vec![
                template("Deployment shop/d", v1, ""),
                template("Deployment shop/e", "{app: a, version: v2}", ", replicas: 0"),
            ],
            "{version: v2}",
            false,
        ),
        (
            "a Pod that is not ready",
            vec![pod("{app: a, version: v2}", "conditions: [{type: Ready, status: 'False'}]")],
            "{version: v2}",
            false,
        ),
        ("a Pod", vec![pod(v1, "podIP: 10.0.0.1")], "{version: v2}", true),
        ("no workload is shown", vec![], "{version: v2}", false),
        (
            "workloads of another service",
            vec![template("Deployment shop/d", "{app: b, version: v1}", "")],
            "{version: v2}",
            false,
        ),
        ("of another namespace", vec![template("Deployment team/d", v1, "")], "{version: v2}", false),
        (
            "the Service's own selector counts",
            vec![template("Deployment shop/d", v1, ""), template("Deployment shop/e", "{app: b, version: v2}", "")],
            "{version: v2}",
            true,
        ),
        ("where it runs", vec![template("Deployment shop/d", v1, "")], "{topology.kubernetes.io/zone: z}", false),
        ("what made it", vec![template("Deployment shop/d", v1, "")], "{rollouts-pod-template-hash: x}", false),
        ("both of two labels", vec![template("Deployment shop/d", v1, "")], "{version: v1, tier: gold}", true),
        (
            "WorkloadEntries count",
            vec![object("WorkloadEntry shop/w", "spec: {address: 192.0.2.1, labels: {app: a, version: v2}}")],
            "{version: v2}",
            false,
        ),
        (
            "endpoints by address",
            vec![
                template("Deployment shop/d", v1, ""),
                object("Endpoints shop/a", "subsets: [{addresses: [{ip: 10.0.0.9}], ports: [{name: http, port: 80}]}]"),
            ],
            "{version: v2}",
            false,
        ),
    ];
    for (what, mut objects, labels, expected) in cases {
        objects.extend([service(), subset("a", labels), route("a")]);
        let told = found(&objects, Completeness::Auto);
        assert_eq!(told.len(), usize::from(expected), "{what}: {told:?}");
        let told = found(&objects, Completeness::Closed);
        assert!(told.iter().all(|told| told.starts_with("D013 ")), "{what}: sure: {told:?}");
        assert_eq!(found(&objects, Completeness::Open), [""; 0], "{what}: who knows");
    }
}

#[test]
fn the_label_at_fault_is_pointed_at() {
    let objects = [
        service(),
        template("Deployment shop/d", "{app: a, version: v1, tier: b}", ""),
        subset("a", "{tier: b, version: v2}"),
        route("a"),
    ];
    assert_eq!(found(&objects, Completeness::Auto), ["D013? r spec.subsets[0].labels.version"]);
}

#[test]
fn endpoints_of_entries_have_labels_of_their_own() {
    let entry = |more: &str| {
        object(
            "ServiceEntry shop/e",
            &format!("spec: {{hosts: [x.org], ports: [{{number: 80, name: http, protocol: HTTP}}], {more}}}"),
        )
    };
    let selected = "resolution: STATIC, workloadSelector: {labels: {app: a}}";
    let cases: Vec<(&str, Vec<String>, bool)> = vec![
        ("written", vec![entry("resolution: STATIC, endpoints: [{address: 192.0.2.1, labels: {version: v2}}]")], false),
        (
            "not written",
            vec![entry("resolution: STATIC, endpoints: [{address: 192.0.2.1, labels: {version: v1}}]")],
            true,
        ),
        ("E12: no labels", vec![entry("resolution: DNS")], true),
        ("no labels matter", vec![entry("resolution: NONE")], false),
        ("nothing is known", vec![entry(selected)], false),
        (
            "E13",
            vec![
                entry(selected),
                object("WorkloadEntry shop/w", "spec: {address: 192.0.2.1, labels: {app: a, version: v2}}"),
            ],
            false,
        ),
        (
            "E13",
            vec![
                entry(selected),
                object("WorkloadEntry shop/w", "spec: {address: 192.0.2.1, labels: {app: a, version: v1}}"),
            ],
            true,
        ),
    ];
    for (what, mut objects, expected) in cases {
        objects.extend([subset("x.org", "{version: v2}"), route("x.org")]);
        assert_eq!(found(&objects, Completeness::Auto).len(), usize::from(expected), "{what}");
    }
}

#[test]
fn a_subset_that_nobody_uses_is_nobody_s_loss() {
    let objects = [service(), template("Deployment shop/d", "{app: a, version: v1}", ""), subset("a", "{version: v2}")];
    assert_eq!(found(&objects, Completeness::Auto), [""; 0]);
    let mirror = object(
        "VirtualService shop/v",
        "spec: {hosts: [a], http: [{route: [{destination: {host: a}}], mirror: {host: a, subset: s}}]}",
    );
    assert_eq!(found(&[&objects[..], &[mirror]].concat(), Completeness::Auto).len(), 1);
}

#[test]
fn a_subset_without_labels_is_no_part() {
    let subsets = |subsets: &str| object("DestinationRule shop/r", &format!("spec: {{host: a, subsets: [{subsets}]}}"));
    let told = |text: &str| said(&[subsets(text)], &["D014"], MeshConfig::default());
    assert_eq!(told("{name: s}, {name: t, labels: {}}"), ["D014 r spec.subsets[0]", "D014 r spec.subsets[1]"]);
    assert_eq!(told("{name: s, labels: {a: b}}"), [""; 0]);
    assert_eq!(told("{name: s, trafficPolicy: {loadBalancer: {simple: RANDOM}}}"), [""; 0], "another treatment");
}

#[test]
fn rules_that_only_their_namespace_sees_are_looked_at() {
    let rules = |fields: &str| {
        let http = "http: [{route: [{destination: {host: a, subset: t}}]}]";
        object("VirtualService shop/v", &format!("spec: {{hosts: [a], {fields}{http}}}"))
    };
    let told = |fields: &str, export: &str| {
        let defined = subset("a", "{version: v1}").replace("spec: {", &format!("spec: {{{export}"));
        said(&[service(), defined, rules(fields)], &["D001"], MeshConfig::default())
    };
    let undefined = ["D001 v spec.http[0].route[0].destination.subset"];
    assert_eq!(told("", ""), undefined, "told once, whoever sees it");
    assert_eq!(told("exportTo: ['.'], ", ""), undefined);
    assert_eq!(told("exportTo: ['.'], ", "exportTo: ['.'], "), undefined);
    assert_eq!(told("gateways: [edge/gw], ", ""), [""; 0], "nobody knows where the gateway runs");
}
