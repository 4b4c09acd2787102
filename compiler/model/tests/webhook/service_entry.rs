//! What is refused of a ServiceEntry.

use super::{
    Row, Table,
    common::{findings_of, read_yaml},
};

pub(super) static TABLES: &[Table] = &[
    Table {
        kind: "ServiceEntry",
        title: "",
        spec: "{ports: [{number: 443, name: tls, protocol: TLS}], $}",
        rows: &[
            Row {
                row: "A ServiceEntry without hosts",
                rule: "K002",
                field: "spec.hosts",
                good: "hosts: [api.example.com]",
                bad: "location: MESH_EXTERNAL",
            },
            Row {
                row: "An empty list of hosts",
                rule: "K005",
                field: "spec.hosts",
                good: "hosts: [api.example.com]",
                bad: "hosts: []",
            },
            Row {
                row: "A host that is no domain, with a wildcard in its first part at most",
                rule: "K008",
                field: "spec.hosts[1]",
                good: "hosts: [api.example.com, '*.example.com', '*-x.example.com']",
                bad: "hosts: [api.example.com, 'a.*.com']",
            },
            Row {
                row: "A host that is an IP address",
                rule: "K008",
                field: "spec.hosts[0]",
                good: "hosts: [4.example.com]",
                bad: "hosts: [1.2.3.4]",
            },
            Row {
                row: "A host with a part of more than 63 bytes",
                rule: "K008",
                field: "spec.hosts[0]",
                good: "hosts: [<63 bytes>.com]",
                bad: "hosts: [<64 bytes>.com]",
            },
            Row {
                row: "The host `*`",
                rule: "K008",
                field: "spec.hosts[0]",
                good: "hosts: ['*.com']",
                bad: "hosts: ['*']",
            },
            Row {
                row: "`workloadSelector` beside `endpoints`",
                rule: "K006",
                field: "spec.endpoints",
                good: "hosts: [a.com], resolution: STATIC, endpoints: [{address: 1.1.1.1}]",
                bad: "hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: vm}}, endpoints: [{address: 1.1.1.1}]",
            },
            Row {
                row: "A key in `workloadSelector` with a `*`",
                rule: "K009",
                field: "spec.workloadSelector.labels.app*",
                good: "hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: vm}}",
                bad: "hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app*: vm}}",
            },
            Row {
                row: "A value in `workloadSelector` with a `*`",
                rule: "K008",
                field: "spec.workloadSelector.labels.app",
                good: "hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: vm}}",
                bad: "hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: vm*}}",
            },
            Row {
                row: "An empty key in `workloadSelector`",
                rule: "K009",
                field: "spec.workloadSelector.labels[\"\"]",
                good: "hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: ''}}",
                bad: "hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {'': vm}}",
            },
            Row {
                row: "An address that is neither an IP address nor a range",
                rule: "K008",
                field: "spec.addresses[1]",
                good: "hosts: [a.com], addresses: [10.1.2.3, '::1']",
                bad: "hosts: [a.com], addresses: [10.1.2.3, a.com]",
            },
            Row {
                row: "A range whose length no address has",
                rule: "K008",
                field: "spec.addresses[0]",
                good: "hosts: [a.com], addresses: [10.0.0.0/32, 'fd00::/128']",
                bad: "hosts: [a.com], addresses: [10.0.0.0/33]",
            },
            Row {
                row: "A range with a resolution other than `STATIC` and `NONE`",
                rule: "K006",
                field: "spec.addresses[0]",
                good: "hosts: [a.com], addresses: [10.0.0.0/8], resolution: STATIC",
                bad: "hosts: [a.com], addresses: [10.0.0.0/8], resolution: DNS",
            },
            Row {
                row: "An entry of `exportTo` that is neither a namespace nor `.`, `*` or `~`",
                rule: "K009",
                field: "spec.exportTo[0]",
                good: "hosts: [a.com], exportTo: [other, .]",
                bad: "hosts: [a.com], exportTo: [a_b]",
            },
            Row {
                row: "A namespace twice in `exportTo`, of which `.` is the resource's own",
                rule: "K012",
                field: "spec.exportTo[1]",
                good: "hosts: [a.com], exportTo: [., other]",
                bad: "hosts: [a.com], exportTo: [., shop]",
            },
            Row {
                row: "`*` in `exportTo` beside others",
                rule: "K006",
                field: "spec.exportTo[0]",
                good: "hosts: [a.com], exportTo: ['*']",
                bad: "hosts: [a.com], exportTo: ['*', other]",
            },
            Row {
                row: "`~` in `exportTo` beside others",
                rule: "K006",
                field: "spec.exportTo[1]",
                good: "hosts: [a.com], exportTo: ['~']",
                bad: "hosts: [a.com], exportTo: [other, '~']",
            },
            Row {
                row: "A location that is none",
                rule: "K004",
                field: "spec.location",
                good: "hosts: [a.com], location: MESH_INTERNAL",
                bad: "hosts: [a.com], location: OUTSIDE",
            },
            Row {
                row: "A resolution that is none",
                rule: "K004",
                field: "spec.resolution",
                good: "hosts: [a.com], resolution: DNS",
                bad: "hosts: [a.com], resolution: LOOKUP",
            },
        ],
    },
    Table {
        kind: "ServiceEntry",
        title: ": ports",
        spec: "{hosts: [a.com], ports: [$]}",
        rows: &[
            Row {
                row: "A port without a name",
                rule: "K002",
                field: "spec.ports[0].name",
                good: "{number: 80, name: http}",
                bad: "{number: 80}",
            },
            Row {
                row: "A name of a port that is no DNS label",
                rule: "K009",
                field: "spec.ports[0].name",
                good: "{number: 80, name: Http-1}",
                bad: "{number: 80, name: http_1}",
            },
            Row {
                row: "An empty name of a port",
                rule: "K009",
                field: "spec.ports[0].name",
                good: "{number: 80, name: a}",
                bad: "{number: 80, name: ''}",
            },
            Row {
                row: "Two ports of one name",
                rule: "K012",
                field: "spec.ports[1].name",
                good: "{number: 80, name: a}, {number: 81, name: b}",
                bad: "{number: 80, name: a}, {number: 81, name: a}",
            },
            Row {
                row: "Two ports of one number",
                rule: "K012",
                field: "spec.ports[1].number",
                good: "{number: 80, name: a}, {number: 81, name: b}",
                bad: "{number: 80, name: a}, {number: 80, name: b}",
            },
            Row {
                row: "A number that no port has",
                rule: "K005",
                field: "spec.ports[0].number",
                good: "{number: 65535, name: a}",
                bad: "{number: 65536, name: a}",
            },
            Row {
                row: "A `targetPort` that is no port",
                rule: "K005",
                field: "spec.ports[0].targetPort",
                good: "{number: 80, name: a, targetPort: 8080}",
                bad: "{number: 80, name: a, targetPort: 65536}",
            },
            Row {
                row: "A protocol that Istio does not know",
                rule: "K004",
                field: "spec.ports[0].protocol",
                good: "{number: 80, name: a, protocol: grpc-web}, {number: 81, name: b, protocol: ''}",
                bad: "{number: 80, name: a, protocol: SCTP}",
            },
        ],
    },
    Table {
        kind: "ServiceEntry",
        title: ": several hosts",
        spec: "{hosts: [a.com, b.com], $}",
        rows: &[
            Row {
                row: "Several hosts behind a port of neither HTTP nor TLS, but with resolution `NONE`",
                rule: "K006",
                field: "spec.ports[1].protocol",
                good: "resolution: STATIC, ports: [{number: 80, name: a, protocol: HTTP}, {number: 443, name: b, protocol: HTTPS}]",
                bad: "resolution: STATIC, ports: [{number: 80, name: a, protocol: HTTP}, {number: 443, name: b, protocol: TCP}]",
            },
            Row {
                row: "Several hosts behind a port without a protocol, but with resolution `NONE`",
                rule: "K006",
                field: "spec.ports[0].protocol",
                good: "resolution: NONE, ports: [{number: 80, name: a}]",
                bad: "resolution: DNS, ports: [{number: 80, name: a}]",
            },
        ],
    },
    Table {
        kind: "ServiceEntry",
        title: ": resolution `NONE`",
        spec: "{hosts: [a.com], ports: [{number: 80, name: http, protocol: HTTP}], $}",
        rows: &[Row {
            row: "Endpoints",
            rule: "K006",
            field: "spec.endpoints",
            good: "resolution: NONE",
            bad: "resolution: NONE, endpoints: [{address: 1.1.1.1}]",
        }],
    },
    Table {
        kind: "ServiceEntry",
        title: ": resolution `STATIC`",
        spec: "{hosts: [a.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [$]}",
        rows: &[
            Row {
                row: "An endpoint that is a name",
                rule: "K008",
                field: "spec.endpoints[1].address",
                good: "{address: 1.1.1.1}, {address: '::1'}",
                bad: "{address: 1.1.1.1}, {address: b.com}",
            },
            Row {
                row: "An endpoint without an address and a network",
                rule: "K002",
                field: "spec.endpoints[0]",
                good: "{network: edge}",
                bad: "{weight: 1}",
            },
            Row {
                row: "An endpoint with an empty address and no network",
                rule: "K002",
                field: "spec.endpoints[0].address",
                good: "{address: '', network: edge}",
                bad: "{address: ''}",
            },
            Row {
                row: "A socket whose path is not absolute, or is a directory",
                rule: "K008",
                field: "spec.endpoints[0].address",
                good: "{address: unix:///run/a.sock}, {address: unix://@a}",
                bad: "{address: unix://a.sock}",
            },
            Row {
                row: "A socket with ports",
                rule: "K006",
                field: "spec.endpoints[0].ports",
                good: "{address: unix:///run/a.sock}",
                bad: "{address: unix:///run/a.sock, ports: {http: 80}}",
            },
            Row {
                row: "An endpoint's port that is none of the ServiceEntry's",
                rule: "K008",
                field: "spec.endpoints[0].ports.htp",
                good: "{address: 1.1.1.1, ports: {http: 8080}}",
                bad: "{address: 1.1.1.1, ports: {htp: 8080}}",
            },
            Row {
                row: "An endpoint's port with a number that no port has",
                rule: "K005",
                field: "spec.endpoints[0].ports.http",
                good: "{address: 1.1.1.1, ports: {http: 8080}}",
                bad: "{address: 1.1.1.1, ports: {http: 0}}",
            },
            Row {
                row: "A key that no label has",
                rule: "K009",
                field: "spec.endpoints[0].labels.-a",
                good: "{address: 1.1.1.1, labels: {example.com/a: ''}}",
                bad: "{address: 1.1.1.1, labels: {-a: ''}}",
            },
            Row {
                row: "A value that no label has",
                rule: "K009",
                field: "spec.endpoints[0].labels.a",
                good: "{address: 1.1.1.1, labels: {a: b_c.d}}",
                bad: "{address: 1.1.1.1, labels: {a: b c}}",
            },
        ],
    },
    Table {
        kind: "ServiceEntry",
        title: ": sockets",
        spec: "{hosts: [a.com], resolution: STATIC, endpoints: [{address: unix:///run/a.sock}], ports: [{number: 80, name: a, protocol: HTTP}$]}",
        rows: &[Row {
            row: "A socket as endpoint of a ServiceEntry that has not exactly one port",
            rule: "K006",
            field: "spec.endpoints[0].address",
            good: "",
            bad: ", {number: 81, name: b, protocol: HTTP}",
        }],
    },
    Table {
        kind: "ServiceEntry",
        title: ": resolution `DNS` and `DNS_ROUND_ROBIN`",
        spec: "{hosts: [$], ports: [{number: 80, name: http, protocol: HTTP}]}",
        rows: &[
            Row {
                row: "A wildcard without endpoints",
                rule: "S006",
                field: "spec.hosts[0]",
                good: "a.com], resolution: DNS, exportTo: [.",
                bad: "'*.a.com'], resolution: DNS, exportTo: [.",
            },
            Row {
                row: "Several endpoints with `DNS_ROUND_ROBIN`",
                rule: "K005",
                field: "spec.endpoints",
                good: "a.com], resolution: DNS, endpoints: [{address: b.com}, {address: c.com}",
                bad: "a.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: b.com}, {address: c.com}",
            },
            Row {
                row: "An endpoint that is neither an IP address nor a domain",
                rule: "K008",
                field: "spec.endpoints[0].address",
                good: "'*.a.com'], resolution: DNS, endpoints: [{address: b.com}, {address: 1.2.3.4}",
                bad: "'*.a.com'], resolution: DNS, endpoints: [{address: '*.b.com'}",
            },
            Row {
                row: "An endpoint that is a socket",
                rule: "K008",
                field: "spec.endpoints[0].address",
                good: "a.com], resolution: STATIC, endpoints: [{address: unix:///run/a.sock}",
                bad: "a.com], resolution: DNS, endpoints: [{address: unix:///run/a.sock}",
            },
            Row {
                row: "An endpoint's port that is none of the ServiceEntry's",
                rule: "K008",
                field: "spec.endpoints[0].ports.https",
                good: "a.com], resolution: DNS, endpoints: [{address: b.com, ports: {http: 81}}",
                bad: "a.com], resolution: DNS, endpoints: [{address: b.com, ports: {https: 81}}",
            },
            Row {
                row: "A key that no label has",
                rule: "K009",
                field: "spec.endpoints[0].labels.a/b/c",
                good: "a.com], resolution: DNS, endpoints: [{address: b.com, labels: {a/b: c}}",
                bad: "a.com], resolution: DNS, endpoints: [{address: b.com, labels: {a/b/c: d}}",
            },
        ],
    },
    Table {
        kind: "ServiceEntry",
        title: ": resolution `DYNAMIC_DNS`",
        spec: "{resolution: DYNAMIC_DNS, $}",
        rows: &[
            Row {
                row: "A host that is no wildcard",
                rule: "K006",
                field: "spec.hosts[1]",
                good: "hosts: ['*.a.com', '*.b.com']",
                bad: "hosts: ['*.a.com', b.com]",
            },
            Row {
                row: "Addresses",
                rule: "K006",
                field: "spec.addresses",
                good: "hosts: ['*.a.com']",
                bad: "hosts: ['*.a.com'], addresses: [10.1.2.3]",
            },
            Row {
                row: "Endpoints",
                rule: "K006",
                field: "spec.endpoints",
                good: "hosts: ['*.a.com']",
                bad: "hosts: ['*.a.com'], endpoints: [{address: b.com}]",
            },
            Row {
                row: "A port of a protocol other than HTTP, HTTP2, GRPC and TLS",
                rule: "K004",
                field: "spec.ports[0].protocol",
                good: "hosts: ['*.a.com'], ports: [{number: 443, name: a, protocol: tls}]",
                bad: "hosts: ['*.a.com'], ports: [{number: 443, name: a, protocol: HTTPS}]",
            },
            Row {
                row: "A port without a protocol",
                rule: "K004",
                field: "spec.ports[0].protocol",
                good: "hosts: ['*.a.com'], ports: [{number: 443, name: a, protocol: HTTP2}]",
                bad: "hosts: ['*.a.com'], ports: [{number: 443, name: a}]",
            },
        ],
    },
];

/// With this resolution a service of the mesh cannot be behind a waypoint.
#[test]
fn nothing_inside_the_mesh_is_resolved_by_request_behind_a_waypoint() {
    let object = |labels: &str, location: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: it, labels: {labels}}}\n\
            spec: {{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, location: {location}}}\n"
        )
    };
    let waypoint = "{istio.io/use-waypoint: w}";
    for good in [object("{}", "MESH_INTERNAL"), object(waypoint, "MESH_EXTERNAL")] {
        assert_eq!(findings_of(&read_yaml(&good).1), "", "{good}");
    }
    let (_reading, bad) = read_yaml(&object(waypoint, "MESH_INTERNAL"));
    let found: Vec<_> = bad.findings.iter().map(|it| (it.rule.code, it.field.as_deref())).collect();
    assert_eq!(found, [("K006", Some("spec.location"))]);
}
