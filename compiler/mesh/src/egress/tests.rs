//! What Sidecars let through, each fact by its number.

use crate::config::{IstioVersion, MeshConfig, OutboundMode};
use crate::mesh::Mesh;
use crate::program::{Fallback, Filter, FilterChain, Listener, ProxyProgram, VirtualHost};
use crate::testing::{gateway, mesh, mesh_with, object, sidecar};
use crate::{Cache, ProxySpec, lower};
use std::sync::Arc;

/// A Sidecar, its spec as flow YAML.
fn one(name: &str, spec: &str) -> String {
    object(&format!("Sidecar {name}"), &format!("spec: {spec}"))
}

/// A Sidecar that lets these hosts through.
fn hosts(name: &str, hosts: &str) -> String {
    one(name, &format!("{{egress: [{{hosts: {hosts}}}]}}"))
}

/// The headless Service `NAMESPACE/NAME` with port 80.
fn service(name: &str) -> String {
    with_ports(name, "{name: http, port: 80}")
}

fn with_ports(name: &str, ports: &str) -> String {
    object(&format!("Service {name}"), &format!("spec: {{clusterIP: None, ports: [{ports}]}}"))
}

fn entry(name: &str, host: &str, more: &str) -> String {
    let spec = format!("spec: {{hosts: [{host}], ports: [{{number: 80, name: p, protocol: HTTP}}]{more}}}");
    object(&format!("ServiceEntry {name}"), &spec)
}

/// Rules for a host that send to a destination.
fn rules(name: &str, host: &str, destination: &str) -> String {
    let spec = format!("spec: {{hosts: [{host}], http: [{{route: [{{destination: {destination}}}]}}]}}");
    object(&format!("VirtualService {name}"), &spec)
}

fn labelled(namespace: &str, label: &str, value: &str) -> ProxySpec {
    ProxySpec { labels: [(label.into(), value.into())].into(), ..sidecar(namespace) }
}

/// What is seen, as `HOST@NAMESPACE` with `.svc.cluster.local` cut; after `|` what only rules lead to.
fn seen(mesh: &Mesh, proxy: &ProxySpec) -> String {
    let view = mesh.view(proxy);
    let (all, visible) = (view.reachable(), view.services().len());
    let told = |(at, service): (usize, &Arc<crate::Service>)| {
        let mark = if at == visible { "| " } else { "" };
        let host = service.hostname.trim_end_matches(".svc.cluster.local");
        format!("{mark}{host}@{}", service.namespace)
    };
    all.iter().enumerate().map(told).collect::<Vec<_>>().join(" ")
}

fn program(mesh: &Mesh, proxy: &ProxySpec) -> Arc<ProxyProgram> {
    let program = lower(mesh, std::slice::from_ref(proxy), &mut Cache::default());
    Arc::clone(&program.proxies[0].program)
}

fn listeners(program: &ProxyProgram) -> String {
    program.listeners.iter().map(|listener| &*listener.name).collect::<Vec<_>>().join(" ")
}

fn listener<'a>(program: &'a ProxyProgram, name: &str) -> &'a Listener {
    program.listeners.iter().find(|listener| listener.name == name).expect("a listener")
}

/// The first domains of the virtual hosts of a table, the catch-all's `*` too.
fn domains(program: &ProxyProgram, table: &str) -> String {
    let table = program.route_tables.iter().find(|known| known.name == table).expect("a table");
    let first = |host: &Arc<VirtualHost>| host.domains[0].trim_end_matches(".svc.cluster.local").to_owned();
    table.virtual_hosts.iter().map(first).collect::<Vec<_>>().join(" ")
}

fn leads(chain: &FilterChain) -> &str {
    match &chain.filter {
        Filter::Tcp(route) => route.destinations[0].cluster.as_deref().unwrap_or("none"),
        Filter::Http(_) => "http",
    }
}

