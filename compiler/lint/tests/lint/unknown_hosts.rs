//! Hosts that nobody has: what the files show, and how sure it is.

use crate::common::{findings_under, object, said};
use malha_mesh::{MeshConfig, config::Completeness};

fn under(registry: Completeness) -> MeshConfig {
    MeshConfig { registry, ..MeshConfig::default() }
}

fn service(name: &str) -> String {
    object(
        &format!("Service {name}"),
        "spec: {ports: [{name: http, port: 80, targetPort: 8080}, {name: http-b, port: 81}]}",
    )
}

fn entry(name: &str, host: &str) -> String {
    let spec =
        format!("spec: {{hosts: ['{host}'], resolution: NONE, ports: [{{number: 443, name: tls, protocol: TLS}}]}}");
    object(&format!("ServiceEntry {name}"), &spec)
}

/// A VirtualService of namespace `shop` that sends to one destination.
fn to(destination: &str) -> String {
    let http = format!("http: [{{route: [{{destination: {destination}}}]}}]");
    object("VirtualService shop/v", &format!("spec: {{hosts: [v.example.com], gateways: [edge/gw], {http}}}"))
}

const HOST: &str = "v spec.http[0].route[0].destination.host";

#[test]
fn a_host_is_unknown_by_what_the_files_show() {
    use Completeness::{Auto, Closed, Open};
    // What is sent to; what is said of it in a mesh that is judged by its files, that is closed, and that is open.
    let cases: [(&str, &str, [bool; 3]); 19] = [
        ("a Service of the namespace", "orders", [false, false, false]),
        ("one of another", "gateway.edge.svc.cluster.local", [false, false, false]),
        ("its namespace has Services", "returns", [true, true, false]),
        ("a slip", "ordres", [true, true, true]),
        ("a slip in a namespace", "orders.shoop.svc.cluster.local", [true, true, true]),
        ("a namespace without Services", "orders.team.svc.cluster.local", [false, true, false]),
        ("0.4: cut short", "orders.shop", [true, true, true]),
        ("0.4: cut short less", "orders.shop.svc", [true, true, true]),
        ("a host of an entry", "api.partner.org", [false, false, false]),
        ("no entry has it", "api.example.org", [false, true, false]),
        ("a slip of an entry's", "api.partenr.org", [true, true, true]),
        ("not by its end alone", "foopartner.org", [false, true, false]),
        ("a sibling of an entry's", "apj.partner.org", [false, true, false]),
        ("E2: below a wildcard", "a.wild.org", [true, true, false]),
        ("the wildcard itself", "'*.wild.org'", [false, false, false]),
        ("the cluster's own", "kubernetes.default.svc.cluster.local", [false, false, false]),
        ("of the system", "kiali.istio-system.svc.cluster.local", [false, true, false]),
        ("another cluster's domain", "orders.shop.svc.clusterset.local", [false, true, false]),
        ("a refused entry's", "refused.org", [false, false, false]),
    ];
    let refused = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: r, namespace: shop}\nspec: \
                   {hosts: [refused.org], resolution: SOMEHOW}\n---\n";
    for (what, host, expected) in cases {
        let objects = [
            service("shop/orders"),
            service("edge/gateway"),
            service("istio-system/istiod"),
            entry("shop/partner", "api.partner.org"),
            entry("shop/bare", "partner.org"),
            entry("shop/wild", "*.wild.org"),
            refused.to_owned(),
            to(&format!("{{host: {host}, port: {{number: 80}}}}")),
        ];
        for (registry, expected) in [Auto, Closed, Open].into_iter().zip(expected) {
            let found = said(&objects, &["D010"], under(registry));
            let told = format!("D010{} {HOST}", if registry == Closed { "" } else { "?" });
            let expected = if expected { vec![told] } else { Vec::new() };
            assert_eq!(found, expected, "{what}: {host} in {registry:?}");
        }
    }
}

