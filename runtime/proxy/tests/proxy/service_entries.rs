//! What ServiceEntries and Services without endpoints of their own lead to (semantics E1 to E20, E28).

use crate::common::{
    Running,
    client::{Answer, Client, connect, get, has_ended, tunnel},
    echo::Echo,
    held::Gate,
    lines::Lines,
    mesh,
    name_server::{NameServer, Says, local},
    options,
    plain::serving,
    start,
    tls::{Authority, Speaker},
    wait_for,
};
use malha_mesh::{MeshConfig, ProxySpec};
use malha_proxy::{Dns, Options, Passthrough};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::SocketAddr,
    sync::mpsc::{Receiver, TryRecvError, channel},
    time::{Duration, Instant},
};

/// A sidecar in `default`, in a mesh of these objects: `KIND NAME`, and what follows its metadata.
fn sidecar(objects: &[(&str, String)], options: Options) -> Running {
    let proxies = [ProxySpec::default_sidecar()];
    start(mesh::compile_with(&text(objects), &proxies, MeshConfig::default(), |_| None), options)
}

/// A gateway whose requests all go to port `port` of `host`, in such a mesh.
fn gateway(host: &str, port: u16, objects: &[(&str, String)]) -> Running {
    let servers = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}";
    let destination = format!("{{destination: {{host: '{host}', port: {{number: {port}}}}}}}");
    let all = [
        objects,
        &[
            ("Gateway gw", format!("spec: {{selector: {{istio: ingress}}, servers: [{servers}]}}")),
            ("VirtualService v", format!("spec: {{hosts: ['*'], gateways: [gw], http: [{{route: [{destination}]}}]}}")),
        ],
    ]
    .concat();
    start(mesh::compile_with(&text(&all), &[], MeshConfig::default(), |_| None), options())
}

fn text(objects: &[(&str, String)]) -> String {
    let object = |(name, rest): &(&str, String)| {
        let (kind, name) = name.split_once(' ').expect("a kind and a name");
        let version = if matches!(kind, "Service" | "Pod") { "v1" } else { "networking.istio.io/v1" };
        let (name, labels) = name.split_once(' ').unwrap_or((name, "{}"));
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: default, labels: {labels}}}\n{rest}\n"
        )
    };
    objects.iter().map(object).collect::<Vec<_>>().join("---\n")
}

/// A ServiceEntry of this host, with port 80 for HTTP.
fn entry(host: &str, rest: &str) -> String {
    entry_at(host, 80, rest)
}

fn entry_at(host: &str, port: u16, rest: &str) -> String {
    format!("spec: {{hosts: ['{host}'], ports: [{{number: {port}, name: http, protocol: HTTP}}], {rest}}}")
}

fn who(answer: &Answer) -> String {
    answer.json()["name"].as_str().unwrap_or_default().to_owned()
}