#[test]
fn a_proxy_has_one_sidecar() {
    let selecting = |name: &str, app: &str| {
        one(name, &format!("{{workloadSelector: {{labels: {{app: {app}}}}}, egress: [{{hosts: ['./*']}}]}}"))
    };
    let found = mesh(&[
        hosts("prod/aa", "['./*']"),
        hosts("prod/bb", "['*/*']"),
        selecting("prod/yy", "a"),
        selecting("prod/zz", "a"),
        one("empty/selector", "{workloadSelector: {}, egress: [{hosts: ['./*']}]}"),
        hosts("empty/aa", "['./*']"),
        hosts("istio-system/root", "['./*']"),
        selecting("istio-system/aa", "a"),
    ]);
    let of = |proxy: ProxySpec| {
        let name = |object: &Arc<malha_model::Resource>| format!("{}/{}", object.namespace, object.name);
        found.sidecar(&proxy).map_or_else(|| "none".to_owned(), name)
    };
    let cases = [
        ("that with a selector, the older", labelled("prod", "app", "a"), "prod/yy"),
        ("else that without", labelled("prod", "app", "b"), "prod/aa"),
        ("a selector without labels is one", sidecar("empty"), "empty/selector"),
        ("else the root's without a selector", labelled("test", "app", "a"), "istio-system/root"),
        ("which in its own namespace is one of several", labelled("istio-system", "app", "a"), "istio-system/aa"),
        ("gateways have none", gateway("prod", ("app", "a")), "none"),
    ];
    for (what, proxy, expected) in cases {
        assert_eq!(of(proxy), expected, "E29: {what}");
    }
    assert!(mesh(&[hosts("prod/aa", "['./*']")]).sidecar(&sidecar("test")).is_none(), "E29");
}

#[test]
fn hosts_name_a_namespace_and_names() {
    let objects = [
        service("prod/a"),
        service("prod/b"),
        service("test/a"),
        entry("test/x", "api.x.org", ""),
        entry("test/w", "'*.w.org'", ""),
    ];
    let all = "*.w.org@test a.prod@prod a.test@test api.x.org@test b.prod@prod";
    let cases = [
        ("E30: no egress is all", "{outboundTrafficPolicy: {mode: ALLOW_ANY}}", all),
        ("E31", "{egress: [{hosts: ['*/*']}]}", all),
        ("E31: the proxy's own", "{egress: [{hosts: ['./*']}]}", "a.prod@prod b.prod@prod"),
        ("E31", "{egress: [{hosts: ['test/*.svc.cluster.local']}]}", "a.test@test"),
        ("E31: of any namespace", "{egress: [{hosts: ['*/*.x.org']}]}", "api.x.org@test"),
        ("E31: a namespace that does not fit", "{egress: [{hosts: ['prod/api.x.org']}]}", ""),
        ("E31: nobody", "{egress: [{hosts: ['~/*']}]}", ""),
        (
            "E31: what the namespace's own do not let through, those of any may",
            "{egress: [{hosts: ['test/api.x.org', '*/a.test.svc.cluster.local']}]}",
            "a.test@test api.x.org@test",
        ),
        ("E31: a wildcard service must be within", "{egress: [{hosts: ['*/one.w.org']}]}", ""),
        ("E31", "{egress: [{hosts: ['*/*.org']}]}", "*.w.org@test api.x.org@test"),
    ];
    for (fact, spec, expected) in cases {
        let mesh = mesh(&[objects.as_slice(), &[one("prod/s", spec)]].concat());
        assert_eq!(seen(&mesh, &sidecar("prod")), expected, "{fact}: {spec}");
    }
    let inherited = mesh(&[objects.as_slice(), &[hosts("istio-system/s", "['./*']")]].concat());
    assert_eq!(
        seen(&inherited, &sidecar("test")),
        "*.w.org@test a.test@test api.x.org@test",
        "E29, E31: `.` is the proxy's"
    );
    assert_eq!(seen(&inherited, &sidecar("elsewhere")), "", "E29, E31");
    assert_eq!(seen(&inherited, &gateway("test", ("a", "b"))), all, "E29: gateways see all");
}

#[test]
fn of_several_services_of_a_name_those_let_through_count() {
    let objects = |let_through: &str| {
        mesh(&[
            entry("prod/x", "x.org", ""),
            entry("blue/x", "x.org", ""),
            entry("red/x", "x.org", ", exportTo: [.]"),
            hosts("prod/s", let_through),
        ])
    };
    let of = |let_through: &str| seen(&objects(let_through), &sidecar("prod"));
    assert_eq!(of("['*/*']"), "x.org@prod", "E17");
    assert_eq!(of("['blue/x.org']"), "x.org@blue", "E31");
    assert_eq!(of("['red/x.org']"), "", "0.7, E31: what is not exported is not let through");
}