#[test]
fn every_place_that_sends_somewhere_is_looked_at() {
    let sends =
        |rules: &str| object("VirtualService shop/v", &format!("spec: {{hosts: [v.org], gateways: [g], {rules}}}"));
    let good = "{destination: {host: orders, port: {number: 80}}}";
    let bad = "{destination: {host: ordres}}";
    let cases = [
        (format!("http: [{{route: [{good}], mirror: {{host: ordres}}}}]"), vec!["spec.http[0].mirror.host"]),
        (format!("http: [{{route: [{good}], mirrors: [{bad}]}}]"), vec!["spec.http[0].mirrors[0].destination.host"]),
        (
            format!("tls: [{{match: [{{sniHosts: [v.org]}}], route: [{bad}]}}]"),
            vec!["spec.tls[0].route[0].destination.host"],
        ),
        (format!("tcp: [{{route: [{bad}]}}]"), vec!["spec.tcp[0].route[0].destination.host"]),
        (
            "http: [{route: [{destination: {host: orders}, weight: 1}, {destination: {host: ordres}, weight: 1}]}]"
                .to_owned(),
            vec!["spec.http[0].route[1].destination.host"],
        ),
        (
            "http: [{route: [{destination: {host: orders}, weight: 1}, {destination: {host: ordres}, weight: 0}]}]"
                .to_owned(),
            vec![],
        ),
        ("http: [{redirect: {authority: ordres}}]".to_owned(), vec![]),
    ];
    for (rules, expected) in cases {
        let found = said(&[service("shop/orders"), sends(&rules)], &["D010"], MeshConfig::default());
        let expected: Vec<String> = expected.into_iter().map(|field| format!("D010? v {field}")).collect();
        assert_eq!(found, expected, "{rules}");
    }
    // A delegate's short names are of its own namespace.
    let delegate = object("VirtualService shop/d", "spec: {http: [{route: [{destination: {host: ordres}}]}]}");
    let root = object(
        "VirtualService edge/v",
        "spec: {hosts: [v.org], gateways: [g], http: [{delegate: {name: d, namespace: shop}}]}",
    );
    let found = said(&[service("shop/orders"), delegate, root], &["D010"], MeshConfig::default());
    assert_eq!(found, ["D010? d spec.http[0].route[0].destination.host"]);
}

#[test]
fn the_domain_of_the_cluster_is_asked_for() {
    let config = MeshConfig { cluster_domain: "example.local".into(), ..MeshConfig::default() };
    let objects = |host: &str| [service("shop/orders"), to(&format!("{{host: {host}, port: {{number: 80}}}}"))];
    assert_eq!(said(&objects("orders.shop.svc.example.local"), &["D010"], config.clone()), [""; 0]);
    assert_eq!(said(&objects("orders"), &["D010"], config.clone()), [""; 0]);
    assert_eq!(said(&objects("returns.shop.svc.example.local"), &["D010"], config).len(), 1);
}

