//! A new table in force while bytes flow: whom it leads elsewhere or nowhere, goes on where it was led.

use crate::common::{
    Running,
    client::{connect, in_time, tunnel},
    mesh, options,
    plain::serving,
    start, wait_for,
};
use malha_mesh::{MeshConfig, config::OutboundMode};
use malha_table::Table;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

/// A server that says its name, and then sends back what comes as it comes.
fn echo(name: &'static str) -> SocketAddr {
    serving(move |mut stream| {
        let mut piece = [0; 4096];
        let mut answered = stream.write_all(name.as_bytes());
        while answered.is_ok()
            && let Ok(length @ 1..) = stream.read(&mut piece)
        {
            answered = stream.write_all(&piece[..length]);
        }
    })
}

/// A client whose bytes go to and fro until it is told to stop.
struct Flow {
    rounds: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Flow {
    fn start(mut stream: TcpStream, name: &str) -> Flow {
        assert_eq!(greeting(&mut stream), name);
        let (rounds, stop): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let (made, stopped) = (Arc::clone(&rounds), Arc::clone(&stop));
        let task = std::thread::spawn(move || {
            let mut back = [0; 1000];
            while !stopped.load(Ordering::SeqCst) {
                let turn = made.load(Ordering::SeqCst);
                let piece = [turn.to_le_bytes()[0]; 1000];
                stream.write_all(&piece).expect("it is open");
                in_time(stream.read_exact(&mut back)).expect("it is open");
                assert_eq!(back, piece);
                made.store(turn + 1, Ordering::SeqCst);
            }
        });
        Flow { rounds, stop, task }
    }

    /// Waits until bytes that were sent later than now have come back.
    fn goes_on(&self, after: &str) {
        let before = self.rounds.load(Ordering::SeqCst);
        wait_for(&format!("bytes to go on after {after}"), || self.rounds.load(Ordering::SeqCst) >= before + 2);
    }

    fn ends(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.join().expect("nothing was cut or lost");
    }
}

/// What a server says first; nothing where the connection ends.
fn greeting(stream: &mut TcpStream) -> String {
    let mut first = [0];
    let read = in_time(stream.read(&mut first)).unwrap_or(0);
    String::from_utf8_lossy(&first[..read]).into_owned()
}

/// Puts each of these tables in force, with where it leads who comes then, and looks after those who are there.
fn hold_under(proxy: &Running, flows: Vec<Flow>, tables: Vec<(&str, Arc<Table>, &str)>, open: impl Fn() -> TcpStream) {
    for (what, table, leads_to) in tables {
        let report = proxy.swap(table);
        assert!(report.failed.is_empty() && report.removed.is_empty(), "{what}: {report:?}");
        assert_eq!(greeting(&mut open()), leads_to, "{what}");
        for flow in &flows {
            flow.goes_on(what);
        }
    }
    flows.into_iter().for_each(Flow::ends);
}

#[test]
fn bytes_of_a_gateway_go_on_wherever_its_rules_lead_then() {
    let (a, b) = ([echo("a")], [echo("b")]);
    let gateway = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}
";
    let rule = |host: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  tcp: [{{route: [{{destination: {{host: {host}, port: {{number: 80}}}}}}]}}]
"
        )
    };
    let base = mesh::SERVICES.to_owned() + gateway;
    let to = |host: &str| base.clone() + &rule(host);
    let proxy = start(mesh::compile(&to("a"), &a, &b), options());
    let address = proxy.gateway(5432);
    let flows = (0..3).map(|_| Flow::start(connect(address), "a")).collect();
    let tables = vec![
        ("the same table", mesh::compile(&to("a"), &a, &b), "a"),
        ("another destination", mesh::compile(&to("b"), &a, &b), "b"),
        ("no endpoints", mesh::compile(&to("a"), &[], &b), ""),
        ("a destination that is none", mesh::compile(&to("gone"), &a, &b), ""),
        ("other endpoints", mesh::compile(&to("a"), &b, &b), "b"),
        ("the first table", mesh::compile(&to("a"), &a, &b), "a"),
    ];
    hold_under(&proxy, flows, tables, || connect(address));
}

#[test]
fn bytes_in_tunnels_go_on_whatever_the_mesh_knows_then() {
    let (a, b, outside) = ([echo("a")], [echo("b")], echo("o"));
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: default}
spec:
  hosts: [a]
  tcp:
  - route: [{destination: {host: b, port: {number: 5432}}}]
";
    let table = |more: &str, endpoints: &[SocketAddr]| mesh::sidecar(more, MeshConfig::default(), endpoints, &b);
    let closed = MeshConfig { outbound: OutboundMode::RegistryOnly, ..MeshConfig::default() };
    let nobody = || mesh::compile_with("", &[malha_mesh::ProxySpec::default_sidecar()], closed.clone(), |_| None);
    let proxy = start(table("", &a), options());
    let open = |to: &str| tunnel(proxy.outbound(), to).expect("a tunnel");
    // To a service, to one whose protocol nobody said (bytes that are no HTTP tell it), and to a host that nobody knows.
    let mut looked_at = open("a:7000");
    looked_at.write_all(b"\0").unwrap();
    assert_eq!(greeting(&mut looked_at), "a");
    let flows = vec![
        Flow::start(open("10.0.0.1:5432"), "a"),
        Flow::start(looked_at, "\0"),
        Flow::start(open(&outside.to_string()), "o"),
    ];
    let tables = vec![
        ("a rule to another", table(rule, &a), "b"),
        ("no endpoints", table("", &[]), ""),
        ("a mesh without services", nobody(), ""),
        ("the first table", table("", &a), "a"),
    ];
    hold_under(&proxy, flows, tables, || open("10.0.0.1:5432"));
}