#[test]
fn names_that_stand_for_a_service_are_let_through_with_it() {
    let alias = "spec: {type: ExternalName, externalName: x.org, ports: [{name: http, port: 80}]}";
    let of = |let_through: &str| {
        let objects = [entry("test/x", "x.org", ""), object("Service prod/alias", alias), hosts("prod/s", let_through)];
        let lowered = program(&mesh(&objects), &sidecar("prod"));
        let hosts = lowered.route_tables.iter().flat_map(|table| &table.virtual_hosts);
        let domains = hosts.flat_map(|host| &host.domains).filter(|domain| *domain != "*" && !domain.ends_with('.'));
        domains.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let all = "x.org alias.prod.svc.cluster.local alias.prod alias.prod.svc alias";
    assert_eq!(of("['./*']"), "", "E28, E31: without its service a name leads nowhere");
    assert_eq!(of("['./*', 'test/x.org']"), "x.org", "E31: it must be among the hosts of the service's namespace");
    assert_eq!(of("['test/*']"), all, "E31");
    assert_eq!(of("['*/*']"), all, "E31");
}

#[test]
fn rules_are_let_through_by_any_host_and_bring_their_destinations() {
    let objects = |let_through: &str, more: &[String]| {
        let own = [service("prod/a"), service("test/b"), service("test/c"), hosts("prod/s", let_through)];
        mesh(&[own.as_slice(), more].concat())
    };
    let to_b = rules("prod/v", "v.org", "{host: b.test.svc.cluster.local}");
    let found = objects("['./*']", std::slice::from_ref(&to_b));
    assert_eq!(seen(&found, &sidecar("prod")), "a.prod@prod | b.test@test", "E33");
    let lowered = program(&found, &sidecar("prod"));
    assert_eq!(domains(&lowered, "80"), "v.org a.prod *", "E33: without a virtual host of its own");
    assert!(lowered.clusters.iter().any(|cluster| cluster.host.starts_with("b.test")), "E33");

    let of = |let_through: &str, rules: &str| seen(&objects(let_through, &[rules.to_owned()]), &sidecar("prod"));
    assert_eq!(of("['test/*']", &to_b), "b.test@test c.test@test", "E32: not rules of another namespace");
    assert_eq!(of("['*/v.org']", &to_b), "| b.test@test", "E32, E33");
    assert_eq!(of("['*/one.v.org']", &to_b.replace("v.org", "'*.v.org'")), "| b.test@test", "E32: either way");
    assert_eq!(of("['*/v.org']", &to_b.replace("{host: b", "{port: {number: 81}, host: b")), "", "E33: no such port");
    let elsewhere = to_b.replace("[{route", "[{match: [{sourceNamespace: blue}], route");
    assert_eq!(of("['*/v.org']", &elsewhere), "", "E33: rules for others alone bring nothing");
    let here_too = to_b.replace("[{route", "[{match: [{sourceNamespace: blue}, {sourceNamespace: prod}], route");
    assert_eq!(of("['*/v.org']", &here_too), "| b.test@test", "E33");
    let private = entry("prod/own", "own.org", ", exportTo: [blue]");
    let found = objects("['*/v.org']", &[rules("prod/v", "v.org", "{host: own.org}"), private]);
    assert_eq!(seen(&found, &sidecar("prod")), "| own.org@prod", "E33: of the own namespace, whatever exportTo says");
    let hidden = entry("test/own", "own.org", ", exportTo: [.]");
    let found = objects("['*/v.org']", &[rules("prod/v", "v.org", "{host: own.org}"), hidden]);
    assert_eq!(seen(&found, &sidecar("prod")), "", "E33: of others only what is exported");
}

#[test]
fn a_destination_that_several_namespaces_have_is_one_service() {
    let objects = || {
        let young = entry("blue/x", "x.org", "")
            .replace("metadata: {", "metadata: {creationTimestamp: '2024-05-01T00:00:00Z', ");
        [young, entry("red/x", "x.org", ""), rules("prod/v", "v.org", "{host: x.org}"), hosts("prod/s", "['./*']")]
    };
    assert_eq!(seen(&mesh(&objects()), &sidecar("prod")), "| x.org@red", "E33: the oldest");
    let config = MeshConfig { istio: IstioVersion { major: 1, minor: 29 }, ..MeshConfig::default() };
    assert_eq!(seen(&mesh_with(&objects(), config), &sidecar("prod")), "| x.org@blue", "E33, G: the first namespace");
    let kubernetes = "a.red.svc.cluster.local";
    let found = mesh(&[
        entry("blue/k", kubernetes, ""),
        service("red/a"),
        rules("prod/v", "v.org", &format!("{{host: {kubernetes}}}")),
        one("prod/s", "{egress: [{hosts: ['./*', 'blue/*']}]}"),
    ]);
    assert_eq!(seen(&found, &sidecar("prod")), "a.red@red", "E34: a Kubernetes Service displaces an entry");
}

#[test]
fn listeners_with_a_port_have_their_hosts_alone() {
    const OF_80: &str = "{port: {number: 80, protocol: HTTP, name: h}, hosts: ['./*']}";
    let objects = |egress: &str| {
        mesh(&[
            with_ports("prod/a", "{name: http, port: 80}, {name: http-b, port: 81}"),
            with_ports("test/b", "{name: http, port: 80}, {name: http-c, port: 82}"),
            one("prod/s", &format!("{{egress: [{egress}]}}")),
        ])
    };
    let only = objects(OF_80);
    let lowered = program(&only, &sidecar("prod"));
    assert_eq!(listeners(&lowered), "0.0.0.0_80", "E35: without an entry for the rest no other port is open");
    assert_eq!(domains(&lowered, "80"), "a.prod *", "E35");
    assert_eq!(only.view(&sidecar("prod")).reachable()[0].ports.len(), 1, "E35: cut to the port");
    assert!(only.cluster(&sidecar("prod"), "a.prod.svc.cluster.local", 81, None).is_none(), "E35");
    assert_eq!(only.service(&sidecar("prod"), "a.prod.svc.cluster.local").map(|service| service.ports.len()), Some(2));

    let both = objects(&format!("{OF_80}, {{hosts: ['*/*']}}"));
    let lowered = program(&both, &sidecar("prod"));
    assert_eq!(listeners(&lowered), "0.0.0.0_80 0.0.0.0_81 0.0.0.0_82", "E36");
    assert_eq!(domains(&lowered, "80"), "a.prod *", "E36: the port is taken");
    assert_eq!(domains(&lowered, "82"), "b.test *", "E36");
    let ports: Vec<_> = both.view(&sidecar("prod")).reachable().iter().map(|service| service.ports.len()).collect();
    assert_eq!(ports, [2, 2], "E34: ports of several listeners come together");

    let none = program(&objects("{port: {number: 99, protocol: HTTP, name: h}, hosts: ['*/*']}"), &sidecar("prod"));
    assert_eq!(listeners(&none), "", "E35: nobody has the port");
    let unlike = OF_80.replace("HTTP", "HTTP_PROXY");
    let lowered = program(&objects(&format!("{unlike}, {{hosts: ['*/*']}}")), &sidecar("prod"));
    assert_eq!(listeners(&lowered), "0.0.0.0_80 0.0.0.0_81 0.0.0.0_82", "E39");
    let of_all_ports = domains(&lowered, "80");
    assert!(of_all_ports.contains(":81") && of_all_ports.ends_with(" *"), "E39: {of_all_ports}");
}

#[test]
fn the_protocol_of_a_listener_counts_not_that_of_the_service() {
    let objects = |listener: &str| {
        let addressed = |name: &str, address: &str| service(name).replace("None", address);
        let objects = [addressed("prod/a", "10.0.0.1"), addressed("prod/b", "10.0.0.2")];
        let sidecar = one("prod/s", &format!("{{egress: [{{{listener}, hosts: ['./*']}}]}}"));
        mesh(&[objects.as_slice(), &[sidecar]].concat())
    };
    let of = |listener: &str| program(&objects(listener), &sidecar("prod"));
    let tcp = of("port: {number: 80, protocol: TCP, name: t}");
    assert_eq!(listeners(&tcp), "10.0.0.1_80 10.0.0.2_80", "E35");
    assert_eq!(leads(&listener(&tcp, "10.0.0.2_80").filter_chains[0]), "outbound|80||b.prod.svc.cluster.local");
    let bound = of("port: {number: 80, protocol: TCP, name: t}, bind: 127.0.0.9");
    assert_eq!(listeners(&bound), "127.0.0.9_80", "E35");
    let chains = &listener(&bound, "127.0.0.9_80").filter_chains;
    assert_eq!(
        chains.iter().map(leads).collect::<Vec<_>>(),
        ["outbound|80||a.prod.svc.cluster.local"],
        "E35: the first"
    );
    let tls = of("port: {number: 80, protocol: TLS, name: t}, bind: 127.0.0.9");
    assert!(listener(&tls, "127.0.0.9_80").filter_chains[0].server_names.is_empty(), "E35: nor does its name tell it");
    for spoken_to in ["captureMode: NONE", "port: {number: 80, protocol: HTTP, name: h}, bind: 127.0.0.1"] {
        let lowered = of(spoken_to);
        assert_eq!(listeners(&lowered), "127.0.0.1_80", "E35");
        let [chain] = &listener(&lowered, "127.0.0.1_80").filter_chains[..] else { panic!("one chain") };
        assert!(!chain.inspected && leads(chain) == "http", "E35: all bytes are HTTP");
        assert_eq!(domains(&lowered, "80"), "a.prod b.prod *", "E35");
    }
    assert_eq!(listeners(&of("bind: 0.0.0.0")), "0.0.0.0_80", "E35");
}

#[test]
fn headless_services_have_one_listener_where_the_port_is_named() {
    let pod = object("Pod prod/p {app: a}", "status: {podIP: 10.1.0.1}");
    let headless = "spec: {clusterIP: None, selector: {app: a}, ports: [{name: tcp, port: 90}]}";
    let objects = |egress: &str| {
        let one = one("prod/s", &format!("{{egress: [{egress}]}}"));
        program(&mesh(&[object("Service prod/a", headless), pod.clone(), one]), &sidecar("prod"))
    };
    assert_eq!(listeners(&objects("{hosts: ['./*']}")), "10.1.0.1_90", "E28");
    let named = objects("{port: {number: 90, protocol: TCP, name: t}, hosts: ['./*']}");
    assert_eq!(listeners(&named), "0.0.0.0_90", "E35");
}

#[test]
fn unknown_destinations_are_treated_as_the_sidecar_says() {
    use OutboundMode::{AllowAny, RegistryOnly};
    let of = |policy: &str, mode: OutboundMode| {
        let objects = [service("prod/a"), one("prod/s", &format!("{{egress: [{{hosts: ['./*']}}]{policy}}}"))];
        let mesh = mesh_with(&objects, MeshConfig { outbound: mode, ..MeshConfig::default() });
        program(&mesh, &sidecar("prod")).fallback
    };
    let cases = [
        ("", AllowAny, Fallback::Passthrough),
        ("", RegistryOnly, Fallback::Blackhole),
        (", outboundTrafficPolicy: {mode: REGISTRY_ONLY}", AllowAny, Fallback::Blackhole),
        (", outboundTrafficPolicy: {mode: ALLOW_ANY}", RegistryOnly, Fallback::Passthrough),
        (", outboundTrafficPolicy: {}", AllowAny, Fallback::Blackhole),
    ];
    for (policy, mode, expected) in cases {
        assert_eq!(of(policy, mode), expected, "E37: {policy} over {mode:?}");
    }
}

#[test]
fn destination_rules_are_found_whatever_is_let_through() {
    let rule = |name: &str| {
        let spec = "spec: {host: a.test.svc.cluster.local, subsets: [{name: v1, labels: {v: x}}]}";
        object(&format!("DestinationRule {name}"), spec)
    };
    for name in ["prod/d", "test/d", "istio-system/d"] {
        let found = mesh(&[service("test/a"), rule(name), hosts("prod/s", "['test/a.test.svc.cluster.local']")]);
        let cluster = found.cluster(&sidecar("prod"), "a.test.svc.cluster.local", 80, Some("v1"));
        assert!(cluster.is_some(), "E38: {name}");
    }
}

#[test]
fn workloads_of_one_namespace_have_programs_of_their_own() {
    let objects = [
        service("prod/a"),
        service("test/b"),
        one("prod/s", "{workloadSelector: {labels: {app: closed}}, egress: [{hosts: ['./*']}]}"),
    ];
    let mesh = mesh(&objects);
    let wanted = [labelled("prod", "app", "closed"), labelled("prod", "app", "open"), labelled("prod", "team", "open")];
    let lowered = lower(&mesh, &wanted, &mut Cache::default());
    let of = |app: &str| {
        let found = lowered.proxies.iter().find(|proxy| proxy.labels.values().any(|value| value == app));
        &found.expect("it is lowered").program
    };
    assert_eq!(domains(of("closed"), "80"), "a.prod *", "E29");
    assert_eq!(domains(of("open"), "80"), "a.prod b.test *", "E29");
}

#[test]
fn a_name_that_only_rules_lead_to_counts_for_bytes_too() {
    let found = mesh(&[
        with_ports("prod/a", "{name: tcp, port: 90}"),
        with_ports("test/b", "{name: tcp, port: 91}"),
        object(
            "VirtualService prod/v",
            "spec: {hosts: [a], tcp: [{route: [{destination: {host: b.test.svc.cluster.local}}]}]}",
        ),
        one("prod/s", "{egress: [{bind: 127.0.0.9, hosts: ['./*']}]}"),
    ]);
    let lowered = program(&found, &sidecar("prod"));
    let chains = &listener(&lowered, "127.0.0.9_90").filter_chains;
    assert_eq!(chains.iter().map(leads).collect::<Vec<_>>(), ["outbound|91||b.test.svc.cluster.local"], "B25, E33");
}