#[test]
fn a_port_is_one_of_the_service() {
    const PORT: &str = "D011 v spec.http[0].route[0].destination.port.number";
    let two = |name: &str, number: u32, resolution: &str| {
        let ports = format!("[{{number: {number}, name: p{number}, protocol: HTTP}}]");
        let spec = format!("spec: {{hosts: [x.org], resolution: {resolution}, ports: {ports}}}");
        object(&format!("ServiceEntry {name}"), &spec)
    };
    let alias =
        object("Service shop/alias", "spec: {type: ExternalName, externalName: x.org, ports: [{name: h, port: 80}]}");
    let dns = object("Service shop/dns", "spec: {ports: [{name: dns, port: 53, protocol: UDP}]}");
    let cases: [(&str, Vec<String>, &str, bool); 8] = [
        ("there", vec![service("shop/orders")], "{host: orders, port: {number: 81}}", false),
        ("not given", vec![service("shop/orders")], "{host: orders}", false),
        ("not there", vec![service("shop/orders")], "{host: orders, port: {number: 9999}}", true),
        ("the targetPort", vec![service("shop/orders")], "{host: orders, port: {number: 8080}}", true),
        ("UDP is no port", vec![dns], "{host: dns, port: {number: 53}}", true),
        (
            "another object of the host has it, and loses",
            vec![two("shop/a", 80, "DNS"), two("shop/b", 81, "NONE")],
            "{host: x.org, port: {number: 81}}",
            false,
        ),
        (
            "another namespace's has it",
            vec![two("shop/a", 80, "DNS"), two("team/b", 81, "DNS")],
            "{host: x.org, port: {number: 81}}",
            false,
        ),
        ("a name for another", vec![alias, two("shop/a", 443, "DNS")], "{host: alias, port: {number: 443}}", false),
    ];
    for (what, mut objects, destination, expected) in cases {
        objects.push(to(destination));
        let found = said(&objects, &["D011"], MeshConfig::default());
        assert_eq!(found, if expected { vec![PORT] } else { vec![] }, "{what}");
    }
    let objects = [service("shop/orders"), to("{host: orders, port: {number: 8080}}")].concat();
    let found = findings_under(objects.as_bytes(), MeshConfig::default());
    let finding = found.iter().find(|finding| finding.rule.code == "D011").expect("it is told");
    assert_eq!(finding.help.as_deref(), Some("8080 is the targetPort of port 80: write 80"));
    let fix = finding.fix.as_ref().expect("it is offered");
    assert_eq!((fix.safe, fix.edits[0].text.as_str()), (false, "80"));
}

#[test]
fn a_service_is_not_called_on_ports_that_it_does_not_have() {
    let two = || object("Service shop/orders", "spec: {ports: [{name: http, port: 8080}, {name: http-b, port: 9090}]}");
    // By this one sidecars listen on port 80, and have a virtual host there for whatever a VirtualService names.
    let other = || object("Service edge/gw", "spec: {ports: [{name: http, port: 80}]}");
    let rules = |host: &str| {
        let http = "http: [{route: [{destination: {host: orders}}]}]";
        object("VirtualService shop/v", &format!("spec: {{hosts: [{host}], {http}}}"))
    };
    let found = |host: &str| said(&[two(), other(), rules(host)], &["D005"], MeshConfig::default());
    assert_eq!(found("orders"), [""; 0], "B37");
    assert_eq!(found("orders.example.com"), ["D005 v spec.http[0].route[0].destination"], "B37");
    assert_eq!(found("orders, orders.example.com"), ["D005 v spec.http[0].route[0].destination"], "B37");

    // A service is called by other names on the ports that it has, whichever these Services have.
    let alias = object("Service shop/old", "spec: {type: ExternalName, externalName: gw.edge.svc.cluster.local}");
    let found = said(&[two(), other(), rules("gw.edge.svc.cluster.local"), alias], &["D005"], MeshConfig::default());
    assert_eq!(found, ["D005 v spec.http[0].route[0].destination"], "E28");
}

#[test]
fn a_name_for_another_host_counts_as_that_host() {
    let objects = |gateways: &str, subset: &str| {
        vec![
            object(
                "Service shop/alias",
                "spec: {type: ExternalName, externalName: x.org, ports: [{name: h, port: 443}]}",
            ),
            object(
                "ServiceEntry shop/x",
                "spec: {hosts: [x.org], resolution: DNS, ports: [{number: 443, name: p, protocol: HTTP}]}",
            ),
            object("DestinationRule shop/r", "spec: {host: x.org, subsets: [{name: a, labels: {a: b}}]}"),
            object(
                "Gateway edge/gw",
                "spec: {selector: {istio: gw}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ['*']}]}",
            ),
            object(
                "VirtualService shop/v",
                &format!(
                    "spec: {{hosts: [v.example.com], gateways: [{gateways}], http: [{{route: [{{destination: {{host: alias, \
                     subset: {subset}}}}}]}}]}}"
                ),
            ),
        ]
    };
    for gateways in ["edge/gw", "mesh"] {
        let found = |subset| said(&objects(gateways, subset), &["D001", "D010"], under(Completeness::Closed));
        assert_eq!(found("a"), [""; 0], "E28: {gateways}");
        assert_eq!(found("b"), ["D001 v spec.http[0].route[0].destination.subset"], "E28: {gateways}");
    }
    let mut others = objects("mesh", "a");
    others.push(object("DestinationRule shop/s", "spec: {host: alias, trafficPolicy: {tls: {mode: DISABLE}}}"));
    others.push(object("Sidecar shop/s", "spec: {egress: [{hosts: [./alias.shop.svc.cluster.local, ./x.org]}]}"));
    assert_eq!(said(&others, &["D010", "D012", "H022"], under(Completeness::Closed)), [""; 0]);
}

