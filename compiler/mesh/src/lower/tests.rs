//! Surprising facts, each by its number, and what lowering notes of them.

use super::lower;
use crate::Cache;
use crate::program::{
    Action, ActionKind, Fallback, Filter, Forward, Listener, NoteKind, ProxyProgram, Route, VirtualHost,
};
use crate::testing::{gateway, mesh, object, sidecar};
use std::sync::Arc;
use std::time::Duration;

fn on_gateway(objects: &[String]) -> Arc<ProxyProgram> {
    let wanted = [gateway("istio-system", ("istio", "ingress"))];
    let program = lower(&mesh(objects), &wanted, &mut Cache::default());
    Arc::clone(&program.proxies[0].program)
}

fn on_sidecar(objects: &[String]) -> Arc<ProxyProgram> {
    let program = lower(&mesh(objects), &[sidecar("default")], &mut Cache::default());
    Arc::clone(&program.proxies[0].program)
}

/// A Gateway with servers, each as `NUMBER PROTOCOL HOSTS` and perhaps more fields.
fn servers(name: &str, servers: &[&str]) -> String {
    let server = |(at, server): (usize, &&str)| {
        let mut words = server.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (number, protocol, hosts, more) = (word(), word(), word(), word());
        let more = if more.is_empty() { String::new() } else { format!("\n    {more}") };
        format!("  - port: {{number: {number}, protocol: {protocol}, name: p{at}}}\n    hosts: {hosts}{more}")
    };
    let servers: Vec<String> = servers.iter().enumerate().map(server).collect();
    let body = format!("spec:\n  selector: {{istio: ingress}}\n  servers:\n{}", servers.join("\n"));
    object(&format!("Gateway {name}"), &body)
}

/// A VirtualService for gateway `default/gw` with these HTTP rules.
fn rules(name: &str, hosts: &str, rules: &[&str]) -> String {
    rules_on("default/gw", name, hosts, rules)
}

fn rules_on(gateway: &str, name: &str, hosts: &str, rules: &[&str]) -> String {
    let rules = rules.join("\n  - ");
    object(
        &format!("VirtualService default/{name}"),
        &format!("spec:\n  hosts: {hosts}\n  gateways: [{gateway}]\n  http:\n  - {rules}"),
    )
}

fn service(name: &str, more: &str, ports: &str) -> String {
    object(&format!("Service {name}"), &format!("spec: {{{more}ports: {ports}}}"))
}

const TO_A: &str = "{route: [{destination: {host: a}}]}";
const HTTP: &str = "[{name: http, port: 80}]";

fn listener(program: &ProxyProgram, port: u32) -> &Listener {
    program.listeners.iter().find(|listener| listener.port == port).expect("a listener")
}

fn host<'a>(program: &'a ProxyProgram, table: &str, domain: &str) -> Option<&'a VirtualHost> {
    let table = program.route_tables.iter().find(|other| other.name == table).expect("a route table");
    let has_domain = |host: &&Arc<VirtualHost>| host.domains.iter().any(|other| other == domain);
    table.virtual_hosts.iter().find(has_domain).map(|host| &**host)
}

/// The rules of a host's routes, as `NAME.INDEX`.
fn origins(host: Option<&VirtualHost>) -> String {
    let origin = |route: &Route| {
        route.origin.as_ref().map_or_else(|| "own".to_owned(), |origin| format!("{}.{}", origin.name, origin.index))
    };
    host.map_or_else(|| "none".to_owned(), |host| host.routes.iter().map(origin).collect::<Vec<_>>().join(" "))
}

/// The action of the only route of `x.com` for one rule on port 80.
fn action(rule: &str) -> Action {
    let program = on_gateway(&[
        servers("default/gw", &["80 HTTP ['*']"]),
        service("default/a", "", HTTP),
        rules("v", "[x.com]", &[rule]),
    ]);
    let host = host(&program, "http.80", "x.com").expect("a virtual host");
    (*host.routes[0].action).clone()
}

fn forward(rule: &str) -> Forward {
    match action(rule).kind {
        ActionKind::Forward(forward) => *forward,
        other => panic!("{other:?}"),
    }
}

fn notes(program: &ProxyProgram) -> Vec<NoteKind> {
    program.notes.iter().map(|note| note.kind).collect()
}

#[test]
fn a_server_with_a_taken_host_is_skipped_whole() {
    let program = on_gateway(&[
        servers("default/gw", &["80 HTTP [a.com] tls: {httpsRedirect: true}"]),
        servers("default/gx", &["80 HTTP [a.com,b.com] tls: {httpsRedirect: true}"]),
    ]);
    assert!(host(&program, "http.80", "a.com").is_some_and(|host| host.require_tls), "A10, A38");
    assert!(host(&program, "http.80", "b.com").is_none(), "A10");
    assert_eq!(notes(&program), [NoteKind::ServerSkipped]);
    assert!(program.notes[0].other.is_some(), "the note tells the winner");
}

