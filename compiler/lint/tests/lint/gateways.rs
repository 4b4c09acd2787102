//! Gateways and who takes part behind them: told by evidence alone.

use malha_lint::{Options, check_with};
use malha_mesh::{
    Mesh, MeshConfig,
    config::{Completeness, ConfiguredGateway},
    program::Program,
};
use malha_model::read_documents;
use malha_syntax::{Finding, Severity, SourceId, read};
use std::sync::Arc;

fn checked(code: &str, text: &str, config: MeshConfig) -> Vec<Finding> {
    let resources = read_documents(&read(SourceId(0), text).documents).resources;
    let mesh = Mesh::link(resources.into_iter().map(Arc::new).collect(), config);
    let mut found = check_with(&mesh, &Program::default(), &Options::default());
    found.retain(|finding| finding.rule.code == code);
    found
}

fn count(code: &str, objects: &[String]) -> usize {
    checked(code, &objects.concat(), MeshConfig::default()).len()
}

/// An object of a kind, named `namespace/name`.
fn object(kind: &str, name: &str, rest: &str) -> String {
    let version = match kind {
        "Service" | "Pod" => "v1",
        "Deployment" | "DaemonSet" => "apps/v1",
        "PeerAuthentication" | "RequestAuthentication" => "security.istio.io/v1",
        _ => "networking.istio.io/v1",
    };
    let (namespace, name) = name.split_once('/').expect("a namespace and a name");
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n{rest}\n---\n")
}

fn gateway(selector: &str, port: u32) -> String {
    let server = format!("{{port: {{number: {port}, name: p, protocol: HTTP}}, hosts: ['*']}}");
    object("Gateway", "shops/shop", &format!("spec: {{selector: {selector}, servers: [{server}]}}"))
}

fn workload(kind: &str, labels: &str, more: &str) -> String {
    let pod = format!("containers: [{{name: proxy, image: auto{more}}}]");
    match kind {
        "Pod" => object("Pod", "edge/gw", &format!("spec: {{{pod}}}"))
            .replace("namespace: edge", &format!("namespace: edge, labels: {labels}")),
        _ => {
            object(kind, "edge/gw", &format!("spec: {{template: {{metadata: {{labels: {labels}}}, spec: {{{pod}}}}}}}"))
        }
    }
}

#[test]
fn a_selector_is_told_where_a_workload_almost_has_its_labels() {
    for (what, objects, expected) in [
        ("no workload is in the files", vec![gateway("{istio: ingressgateway}", 80)], 0),
        (
            "a Deployment",
            vec![gateway("{istio: ingressgateway}", 80), workload("Deployment", "{istio: ingressgateway}", "")],
            0,
        ),
        (
            "a DaemonSet",
            vec![gateway("{istio: ingressgateway}", 80), workload("DaemonSet", "{istio: ingressgateway}", "")],
            0,
        ),
        ("a Pod", vec![gateway("{istio: ingressgateway}", 80), workload("Pod", "{istio: ingressgateway}", "")], 0),
        (
            "another workload",
            vec![gateway("{istio: ingressgateway}", 80), workload("Deployment", "{istio: egressgateway-two}", "")],
            0,
        ),
        (
            "a slip",
            vec![gateway("{istio: ingresgateway}", 80), workload("Deployment", "{istio: ingressgateway}", "")],
            1,
        ),
        (
            "one label of two",
            vec![gateway("{app: gw, istio: public}", 80), workload("Deployment", "{app: gw, istio: private}", "")],
            1,
        ),
        (
            "one label is missing",
            vec![gateway("{app: gw, istio: public}", 80), workload("Deployment", "{app: gw}", "")],
            1,
        ),
        ("all Gateways' proxies", vec![gateway("{}", 80), workload("Deployment", "{app: gw}", "")], 0),
    ] {
        assert_eq!(count("H030", &objects), expected, "{what}");
    }
    let lone = gateway("{istio: ingressgateway}", 80);
    let closed = MeshConfig { registry: Completeness::Closed, ..MeshConfig::default() };
    let found = checked("H030", &lone, closed.clone());
    assert_eq!(found.iter().map(|finding| finding.severity).collect::<Vec<_>>(), [Severity::Error]);
    let labels = [("istio".into(), "ingressgateway".into())].into();
    let named = ConfiguredGateway { name: "gw".into(), namespace: "edge".into(), labels };
    assert_eq!(checked("H030", &lone, MeshConfig { gateways: vec![named], ..closed }), []);
}