#[test]
fn a_destination_rule_is_for_a_service() {
    let rule = |host: &str| {
        object("DestinationRule shop/r", &format!("spec: {{host: '{host}', subsets: [{{name: a, labels: {{a: b}}}}]}}"))
    };
    let called = |more: &str| {
        let http = "http: [{route: [{destination: {host: orders, port: {number: 80}}}]}]";
        object("VirtualService shop/v", &format!("spec: {{hosts: [shop.example.com], {more}{http}}}"))
    };
    let cases: [(&str, &str, bool); 12] = [
        ("a Service", "orders", false),
        ("its whole name", "orders.shop.svc.cluster.local", false),
        ("0.4: cut short", "orders.shop", true),
        ("a slip", "ordres", true),
        ("its namespace has Services", "returns", true),
        ("a namespace without Services", "orders.team.svc.cluster.local", false),
        ("all of a namespace", "*.shop.svc.cluster.local", false),
        ("all of the mesh", "*.local", false),
        ("who knows", "*.example.org", false),
        ("who knows", "api.example.org", false),
        ("E2: below a wildcard", "a.wild.org", true),
        ("D5: clients call a VirtualService by it", "shop.example.com", true),
    ];
    for (what, host, expected) in cases {
        let objects =
            [service("shop/orders"), entry("shop/w", "*.wild.org"), called("gateways: [edge/gw], "), rule(host)];
        let found = said(&objects, &["D012"], MeshConfig::default());
        assert_eq!(found, if expected { vec!["D012? r spec.host"] } else { vec![] }, "{what}: {host}");
    }
    // Sidecars call the host itself, which may have an entry elsewhere.
    let objects = [service("shop/orders"), called(""), rule("shop.example.com")];
    assert_eq!(said(&objects, &["D012"], MeshConfig::default()), [""; 0]);
    let closed = said(&[service("shop/orders"), rule("*.example.org")], &["D012"], under(Completeness::Closed));
    assert_eq!(closed, ["D012 r spec.host"]);
}

#[test]
fn a_service_may_be_hidden_from_a_gateway() {
    let gateway = object(
        "Gateway edge/gw",
        "spec: {selector: {istio: ingress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
    );
    let workload = object(
        "Deployment edge/ingress",
        "spec: {selector: {matchLabels: {istio: ingress}}, template: {metadata: {labels: {istio: ingress}}}}",
    );
    let hidden = |export: &str| {
        service("shop/orders")
            .replace("labels: {}", &format!("annotations: {{networking.istio.io/exportTo: '{export}'}}"))
    };
    let rules = || to("{host: orders, port: {number: 80}}");
    let all = |export: &str| [gateway.clone(), workload.clone(), hidden(export), rules()];
    let found = |objects: &[String]| said(objects, &["D016"], MeshConfig::default());
    assert_eq!(found(&all(".")), [format!("D016 {HOST}")]);
    assert_eq!(found(&all("., edge")), [""; 0]);
    assert_eq!(found(&all("*")), [""; 0]);
    assert_eq!(found(&[gateway.clone(), hidden("."), rules()]), [""; 0], "nobody knows where the gateway runs");
    let in_mesh = rules().replace("gateways: [edge/gw]", "gateways: [edge/gw, mesh]");
    assert_eq!(
        found(&[gateway.clone(), workload.clone(), hidden("."), in_mesh]),
        [""; 0],
        "sidecars of the namespace see it"
    );
}