#[test]
fn servers_that_do_not_fit_beside_plaintext_are_skipped() {
    let program = on_gateway(&[servers("default/gw", &["80 HTTP ['*']", "80 TCP ['*']", "80 HTTP2 [b.com]"])]);
    assert_eq!(notes(&program), [NoteKind::ServerSkipped], "A13; A12: HTTP2 joins");
    assert_eq!(listener(&program, 80).filter_chains.len(), 1);
}

#[test]
fn a_redirect_is_imposed_where_another_server_asks_for_it() {
    let cases = [
        ("A40", "['*']", "[a.com]", true),
        ("A40", "[a.com]", "[a.com]", true),
        ("the narrower host redirects", "[a.com]", "['*']", false),
        ("another host redirects", "[b.com]", "[a.com]", false),
    ];
    for (fact, redirecting, plain, imposed) in cases {
        let redirecting = format!("80 HTTP {redirecting} tls: {{httpsRedirect: true}}");
        let program = on_gateway(&[
            servers("default/gw", &[&redirecting, &format!("80 HTTP {plain}")]),
            service("default/a", "", HTTP),
            rules("v", "[a.com]", &[TO_A]),
        ]);
        let expected = if imposed { vec![NoteKind::RedirectImposed] } else { Vec::new() };
        assert_eq!(notes(&program), expected, "{fact}: {redirecting}, {plain}");
    }
}

#[test]
fn plaintext_after_tls_of_another_gateway_is_noted() {
    let tls = "443 HTTPS [a.com] tls: {mode: SIMPLE, credentialName: c}";
    let apart = [servers("default/a", &[tls]), servers("default/b", &["443 HTTP [b.com]"])];
    assert_eq!(notes(&on_gateway(&apart)), [NoteKind::ServerOrderMatters], "A13, A17");
    assert_eq!(notes(&on_gateway(&[servers("default/a", &[tls, "443 HTTP [b.com]"])])), [], "A17");
}

#[test]
fn equal_filter_chains_take_the_listener_out() {
    let tls = "tls: {mode: SIMPLE, credentialName: c}";
    let cases = [
        ("A17", vec![format!("443 HTTPS ['*'] {tls}"), "443 HTTP ['*']".to_owned()]),
        ("A18", vec![format!("443 HTTPS [one/*] {tls}"), format!("443 HTTPS [two/*] {tls}")]),
        ("A5", vec!["81 HTTP ['*']".to_owned(), "81 HTTP ['*'] bind: 0.0.0.0".to_owned()]),
    ];
    for (fact, list) in cases {
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let program = on_gateway(&[servers("default/gw", &list)]);
        assert!(program.listeners[0].rejected.is_some(), "{fact}");
        assert!(notes(&program).contains(&NoteKind::ListenerRejected), "{fact}");
    }
    let program = on_gateway(&[servers("default/gw", &[&format!("443 HTTPS [a.com] {tls}"), "443 HTTP ['*']"])]);
    assert_eq!(program.listeners[0].rejected, None, "A17: TLS by server name, the rest in plain");
}

#[test]
fn what_envoy_would_not_load_takes_the_listener_out() {
    let cases = [
        ("C19", "{redirect: {uri: /x, redirectCode: 304}}"),
        ("C37", "{route: [{destination: {host: a}}], headers: {request: {set: {x: '%NO_SUCH%'}}}}"),
    ];
    for (fact, rule) in cases {
        let program = on_gateway(&[
            servers("default/gw", &["80 HTTP ['*']", "81 HTTP ['*']"]),
            rules("v", "[x.com]", &[&format!("{{match: [{{port: 80}}], {}", &rule[1..])]),
        ]);
        assert!(listener(&program, 80).rejected.is_some(), "{fact}");
        assert_eq!(listener(&program, 81).rejected, None, "{fact}: the rule makes no route there");
        assert_eq!(notes(&program), [NoteKind::ListenerRejected], "{fact}");
    }
}

#[test]
fn a_list_of_hosts_on_which_istiod_panics_is_noted() {
    let program = on_gateway(&[servers("default/gw", &["80 HTTP ['*/*','*/b.com']", "81 HTTP [one/x.com,'*/*']"])]);
    assert_eq!(notes(&program), [NoteKind::ControlPlanePanics], "A20");
    assert_eq!(program.listeners.len(), 1, "A20: as the last such entry it is only `*`");
}

