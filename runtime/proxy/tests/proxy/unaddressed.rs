//! Services to which the files give no address: clients reach them by their names, each its own, as they do in a cluster,
//! which gives each an address (semantics B36).

use crate::common::{
    Running,
    client::{Client, connect, get, has_ended, in_time, tunnel},
    echo::Echo,
    lines::Lines,
    mesh, options,
    plain::upstream,
    start,
    tls::{Authority, Speaker},
};
use malha_mesh::{MeshConfig, ProxySpec, config::OutboundMode};
use malha_proxy::Options;
use malha_table::Table;
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
};

const SERVICES: &str = "apiVersion: v1
kind: Service
metadata: {name: store, namespace: db}
spec:
  ports: [{name: tcp, port: 5432}, {name: any, port: 7000}, {name: tls, port: 7443}]
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: other}
spec:
  ports: [{name: tcp, port: 5432}, {name: any, port: 7000}, {name: tls, port: 7443}]
";

/// The sidecar's table, with these behind the service of each namespace and behind all else.
fn table(more: &str, config: MeshConfig, [db, other, rest]: [&[SocketAddr]; 3]) -> Arc<Table> {
    mesh::compile_with(&format!("{SERVICES}{more}"), &[ProxySpec::default_sidecar()], config, |cluster| {
        Some(match cluster.host.as_str() {
            "store.db.svc.cluster.local" => db.to_vec(),
            "store.other.svc.cluster.local" => other.to_vec(),
            _ => rest.to_vec(),
        })
    })
}

fn bytes(more: &str) -> Running {
    let behind = ["db\n", "other\n", "rest\n"].map(|greeting| [upstream(greeting)]);
    start(table(more, MeshConfig::default(), behind.each_ref().map(|one| &one[..])), options())
}

/// What the server says that a client reaches; none: it reaches none.
fn greeting(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let _ = stream.shutdown(Shutdown::Write);
    let _ = in_time(stream.read_to_string(&mut text));
    text.trim_end().to_owned()
}

fn to(proxy: &Running, address: &str) -> String {
    greeting(tunnel(proxy.outbound(), address).expect("a tunnel"))
}

#[test]
fn each_name_leads_to_its_service() {
    let forwards = ["store.db:5432", "store.other:5432"].map(|text| text.parse().expect("a forward"));
    let behind = ["db\n", "other\n"].map(|greeting| [upstream(greeting)]);
    let table = table("", MeshConfig::default(), [&behind[0], &behind[1], &[]]);
    let proxy = start(table, Options { forwards: forwards.to_vec(), ..options() });
    for namespace in ["db", "other"] {
        for suffix in ["", ".svc", ".svc.cluster.local", ".svc.cluster.local."] {
            let name = format!("store.{namespace}{suffix}:5432");
            assert_eq!(to(&proxy, &name), namespace, "{name}");
        }
        let listeners = proxy.listeners();
        let forward = listeners.iter().find(|listener| listener.name == format!("store.{namespace}:5432"));
        assert_eq!(greeting(connect(forward.expect("a forward").address)), namespace, "by a forward");
    }
    assert!(proxy.unsupported().is_empty(), "{:?}", proxy.unsupported());
    assert_eq!(to(&proxy, "10.9.9.9:5432"), "db", "of an address nobody knows whose it is: the first has it");
}

#[test]
fn other_names_lead_to_none_of_them() {
    let proxy = bytes("");
    let refused = tunnel(proxy.outbound(), "nosuch.db:5432").expect_err("it leaves this machine");
    assert_eq!(refused.status, 502, "E21: {refused:?}");
    assert!(refused.text().contains("no service or rule of the mesh takes nosuch.db:5432"), "{refused:?}");

    let config = MeshConfig { outbound: OutboundMode::RegistryOnly, ..MeshConfig::default() };
    let (lines, server) = (Lines::default(), [upstream("db\n")]);
    let proxy = start(table("", config, [&server, &server, &[]]), lines.options());
    let mut stream = tunnel(proxy.outbound(), "nosuch.db:5432").expect("a sidecar accepts it");
    assert!(has_ended(&mut stream), "E21");
    let line = lines.wait(1).remove(0);
    assert!(line.contains("BlackHoleCluster"), "E21: {line}");
}