#[test]
fn a_port_is_told_where_a_service_is_in_front() {
    let gw = || workload("Deployment", "{istio: gw}", ", ports: [{name: web, containerPort: 9090}]");
    let service =
        |ports: &str| object("Service", "edge/gw", &format!("spec: {{selector: {{istio: gw}}, ports: [{ports}]}}"));
    for (what, objects, expected) in [
        ("no Service", vec![gateway("{istio: gw}", 9999), gw()], 0),
        ("its port", vec![gateway("{istio: gw}", 80), gw(), service("{name: a, port: 80, targetPort: 8080}")], 0),
        ("its target", vec![gateway("{istio: gw}", 8080), gw(), service("{name: a, port: 80, targetPort: 8080}")], 0),
        (
            "its target by name",
            vec![gateway("{istio: gw}", 9090), gw(), service("{name: a, port: 80, targetPort: web}")],
            0,
        ),
        ("another", vec![gateway("{istio: gw}", 443), gw(), service("{name: a, port: 80, targetPort: 8080}")], 1),
        (
            "of another Service",
            vec![
                gateway("{istio: gw}", 443),
                gw(),
                service("{name: a, port: 80}"),
                service("{name: b, port: 443}").replace("name: gw,", "name: gw-tls,"),
            ],
            0,
        ),
        (
            "a Service for others",
            vec![gateway("{istio: gw}", 443), gw(), service("{name: a, port: 80}").replace("istio: gw", "app: shop")],
            0,
        ),
    ] {
        assert_eq!(count("H031", &objects), expected, "{what}");
    }
}

#[test]
fn claims_are_told_where_policies_are_in_the_files_but_for_others() {
    let rules = object(
        "VirtualService",
        "shops/shop",
        "spec: {hosts: [a.com], gateways: [shop], http: [{match: [{headers: {'@request.auth.claims.group': {exact: a}}}], directResponse: {status: 200}}]}",
    );
    let policy = |name: &str, spec: &str| object("RequestAuthentication", name, &format!("spec: {{{spec}}}"));
    let gw = || workload("Deployment", "{istio: gw}", "");
    let base = || vec![gateway("{istio: gw}", 80), rules.clone()];
    for (what, more, expected) in [
        ("no policy is in the files", vec![gw()], 0),
        ("of the namespace", vec![gw(), policy("edge/a", "")], 0),
        ("of the mesh", vec![gw(), policy("istio-system/a", "")], 0),
        ("for its labels", vec![gw(), policy("edge/a", "selector: {matchLabels: {istio: gw}}")], 0),
        ("for other labels", vec![gw(), policy("edge/a", "selector: {matchLabels: {istio: other}}")], 1),
        ("of the Gateway's namespace", vec![gw(), policy("shops/a", "")], 1),
        ("nobody knows the workload", vec![policy("shops/a", "")], 0),
    ] {
        assert_eq!(count("C007", &[base(), more].concat()), expected, "{what}");
    }
}