#[test]
fn catch_alls_of_all_services_come_last() {
    let program = on_gateway(&[
        servers("default/gw", &["80 HTTP ['*']"]),
        rules("old", "[x.com]", &["{match: [{uri: {prefix: /a}}], redirect: {uri: /1}}", "{redirect: {uri: /2}}"]),
        rules("young", "[x.com]", &["{match: [{uri: {prefix: /ab}}], redirect: {uri: /3}}", "{redirect: {uri: /4}}"]),
    ]);
    let order = origins(host(&program, "http.80", "x.com"));
    assert_eq!(order, "old.0 young.0 old.1 young.1", "A25, A26");
}

#[test]
fn nothing_follows_the_first_catch_all_of_a_service() {
    let catch_all = "{match: [{uri: {prefix: /}}, {uri: {exact: /b}}], redirect: {uri: /1}}";
    let on_other_port = "{match: [{port: 81}], redirect: {uri: /0}}";
    let program = on_gateway(&[
        servers("default/gw", &["80 HTTP ['*']"]),
        rules("v", "[x.com]", &[on_other_port, catch_all, "{match: [{uri: {exact: /c}}], redirect: {uri: /2}}"]),
        rules("w", "[y.com]", &[on_other_port]),
    ]);
    assert_eq!(origins(host(&program, "http.80", "x.com")), "v.1", "A27");
    assert!(host(&program, "http.80", "y.com").is_none(), "A28: no routes, no virtual host");
}

#[test]
fn servers_that_share_a_table_share_the_first_number() {
    let program = on_gateway(&[
        service(
            "istio-system/i",
            "selector: {istio: ingress}, ",
            "[{name: http, port: 80, targetPort: 8080}, {name: http2, port: 81, targetPort: 8080}]",
        ),
        servers("default/gw", &["80 HTTP [a.com]", "81 HTTP [b.com]"]),
        rules("v", "['*']", &["{redirect: {scheme: https, derivePort: FROM_REQUEST_PORT}}"]),
    ]);
    assert_eq!(listener(&program, 8080).server_ports, [80, 81], "A3");
    let host = host(&program, "http.8080", "b.com").expect("a virtual host");
    assert!(matches!(&host.routes[0].action.kind, ActionKind::Redirect(to) if to.port == Some(80)), "A31");
}

#[test]
fn hosts_that_redirect_need_no_rules() {
    let program = on_gateway(&[servers("default/gw", &["80 HTTP [default/r.com,s.com] tls: {httpsRedirect: true}"])]);
    assert!(host(&program, "http.80", "s.com").is_some_and(|host| host.require_tls && host.routes.is_empty()), "A41");
    assert!(host(&program, "http.80", "r.com").is_none(), "A41: written with a namespace, it is no host");
}