#[test]
fn a_forward_to_no_service_of_a_known_port_is_named() {
    let forwards = vec!["nosuch.db:5432".parse().expect("a forward")];
    let proxy = start(table("", MeshConfig::default(), [&[], &[], &[]]), Options { forwards, ..options() });
    let [problem] = &*proxy.unsupported() else { panic!("{:?}", proxy.unsupported()) };
    assert!(problem.contains("nosuch.db:5432") && problem.contains("leads nowhere"), "{problem}");
}

#[test]
fn what_has_the_whole_port_has_its_own_name() {
    // E14: without an address it takes all that no other listener has.
    let entry = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: db}
spec:
  hosts: [db.example]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.7}]
";
    let proxy = bytes(entry);
    for (name, expected) in
        [("db.example", "rest"), ("nosuch.db", "rest"), ("store.db", "db"), ("store.other", "other")]
    {
        assert_eq!(to(&proxy, &format!("{name}:5432")), expected, "E14: {name}");
    }
}

#[test]
fn rules_for_ranges_hold_where_any_address_is_in_them() {
    let rule = |range: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: store, namespace: db}}
spec:
  hosts: [store.db.svc.cluster.local]
  tcp:
  - match: [{{destinationSubnets: [{range}]}}]
    route: [{{destination: {{host: store.other.svc.cluster.local, port: {{number: 5432}}}}}}]
"
        )
    };
    for (range, expected) in [("0.0.0.0/0", "other"), ("240.0.0.0/4", "db"), ("10.0.0.0/8", "db")] {
        let proxy = bytes(&rule(range));
        assert_eq!(to(&proxy, "store.db:5432"), expected, "B33: {range}");
        assert_eq!(to(&proxy, "store.other:5432"), "other", "B33: {range}");
    }
}

#[test]
fn a_service_whose_protocol_is_detected_takes_any_host_by_its_name() {
    let (db, other) = (Echo::start("db"), Echo::start("other"));
    let forwards = vec!["store.other:7000".parse().expect("a forward")];
    let table = table("", MeshConfig::default(), [&[db.address], &[other.address], &[]]);
    let proxy = start(table, Options { forwards, ..options() });
    for (name, expected) in [("store.db", "db"), ("store.other", "other")] {
        let stream = tunnel(proxy.outbound(), &format!("{name}:7000")).expect("a tunnel");
        let mut client = Client::over(stream);
        for host in ["whoever.example", "store.db:7000"] {
            assert_eq!(client.get(host, "/", "").json()["name"], expected, "B36: {name} {host}");
        }
    }
    let listeners = proxy.listeners();
    let forward = listeners.iter().find(|listener| listener.name == "store.other:7000").expect("a forward");
    let host = forward.address.to_string();
    assert_eq!(
        get(forward.address, &host, "/", "").json()["name"],
        "other",
        "B36: what knows no proxy says its address"
    );
    // By Host they are virtual hosts of one table.
    for (host, expected) in [("store.db:7000", "db"), ("store.other:7000", "other")] {
        assert_eq!(get(proxy.outbound(), host, "/", "").json()["name"], expected, "{host}");
    }
}

#[test]
fn tls_for_a_service_is_known_by_the_name_that_is_connected_to() {
    let (authority, lines) = (Authority::new(), Lines::default());
    let servers = ["db", "other"].map(|_| [upstream("")]);
    let table = table("", MeshConfig::default(), [&servers[0], &servers[1], &[]]);
    let log = Some(lines.log().in_format(malha_proxy::LogFormat::Json));
    let proxy = start(table, Options { access_log: log, ..options() });
    for (name, server_name) in [("store.db", "store.db"), ("store.other", "whoever.example")] {
        lines.clear();
        let mut stream = tunnel(proxy.outbound(), &format!("{name}:7443")).expect("a tunnel");
        stream.write_all(&Speaker::new(&authority).hello(server_name)).unwrap();
        let _ = greeting(stream);
        let line: Value = serde_json::from_str(&lines.wait(1)[0]).expect("lines are JSON");
        assert_eq!(line["upstream_cluster"], format!("outbound|7443||{name}.svc.cluster.local"), "B32: {line}");
    }
}
