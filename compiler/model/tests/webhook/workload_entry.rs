//! What is refused of a WorkloadEntry.

use super::{Row, Table};

pub(super) static TABLES: &[Table] = &[Table {
    kind: "WorkloadEntry",
    title: "",
    spec: "{$}",
    rows: &[
        Row {
            row: "A WorkloadEntry without an address and a network",
            rule: "K002",
            field: "spec",
            good: "network: edge",
            bad: "weight: 1",
        },
        Row {
            row: "An empty address without a network",
            rule: "K002",
            field: "spec.address",
            good: "address: '', network: edge",
            bad: "address: ''",
        },
        Row {
            row: "An address that is neither an IP address nor a domain nor a socket",
            rule: "K008",
            field: "spec.address",
            good: "address: vm.example.com",
            bad: "address: '*.example.com'",
        },
        Row {
            row: "An address that is a range",
            rule: "K008",
            field: "spec.address",
            good: "address: 10.0.0.0",
            bad: "address: 10.0.0.0/8",
        },
        Row {
            row: "A socket whose path is not absolute, or is a directory",
            rule: "K008",
            field: "spec.address",
            good: "address: unix:///run/a.sock",
            bad: "address: unix:///run/",
        },
        Row {
            row: "A socket with ports",
            rule: "K006",
            field: "spec.ports",
            good: "address: unix://@a",
            bad: "address: unix://@a, ports: {http: 80}",
        },
        Row {
            row: "A name of a port that is no DNS label of less than 63 bytes",
            rule: "K008",
            field: "spec.ports.a_b",
            good: "address: 1.1.1.1, ports: {<62 bytes>: 80}",
            bad: "address: 1.1.1.1, ports: {a_b: 80}",
        },
        Row {
            row: "A number that no port has",
            rule: "K005",
            field: "spec.ports.http",
            good: "address: 1.1.1.1, ports: {http: 80}",
            bad: "address: 1.1.1.1, ports: {http: 65536}",
        },
        Row {
            row: "A key that no label has",
            rule: "K009",
            field: "spec.labels.a b",
            good: "address: 1.1.1.1, labels: {A.b/c_d: e}",
            bad: "address: 1.1.1.1, labels: {a b: c}",
        },
        Row {
            row: "A key whose prefix is no domain",
            rule: "K009",
            field: "spec.labels[\"a..b/c\"]",
            good: "address: 1.1.1.1, labels: {a.b/c: e}",
            bad: "address: 1.1.1.1, labels: {a..b/c: e}",
        },
        Row {
            row: "A key whose name has more than 63 bytes",
            rule: "K009",
            field: "spec.labels.<64 bytes>",
            good: "address: 1.1.1.1, labels: {<63 bytes>: e}",
            bad: "address: 1.1.1.1, labels: {<64 bytes>: e}",
        },
        Row {
            row: "A value that no label has",
            rule: "K009",
            field: "spec.labels.a",
            good: "address: 1.1.1.1, labels: {a: ''}",
            bad: "address: 1.1.1.1, labels: {a: b/c}",
        },
        Row {
            row: "A service account of more than 253 characters",
            rule: "K005",
            field: "spec.serviceAccount",
            good: "address: 1.1.1.1, serviceAccount: <253 bytes>",
            bad: "address: 1.1.1.1, serviceAccount: <254 bytes>",
        },
    ],
}];
