//! Routes that no request comes to are left out of the table, and named in its source map.

mod equivalence {
    pub(crate) mod lowered;
}

use equivalence::lowered::Lowered;
use malha_table::{Request, Table, view::VirtualHost};

/// A mesh whose rules have these matches; each answers with a status of its own.
fn yaml(rules: &[&str]) -> String {
    let rules = rules.iter().zip(200..).map(|(items, status)| {
        let items = if items.is_empty() { String::new() } else { format!("match: [{items}], ") };
        format!("  - {{name: r{status}, {items}directResponse: {{status: {status}}}}}\n")
    });
    let rules: String = rules.collect();
    format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: vs, namespace: default}}
spec:
  hosts: [a.com]
  gateways: [gw]
  http:
{rules}"
    )
}

fn table(rules: &[&str]) -> Table {
    let lowered = Lowered::new(&yaml(rules), &serde_json::json!({}));
    let bytes = malha_emit::table(&lowered.program, |location| lowered.place(location)).expect("a table");
    Table::load(bytes).expect("a good table")
}

fn host(table: &Table) -> VirtualHost<'_> {
    let chains = table.proxies().flat_map(|proxy| proxy.listeners()).flat_map(|listener| listener.chains());
    let tables = chains.filter_map(|chain| match chain.filter() {
        Some(malha_table::view::Filter::Http(table)) => Some(table),
        _ => None,
    });
    let mut hosts = tables.flat_map(|table| table.virtual_hosts().collect::<Vec<_>>());
    hosts.find(|host| host.domains().eq(["a.com"])).expect("the host")
}

/// Position, route name, line, and the route names of those that take it.
type Told = (u32, String, u32, Vec<String>);

fn removed(table: &Table) -> Vec<Told> {
    let name = |source: malha_table::view::Source<'_>| source.route_name().unwrap_or_default().to_owned();
    let told = host(table).removed().map(|one| {
        let source = one.source().expect("a source");
        (one.position(), name(source), source.line(), one.taken_by().map(name).collect())
    });
    told.collect()
}

const RULES: [&str; 5] = [
    "{uri: {prefix: /a}}, {uri: {exact: /ab}}",
    "{uri: {prefix: /b}}",
    "{uri: {regex: '/[ab]/old'}}, {uri: {prefix: /c}}",
    "{uri: {exact: '*'}}",
    "",
];

#[test]
fn what_is_left_out_is_named() {
    let table = table(&RULES);
    let (name, line) = (|status: u32| format!("r{status}"), |rule: u32| 15 + rule);
    assert_eq!(
        removed(&table),
        [
            (1, name(200), line(0), vec![name(200)]),
            (3, name(202), line(2), vec![name(200), name(201)]),
            (5, name(203), line(3), vec![]),
        ]
    );
    assert_eq!(host(&table).routes().len(), 4);
    // Of the rule at 2 another match is left, of the rule at 3 none is.
    assert_eq!(table.rules().len(), 4);
    let json = malha_emit::json(&table).to_string();
    assert!(json.contains(r#""takenBy":[{"kind":"VirtualService""#), "{json}");
}

#[test]
fn others_decide_as_before() {
    let table = table(&RULES);
    for (path, status) in [("/ab", 200), ("/b/old", 201), ("/c", 202), ("/", 204)] {
        let request = Request {
            authority: Some("a.com".to_owned()),
            path: Some(path.to_owned()),
            via: Some("gateway".to_owned()),
            ..Request::default()
        };
        let decision = table.decide(&request, 0).expect("a decision");
        assert_eq!(decision.respond.map(|respond| respond.status), Some(status), "{path}");
    }
}

#[test]
fn an_edit_of_what_is_left_out_makes_no_other_program() {
    let with = |dead: &str| table(&["{uri: {prefix: /a}}", dead, ""]);
    let (one, other, live) = (with("{uri: {exact: /ab}}"), with("{uri: {prefix: /abc}}"), with("{uri: {exact: /b}}"));
    assert_eq!(one.program_hash(), other.program_hash());
    assert_ne!(one.program_hash(), live.program_hash());
}