#[test]
fn mutual_tls_conflicts_by_the_policy_in_force() {
    let service = object("Service", "shops/orders", "spec: {selector: {app: orders}, ports: [{name: http, port: 80}]}");
    let rule = |host: &str, mode: &str| {
        object(
            "DestinationRule",
            "shops/orders",
            &format!("spec: {{host: {host}, trafficPolicy: {{tls: {{mode: {mode}}}}}}}"),
        )
    };
    let peers = |name: &str, spec: &str| object("PeerAuthentication", name, &format!("spec: {{{spec}}}"));
    let of = |selector: &str, mode: &str| format!("selector: {{matchLabels: {{{selector}}}}}, mtls: {{mode: {mode}}}");
    let strict = "mtls: {mode: STRICT}";
    for (what, objects, expected) in [
        ("no policy", vec![rule("orders", "DISABLE")], 0),
        ("of the namespace", vec![rule("orders", "DISABLE"), peers("shops/a", strict)], 1),
        ("of the mesh", vec![rule("orders", "DISABLE"), peers("istio-system/a", strict)], 1),
        ("of another namespace", vec![rule("orders", "DISABLE"), peers("other/a", strict)], 0),
        ("a wildcard", vec![rule("'*.shops.svc.cluster.local'", "DISABLE"), peers("shops/a", strict)], 1),
        ("a host elsewhere", vec![rule("orders.example.com", "DISABLE"), peers("shops/a", strict)], 0),
        ("mutual TLS", vec![rule("orders", "ISTIO_MUTUAL"), peers("shops/a", strict)], 0),
        ("refused", vec![rule("orders", "ISTIO_MUTUAL"), peers("shops/a", "mtls: {mode: DISABLE}")], 1),
        (
            "either",
            vec![
                rule("orders", "DISABLE"),
                peers("shops/a", "mtls: {mode: PERMISSIVE}"),
                peers("istio-system/a", strict),
            ],
            0,
        ),
        (
            "left to the mesh",
            vec![rule("orders", "DISABLE"), peers("shops/a", "mtls: {mode: UNSET}"), peers("istio-system/a", strict)],
            1,
        ),
        ("its workloads", vec![rule("orders", "DISABLE"), peers("shops/a", &of("app: orders", "STRICT"))], 1),
        (
            "its workloads take either",
            vec![
                rule("orders", "DISABLE"),
                peers("shops/a", &of("app: orders", "PERMISSIVE")),
                peers("shops/b", strict),
            ],
            0,
        ),
        ("other workloads", vec![rule("orders", "DISABLE"), peers("shops/a", &of("app: other", "STRICT"))], 0),
        (
            "some of its workloads",
            vec![
                rule("orders", "DISABLE"),
                peers("shops/a", &of("app: orders, version: v2", "PERMISSIVE")),
                peers("shops/b", strict),
            ],
            0,
        ),
        (
            "single ports",
            vec![
                rule("orders", "DISABLE"),
                peers("shops/a", "selector: {matchLabels: {app: orders}}, portLevelMtls: {80: {mode: DISABLE}}"),
                peers("shops/b", strict),
            ],
            0,
        ),
        (
            "no sidecar",
            vec![
                rule("orders", "DISABLE"),
                peers("shops/a", strict),
                workload("Deployment", "{app: orders, sidecar.istio.io/inject: 'false'}", "")
                    .replace("namespace: edge", "namespace: shops"),
            ],
            0,
        ),
    ] {
        let injecting =
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: shops, labels: {istio-injection: enabled}}\n---\n";
        let shown = [vec![service.clone(), injecting.to_owned()], objects.clone()].concat();
        assert_eq!(count("C008", &shown), expected, "{what}");
        if what != "refused" {
            assert_eq!(count("C008", &[vec![service.clone()], objects].concat()), 0, "{what}: no sidecars are shown");
        }
    }
}

#[test]
fn names_are_unchecked_only_with_a_server_name_and_none_besides() {
    let rule = |tls: &str| {
        object(
            "DestinationRule",
            "shops/bank",
            &format!("spec: {{host: bank.example.com, trafficPolicy: {{tls: {{{tls}}}}}}}"),
        )
    };
    let entry = object(
        "ServiceEntry",
        "shops/bank",
        "spec: {hosts: [bank.example.com], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}], subjectAltNames: [bank.example.com]}",
    );
    for (what, objects, expected) in [
        ("by default names are checked", vec![rule("mode: SIMPLE")], 0),
        ("with a server name they are not", vec![rule("mode: SIMPLE, sni: bank.example.com")], 1),
        ("names here", vec![rule("mode: SIMPLE, sni: b.com, subjectAltNames: [b.com]")], 0),
        ("names of the entry", vec![rule("mode: SIMPLE, sni: bank.example.com"), entry], 0),
        ("nothing is to be checked", vec![rule("mode: SIMPLE, sni: b.com, insecureSkipVerify: true")], 0),
        ("the mesh's own", vec![rule("mode: ISTIO_MUTUAL, sni: b.com")], 0),
    ] {
        assert_eq!(count("C009", &objects), expected, "{what}");
    }
}