fn whos(address: SocketAddr, host: &str, requests: usize) -> BTreeSet<String> {
    let mut client = Client::connect(address);
    (0..requests).map(|_| who(&client.get(host, "/", ""))).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn static_endpoints_have_ports_weights_and_labels() {
    let echoes = Echo::start_many(&["one", "two"]);
    let port = echoes[0].address.port();
    let endpoints = format!(
        "resolution: STATIC, endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}, labels: {{v: a}}, weight: 3}}, \
         {{address: 127.0.0.2, ports: {{http: {port}}}}}]"
    );
    let rule = "spec: {host: x.example, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}, \
                subsets: [{name: a, labels: {v: a}}, {name: b, labels: {v: b}}]}";
    let routes = "spec: {hosts: [x.example], http: [\
                  {match: [{uri: {prefix: /a}}], route: [{destination: {host: x.example, subset: a}}]}, \
                  {match: [{uri: {prefix: /b}}], route: [{destination: {host: x.example, subset: b}}]}, \
                  {route: [{destination: {host: x.example}}]}]}";
    let objects = [
        ("ServiceEntry x", entry("x.example", &endpoints)),
        ("DestinationRule x", rule.to_owned()),
        ("VirtualService x", routes.to_owned()),
    ];
    let proxy = sidecar(&objects, options());
    let mut client = Client::connect(proxy.outbound());
    for _ in 0..8 {
        client.get("x.example", "/", "");
    }
    let counts: Vec<usize> = echoes.iter().map(|echo| echo.seen().len()).collect();
    assert_eq!(counts, [6, 2], "E10, E12: three to one");
    let subset: BTreeSet<String> = (0..4).map(|_| who(&client.get("x.example", "/a", ""))).collect();
    assert_eq!(subset, set(["one"]), "E12");
    let none = client.get("x.example", "/b", "");
    assert_eq!((none.status, none.text()), (503, "no healthy upstream".to_owned()), "E12");
}

#[test]
fn where_a_port_leads_is_said_by_the_nearest() {
    let echo = Echo::start("echo");
    let port = echo.address.port();
    let ports = format!(
        "{{number: 80, name: http, protocol: HTTP, targetPort: {port}}}, {{number: 81, name: other, protocol: HTTP}}"
    );
    let with = |endpoint: &str| {
        let spec =
            format!("spec: {{hosts: [x.example], ports: [{ports}], resolution: STATIC, endpoints: [{endpoint}]}}");
        let proxy = sidecar(&[("ServiceEntry x", spec)], options());
        get(proxy.outbound(), "x.example", "/", "").status
    };
    assert_eq!(with("{address: 127.0.0.1}"), 200, "E10: targetPort");
    assert_eq!(with("{address: 127.0.0.1, ports: {http: 1}}"), 503, "E10: the endpoint's own is nearer");
    assert_eq!(with("{address: 127.0.0.1, ports: {other: 1}}"), 200, "E10: by the name of the port");
}

#[test]
fn entries_of_one_host_add_up() {
    let echoes = Echo::start_many(&["one", "two"]);
    let port = echoes[0].address.port();
    let at = |address: &str| {
        let endpoint = format!("{{address: {address}, ports: {{http: {port}}}}}");
        entry("x.example", &format!("resolution: STATIC, endpoints: [{endpoint}]"))
    };
    let proxy =
        sidecar(&[("ServiceEntry first", at("127.0.0.1")), ("ServiceEntry second", at("127.0.0.2"))], options());
    assert_eq!(whos(proxy.outbound(), "x.example", 32), set(["one", "two"]), "E17");
}

#[test]
fn an_entry_takes_its_workloads_by_label() {
    let echoes = Echo::start_many(&["entry", "pod", "other"]);
    let port = echoes[0].address.port();
    let spec = entry_at("x.example", port, "resolution: STATIC, workloadSelector: {labels: {app: a}}");
    let workload = |address: &str, labels: &str| {
        format!("spec: {{address: {address}, labels: {labels}, ports: {{http: {port}}}}}")
    };
    let objects = [
        ("ServiceEntry x", spec),
        ("WorkloadEntry w", workload("127.0.0.1", "{app: a}")),
        ("WorkloadEntry o", workload("127.0.0.3", "{app: o}")),
        ("Pod p {app: a}", "status: {podIP: 127.0.0.2}".to_owned()),
    ];
    let proxy = sidecar(&objects, options());
    assert_eq!(whos(proxy.outbound(), &format!("x.example:{port}"), 32), set(["entry", "pod"]), "E13");
}

#[test]
fn without_resolution_a_sidecar_goes_where_the_client_meant_to_and_a_gateway_nowhere() {
    let echo = Echo::start("echo");
    let port = echo.address.port();
    for host in ["x.localhost", "*.localhost"] {
        let none = entry_at(host, port, "resolution: NONE");
        let proxy = sidecar(&[("ServiceEntry x", none.clone())], options());
        let answer = get(proxy.outbound(), &format!("x.localhost:{port}"), "/", "");
        assert_eq!((answer.status, who(&answer)), (200, "echo".to_owned()), "E2, E3");
        let proxy = gateway(host, port, &[("ServiceEntry x", none)]);
        let answer = get(proxy.gateway(80), &format!("x.localhost:{port}"), "/", "");
        assert_eq!((answer.status, answer.text()), (503, "no healthy upstream".to_owned()), "E3");
    }
    let proxy = sidecar(&[("ServiceEntry x", entry("x.example", "resolution: STATIC"))], options());
    let answer = get(proxy.outbound(), "x.example", "/", "");
    assert_eq!((answer.status, answer.text()), (503, "no healthy upstream".to_owned()), "E4");
}

#[test]
fn each_host_of_an_entry_is_a_service_wherever_it_is() {
    let echo = Echo::start("echo");
    let port = echo.address.port();
    for location in ["MESH_EXTERNAL", "MESH_INTERNAL"] {
        let spec = format!(
            "spec: {{hosts: [a.example, b.example], ports: [{{number: 80, name: http, protocol: HTTP}}], \
             location: {location}, resolution: STATIC, endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]}}"
        );
        let proxy = sidecar(&[("ServiceEntry x", spec)], Options { seed: Some(3), ..options() });
        for host in ["a.example", "b.example", "a.example:80"] {
            assert_eq!(whos(proxy.outbound(), host, 1), set(["echo"]), "E1, E9, E20: {location}");
        }
    }
}

#[test]
fn an_external_name_stands_for_what_it_names() {
    let echo = Echo::start("echo");
    let alias = "spec: {type: ExternalName, externalName: x.example, ports: [{name: http, port: 80}]}";
    let endpoints =
        format!("resolution: STATIC, endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]", echo.address.port());
    let routes = "spec: {hosts: [front.example], http: [{route: [{destination: {host: alias}}]}]}";
    let objects = [
        ("Service alias", alias.to_owned()),
        ("ServiceEntry x", entry("x.example", &endpoints)),
        ("VirtualService front", routes.to_owned()),
    ];
    let proxy = sidecar(&objects, options());
    for host in ["alias", "alias.default.svc.cluster.local", "front.example", "x.example"] {
        let answer = get(proxy.outbound(), host, "/", "");
        assert_eq!((who(&answer), answer.json()["authority"].clone()), ("echo".to_owned(), host.into()), "E28");
    }
}

#[test]
fn a_headless_service_is_its_pods() {
    let echoes = Echo::start_many(&["one", "two"]);
    let port = echoes[0].address.port();
    let spec = format!("spec: {{clusterIP: None, selector: {{app: a}}, ports: [{{name: http, port: {port}}}]}}");
    let pod = |address: &str| format!("status: {{podIP: {address}}}");
    let objects = [("Service a", spec), ("Pod a-1 {app: a}", pod("127.0.0.1")), ("Pod a-2 {app: a}", pod("127.0.0.2"))];
    let proxy = gateway("a.default.svc.cluster.local", port, &objects);
    assert_eq!(whos(proxy.gateway(80), "x.com", 32), set(["one", "two"]), "E28: on a gateway by its endpoints");
    let proxy = sidecar(&objects, options());
    let answer = get(proxy.outbound(), &format!("127.0.0.2:{port}"), "/", "");
    assert_eq!(who(&answer), "two", "E28: on a sidecar where the client meant to");
}

#[test]
fn names_that_clients_choose_hold_up_no_others() {
    let echo = Echo::start("echo");
    let port = echo.address.port();
    let (server, gate) = (NameServer::start(), Gate::default());
    server.say("x.example", local(0, &[1]));
    let dns = Dns { servers: vec![server.address], refresh: Duration::from_millis(20), ..Dns::default() };
    let objects = [
        ("ServiceEntry x", entry_at("x.example", port, "resolution: DNS")),
        ("ServiceEntry w", entry_at("*.wild.example", port, "resolution: DYNAMIC_DNS")),
    ];
    let proxy = sidecar(&objects, Options { passthrough: Passthrough::Anywhere, dns, ..options() });
    let names: Vec<String> = (0..128).map(|number| format!("{number}.wild.example")).collect();
    let clients: Vec<Client> = names
        .iter()
        .map(|name| {
            server.say(name, Says::Late(gate.clone(), Box::new(Says::Unknown)));
            let mut client = Client::connect(proxy.outbound());
            client.write(format!("GET / HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n").as_bytes());
            client
        })
        .collect();
    wait_for("so many as are looked up at once", || {
        server.names().iter().filter(|name| name.ends_with(".wild.example")).count() >= 32
    });
    let asked = server.asked("x.example");
    wait_for("more of the other", || server.asked("x.example") > asked + 3);
    gate.open();
    for mut client in clients {
        let answer = client.read().expect("an answer");
        assert_eq!((answer.status, answer.text()), (503, "DNS resolution failure".to_owned()), "E8");
    }
}

#[test]
fn nobody_waits_for_a_name_for_long() {
    let server = NameServer::start();
    server.say("silent.wild.example", Says::Silence);
    let dns = Dns { servers: vec![server.address], ..Dns::default() };
    let wild = entry_at("*.wild.example", 80, "resolution: DYNAMIC_DNS");
    let anywhere = Options { passthrough: Passthrough::Anywhere, dns, ..options() };
    let proxy = sidecar(&[("ServiceEntry w", wild)], anywhere);
    let begun = Instant::now();
    let answer = get(proxy.outbound(), "silent.wild.example", "/", "");
    assert_eq!((answer.status, answer.text()), (503, "DNS resolution failure".to_owned()), "E8");
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[test]
fn a_name_that_the_client_chooses_is_looked_up_for_it() {
    let echo = Echo::start("echo");
    let port = echo.address.port();
    let server = NameServer::start();
    server.say("a.wild.example", local(3600, &[1]));
    server.say("broken.wild.example", Says::Failure);
    let dns = Dns { servers: vec![server.address], refresh: Duration::from_millis(20), ..Dns::default() };
    let lines = Lines::default();
    let anywhere = Options { passthrough: Passthrough::Anywhere, dns, ..lines.options() };
    let wild = entry_at("*.wild.example", port, "resolution: DYNAMIC_DNS");
    let proxy = sidecar(&[("ServiceEntry x", wild.clone())], anywhere);
    for _ in 0..3 {
        let answer = get(proxy.outbound(), &format!("A.wild.example:{port}"), "/", "");
        assert_eq!(who(&answer), "echo", "E7: {answer:?}");
    }
    assert_eq!(server.asked("a.wild.example"), 1, "it is kept for as long as the answer says");
    for host in ["none.wild.example", "broken.wild.example"] {
        let answer = get(proxy.outbound(), &format!("{host}:{port}"), "/", "");
        assert_eq!((answer.status, answer.text()), (503, "DNS resolution failure".to_owned()), "E7, E8: {host}");
    }
    let logged = lines.wait(5).pop().expect("five lines");
    assert!(logged.contains(" 503 DF dns_resolution_failure "), "{logged}");
    // A host that the mesh does not know is found in the same way.
    server.say("outside.example", local(3600, &[1]));
    let answer = get(proxy.outbound(), &format!("outside.example:{port}"), "/", "");
    assert_eq!(who(&answer), "echo", "B39: {answer:?}");
    // Unless requests are to stay on this machine: nobody is asked then.
    let asked = server.names();
    let dns = Dns { servers: vec![server.address], ..Dns::default() };
    let proxy = sidecar(&[("ServiceEntry x", wild)], Options { dns, ..options() });
    for host in ["b.wild.example", "c.example"] {
        assert_eq!(get(proxy.outbound(), &format!("{host}:{port}"), "/", "").status, 502, "{host}");
    }
    assert_eq!(server.names(), asked);
}

/// A server that tells of each connection the bytes that it begins with, as many as there are in a hello like this.
fn hearing(hello: &[u8]) -> (SocketAddr, Receiver<Vec<u8>>) {
    let (told, hears) = channel();
    let length = hello.len();
    let address = serving(move |mut stream| {
        let mut bytes = vec![0; length];
        if stream.read_exact(&mut bytes).is_ok() {
            let _ = told.send(bytes);
            let _ = stream.write_all(b"w");
        }
    });
    (address, hears)
}

#[test]
fn a_server_name_that_the_client_chooses_is_looked_up_for_its_bytes() {
    let authority = Authority::new();
    let hello = |name: &str| Speaker::new(&authority).hello(name);
    let (address, hears) = hearing(&hello("a.wild.example"));
    let port = address.port();
    let server = NameServer::start();
    server.say("a.wild.example", local(3600, &[1]));
    server.say("broken.wild.example", Says::Failure);
    server.say("empty.wild.example", Says::Nothing);
    let dns = Dns { servers: vec![server.address], ..Dns::default() };
    let lines = Lines::default();
    let spec = format!(
        "spec: {{hosts: ['*.wild.example'], ports: [{{number: {port}, name: tls, protocol: TLS}}], resolution: DYNAMIC_DNS}}"
    );
    let anywhere = Options { passthrough: Passthrough::Anywhere, dns, ..lines.options() };
    let proxy = sidecar(&[("ServiceEntry x", spec)], anywhere);
    // The name counts, whatever address the client had for it.
    let open = || tunnel(proxy.outbound(), &format!("192.0.2.1:{port}")).expect("a tunnel");
    let cluster = format!("outbound|{port}||*.wild.example");
    for _ in 0..2 {
        let sent = hello("a.wild.example");
        let mut stream = open();
        stream.write_all(&sent).unwrap();
        stream.read_exact(&mut [0]).expect("E7: it is led there");
        assert_eq!(hears.recv_timeout(Duration::from_secs(10)).expect("E7"), sent, "as it came");
    }
    assert_eq!(server.asked("a.wild.example"), 1, "it is kept for as long as the answer says");
    for line in lines.wait(2) {
        assert!(line.contains(" 0 - ") && line.contains(&cluster), "{line}");
    }
    for name in ["none.wild.example", "broken.wild.example", "empty.wild.example"] {
        lines.clear();
        let mut stream = open();
        stream.write_all(&hello(name)).unwrap();
        assert!(has_ended(&mut stream), "E7, E8: {name}");
        assert!(server.asked(name) > 0, "{name}");
        let line = lines.wait(1).remove(0);
        assert!(line.contains(" 0 UH ") && line.contains(&cluster), "E7, E8: {name}: {line}");
    }
    assert_eq!(hears.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn the_meshs_own_tls_is_led_on_to_what_is_in_the_mesh_alone() {
    let authority = Authority::new();
    let hello = |host: &str| Speaker::new(&authority).hello(&format!("outbound_.80_._.{host}"));
    let (address, hears) = hearing(&hello("in.example"));
    let entry = |host: &str, location: &str| {
        let endpoints = format!("endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]", address.port());
        self::entry(host, &format!("{location}resolution: STATIC, {endpoints}"))
    };
    let servers =
        "{port: {number: 15443, name: tls, protocol: TLS}, hosts: ['*.example'], tls: {mode: AUTO_PASSTHROUGH}}";
    let objects = [
        ("Gateway gw", format!("spec: {{selector: {{istio: ingress}}, servers: [{servers}]}}")),
        ("ServiceEntry in", entry("in.example", "location: MESH_INTERNAL, ")),
        ("ServiceEntry out", entry("ex.example", "location: MESH_EXTERNAL, ")),
        ("ServiceEntry unsaid", entry("un.example", "")),
    ];
    let table = mesh::compile_with(&text(&objects), &[], MeshConfig::default(), |_| None);
    let proxy = start(table, options());
    for (host, is_led_on) in [("in.example", true), ("ex.example", false), ("un.example", false)] {
        let sent = hello(host);
        let mut stream = connect(proxy.gateway(15443));
        stream.write_all(&sent).unwrap();
        if is_led_on {
            assert_eq!(hears.recv_timeout(Duration::from_secs(10)).expect("E9"), sent, "{host}");
        } else {
            assert!(has_ended(&mut stream), "E9: {host}");
            assert_eq!(hears.try_recv(), Err(TryRecvError::Empty), "E9: {host}");
        }
    }
}