#[test]
fn a_plaintext_server_with_a_tls_block_counts_as_https_in_redirects() {
    let port = |tls: &str, port: u32| {
        let program = on_gateway(&[
            servers("default/gw", &[&format!("80 HTTP ['*'] {tls}")]),
            rules("v", "[x.com]", &[&format!("{{redirect: {{uri: /x, port: {port}}}}}")]),
        ]);
        let host = host(&program, "http.80", "x.com").expect("a virtual host");
        match &host.routes[0].action.kind {
            ActionKind::Redirect(to) => to.port,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((port("", 80), port("", 443)), (None, Some(443)), "C25");
    let redirecting = "tls: {httpsRedirect: true}";
    assert_eq!((port(redirecting, 80), port(redirecting, 443)), (Some(80), None), "A44");
}

#[test]
fn weights_count_among_several_alone() {
    let weights = |rule: &str| {
        let forward = forward(rule);
        forward.destinations.iter().map(|destination| destination.weight).collect::<Vec<_>>()
    };
    assert_eq!(weights("{route: [{destination: {host: a}, weight: 7}]}"), [1], "C6");
    let several = "{route: [{destination: {host: a}, weight: 7}, {destination: {host: b}}, \
                   {destination: {host: c}, weight: 1}]}";
    assert_eq!(weights(several), [7, 1], "C7: without a weight there is no share, and the sum need not be 100");
}

#[test]
fn retries_have_defaults_and_codes_are_conditions() {
    let default = forward(TO_A).retries.expect("retries by default");
    assert_eq!((default.attempts, default.status_codes.len(), default.avoid_previous_hosts), (2, 0, true), "C47");
    let with = |policy: &str| forward(&format!("{}, retries: {policy}}}", &TO_A[..TO_A.len() - 1])).retries;
    assert_eq!(with("{attempts: 0}"), None, "C48");
    let codes = with("{attempts: 3, retryOn: 'reset,503'}").expect("retries");
    assert_eq!(codes.conditions, ["reset", "retriable-status-codes"], "C50");
    assert_eq!((codes.attempts, codes.status_codes.as_slice()), (3, &[503][..]), "C49");
}

#[test]
fn shares_are_parts_per_million_and_lack_of_one_is_none_or_all() {
    let rule = |more: &str| format!("{}, {more}}}", &TO_A[..TO_A.len() - 1]);
    let fault =
        forward(&rule("fault: {delay: {fixedDelay: 1s}, abort: {httpStatus: 500, percentage: {value: 0.00019}}}"));
    assert_eq!(fault.delay, None, "C65: no percentage, no fault");
    assert_eq!(fault.abort.map(|abort| abort.per_million), Some(1), "C65: what is finer is cut off");
    assert_eq!(forward(&rule("mirror: {host: a}")).mirrors[0].per_million, 1_000_000, "C71");
    assert!(forward(&rule("mirror: {host: a}, mirrorPercentage: {value: 0}")).mirrors.is_empty(), "C71");
    assert_eq!(forward(&rule("timeout: 5s")).timeout, Some(Duration::from_secs(5)));
    assert_eq!(forward(TO_A).timeout, None, "C41");
}

#[test]
fn a_host_among_the_headers_is_the_authority() {
    let forward = forward(
        "{route: [{destination: {host: a}, headers: {request: {set: {Host: two.org}}}}], \
         headers: {request: {add: {':authority': one.org, X-A: '1'}}}}",
    );
    assert_eq!(forward.authority.as_deref(), Some("one.org"), "C16");
    assert_eq!(forward.destinations[0].authority.as_deref(), Some("two.org"), "C16");
    assert!(forward.destinations[0].request_headers.set.is_empty());
    let action = action("{route: [{destination: {host: a}}], headers: {request: {add: {Host: x.org, X-A: '1'}}}}");
    assert_eq!(action.request_headers.add.keys().collect::<Vec<_>>(), ["x-a"]);
}

#[test]
fn what_is_known_beforehand_is_evaluated_away() {
    let program = on_gateway(&[
        servers("default/gw", &["80 HTTP ['*']"]),
        rules(
            "v",
            "[x.com]",
            &[
                "{match: [{sourceLabels: {istio: other}}, {gateways: [gw], sourceLabels: {istio: other}}], redirect: {uri: /1}}",
                "{match: [{sourceNamespace: default}], redirect: {uri: /2}}",
                "{match: [{port: 80, uri: {exact: /}}], redirect: {uri: /3}}",
            ],
        ),
    ]);
    let host = host(&program, "http.80", "x.com").expect("a virtual host");
    let matched: Vec<_> = host.routes.iter().filter_map(|route| route.origin.as_ref()).collect();
    assert_eq!(
        (matched.len(), matched[0].index, matched[0].match_index),
        (1, 0, Some(1)),
        "B.3: gateways switch it off"
    );
    assert_eq!(host.routes[0].predicate.fixed, malha_algebra::Static::default());
}

#[test]
fn a_service_has_many_names_on_a_sidecar() {
    let program = on_sidecar(&[
        service("default/a", "clusterIP: 10.0.0.1, ", HTTP),
        service("prod/c", "clusterIP: 10.0.0.2, ", HTTP),
        service("default/h", "clusterIP: None, ", HTTP),
    ]);
    let domains = |domain: &str| host(&program, "80", domain).map(|host| host.domains.join(" ")).unwrap_or_default();
    let own = domains("a");
    assert_eq!(
        own, "a.default.svc.cluster.local a.default.svc.cluster.local. a.default a.default.svc a 10.0.0.1",
        "B36"
    );
    assert_eq!(domains("c"), "", "B36: the shortest form is for the own namespace");
    assert!(domains("c.prod").contains("10.0.0.2"), "B36");
    assert!(domains("h").contains("*.h.default.svc.cluster.local"), "B36: headless");
    assert_eq!(host(&program, "80", "*").and_then(|host| host.catch_all), Some(Fallback::Passthrough), "B39");
}

#[test]
fn a_host_that_is_no_service_is_routed_on_port_80_alone() {
    let program = on_sidecar(&[
        service("default/a", "clusterIP: 10.0.0.1, ", "[{name: http, port: 80}, {name: http-b, port: 8080}]"),
        rules_on("mesh", "v", "[virtual.org]", &[TO_A]),
        rules_on("mesh", "w", "[a]", &["{match: [{port: 8080}], redirect: {uri: /x}}"]),
    ]);
    assert_eq!(origins(host(&program, "80", "virtual.org")), "v.0", "B37");
    assert!(host(&program, "8080", "virtual.org").is_none(), "B37");
    assert_eq!(origins(host(&program, "8080", "a")), "w.0");
    assert_eq!(origins(host(&program, "80", "a")), "own", "A28, B38: no routes on this port, the service's own");
}

#[test]
fn on_a_sidecar_the_first_service_has_the_host_and_the_most_specific_the_wildcard() {
    let program = on_sidecar(&[
        service("default/a", "", HTTP),
        service("default/b", "", HTTP),
        rules_on("mesh", "one", "[a]", &["{match: [{uri: {prefix: /1}}], redirect: {uri: /x}}"]),
        rules_on("mesh", "two", "[a]", &[TO_A]),
        rules_on("mesh", "all", "['*.default.svc.cluster.local']", &["{redirect: {uri: /y}}"]),
    ]);
    assert_eq!(origins(host(&program, "80", "a")), "one.0", "B.2: not merged");
    assert_eq!(origins(host(&program, "80", "b")), "all.0", "B.2");
    assert!(host(&program, "80", "*.default.svc.cluster.local").is_none(), "B.2: it covers services");
}

#[test]
fn a_service_has_the_names_of_those_that_stand_for_it() {
    let alias = |name: &str, target: &str| {
        let ports = "ports: [{name: http, port: 80}]";
        object(&format!("Service {name}"), &format!("spec: {{type: ExternalName, externalName: {target}, {ports}}}"))
    };
    let entry = "spec: {hosts: [one.ext], resolution: STATIC, ports: [{number: 80, name: h, protocol: HTTP}, \
                 {number: 443, name: t, protocol: TLS}]}";
    let program = on_sidecar(&[
        object("ServiceEntry default/s", entry),
        alias("default/near", "one.ext"),
        alias("other/far", "near.default.svc.cluster.local"),
        alias("default/lost", "nowhere.ext"),
    ]);
    let own = host(&program, "80", "one.ext").expect("it has a virtual host");
    for name in ["near", "near.default", "near.default.svc.cluster.local", "far.other", "far.other.svc"] {
        assert!(own.domains.iter().any(|domain| domain == name), "E28: {name} in {:?}", own.domains);
    }
    assert!(!own.domains.iter().any(|domain| domain == "far"), "E28: of another namespace");
    assert!(host(&program, "80", "lost").is_none(), "E28: it stands for nobody");
    let names = &listener(&program, 443).filter_chains[0].server_names;
    assert!(names.iter().any(|name| name == "near.default"), "E28: {names:?}");
}

#[test]
fn subnets_of_a_tls_match_are_inherited_by_the_next() {
    let program = on_sidecar(&[
        object(
            "ServiceEntry default/s",
            "spec: {hosts: [one.ext], resolution: NONE, ports: [{number: 443, name: t, protocol: TLS}]}",
        ),
        object(
            "VirtualService default/v",
            "spec:\n  hosts: [one.ext]\n  tls:\n  \
             - {match: [{sniHosts: [one.ext], destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: a}}]}\n  \
             - {match: [{sniHosts: [one.ext]}], route: [{destination: {host: b}}]}",
        ),
    ]);
    let chains = &listener(&program, 443).filter_chains;
    let ranges: Vec<_> = chains.iter().map(|chain| chain.destinations.join(" ")).collect();
    assert_eq!(ranges, ["10.0.0.0/8"], "B31: the second has the same match then, and only the first stays");
    assert!(matches!(&chains[0].filter, Filter::Tcp(route) if route.destinations[0].host.starts_with("a.")));
}

#[test]
fn a_tcp_server_takes_the_first_rule_that_fits() {
    let program = on_gateway(&[
        servers("default/gw", &["9000 TCP [x.com]", "9001 TCP [y.com]"]),
        object(
            "VirtualService default/v",
            "spec:\n  hosts: [x.com]\n  gateways: [gw]\n  tcp:\n  \
             - {match: [{port: 9001}], route: [{destination: {host: a}}]}\n  \
             - {match: [{port: 9000, sourceLabels: {no: such}}], route: [{destination: {host: b}}]}",
        ),
    ]);
    let ports: Vec<u32> = program.listeners.iter().map(|listener| listener.port).collect();
    assert_eq!(ports, [9000], "A9: without a rule there is no listener");
    let chain = &listener(&program, 9000).filter_chains[0];
    assert!(matches!(&chain.filter, Filter::Tcp(route) if route.destinations[0].host.starts_with("b.")), "A58");
}
