use super::*;
use crate::program::{Filter, ProxyProgram};
use crate::testing::{gateway, mesh, object};
use crate::{Cache, lower};
use std::sync::Arc;

/// The routes of a virtual host behind a gateway, of rules that only have these matches.
fn host(rules: &[&str]) -> VirtualHost {
    let rules = rules.iter().map(|items| match *items {
        "" => "  - directResponse: {status: 200}\n".to_owned(),
        items => format!("  - match: [{items}]\n    directResponse: {{status: 200}}\n"),
    });
    let rules: String = rules.collect();
    let server = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}";
    let mesh = mesh(&[
        object("Gateway a/gw", &format!("spec: {{selector: {{app: gw}}, servers: [{server}]}}")),
        object("VirtualService a/vs", &format!("spec:\n  hosts: [a.com]\n  gateways: [gw]\n  http:\n{rules}")),
    ]);
    let program = lower(&mesh, &[gateway("a", ("app", "gw"))], &mut Cache::default());
    let program: &ProxyProgram = &program.proxies[0].program;
    let Filter::Http(table) = program.listeners[0].filter_chains[0].filter else { panic!("HTTP is served") };
    VirtualHost::clone(&program.route_tables[table].virtual_hosts[0])
}

fn found(rules: &[&str]) -> Vec<(usize, Vec<usize>)> {
    unreached(&host(rules)).iter().map(|one| (one.route, one.taken_by.clone())).collect()
}

#[test]
fn what_earlier_routes_take_is_found() {
    let nothing: &[(usize, Vec<usize>)] = &[];
    assert_eq!(found(&["{uri: {prefix: /a}}", "{uri: {prefix: /b}}", "{uri: {exact: /c}}", ""]), nothing);
    assert_eq!(found(&["{uri: {prefix: /a}}", "{uri: {exact: /ab}}"]), [(1, vec![0])]);
    assert_eq!(found(&["{uri: {prefix: /a}}", "{uri: {prefix: /b}}", "{uri: {regex: '/[ab]/c'}}"]), [(2, vec![0, 1])]);
    let by_header = ["{headers: {x: {exact: a}}}", "{withoutHeaders: {x: {exact: a}}}", "{uri: {prefix: /b}}"];
    assert_eq!(found(&by_header), [(2, vec![0, 1])]);
}

#[test]
fn a_route_that_goes_takes_nothing_from_another() {
    let rules = ["{uri: {prefix: /a}}", "{uri: {prefix: /ab}}", "{uri: {prefix: /abc}}", "{uri: {prefix: /x}}"];
    assert_eq!(found(&rules), [(1, vec![0]), (2, vec![0])]);
}

#[test]
fn what_asks_for_nothing_that_there_is_is_found() {
    assert_eq!(found(&["{uri: {exact: a}}", "{uri: {exact: /a}}"]), [(0, vec![])]);
    assert_eq!(found(&["{headers: {x: {exact: a}}, withoutHeaders: {x: {prefix: a}}}"]), [(0, vec![])]);
}

#[test]
fn little_is_assumed_of_requests() {
    let nothing: &[(usize, Vec<usize>)] = &[];
    // Lints know the schemes and the methods, that a gateway writes `x-request-id`, and what paths come out as.
    assert_eq!(found(&["{scheme: {exact: http}}", "{scheme: {exact: https}}", ""]), nothing);
    assert_eq!(found(&["{headers: {x-request-id: {}}}", ""]), nothing);
    assert_eq!(found(&["{uri: {exact: /a/../b}}"]), nothing);
    assert_eq!(found(&["{authority: {exact: b.com}}", ""]), nothing);
    // And that the address of a peer is one.
    let by_peer = ["{headers: {x-forwarded-for: {regex: '.*'}}}", "{headers: {x-forwarded-for: {exact: a}}}"];
    assert_eq!(found(&by_peer), nothing);
}

#[test]
fn what_follows_a_catch_all_is_unreached() {
    let mut host = host(&["{uri: {prefix: /a}}", ""]);
    let routes: Vec<Route> = host.routes.iter().chain(host.routes.iter()).cloned().collect();
    host.routes = Arc::from(routes);
    let found = unreached(&host);
    assert_eq!(
        found.iter().map(|one| (one.route, one.taken_by.as_slice())).collect::<Vec<_>>(),
        [(2, &[1][..]), (3, &[1])]
    );
}
