//! A running mesh follows its files, and nothing else.

#[path = "support/command.rs"]
mod command;
#[path = "support/running.rs"]
mod running;

use command::{GOOD, malha, tree, write};
use running::{Running, get, wait_for};
use serde_json::Value;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};
use tempfile::TempDir;

/// [`GOOD`], but for any host, so that the tests need not send one.
fn mesh() -> TempDir {
    let mesh = tree(GOOD);
    for (name, text) in GOOD {
        write(&mesh, name, &text.replace("[shop.example]", "[\"*\"]"));
    }
    mesh
}

fn routes(mesh: &TempDir) -> String {
    fs::read_to_string(mesh.path().join("routes.yaml")).expect("it is there")
}

fn status(running: &Running) -> Value {
    serde_json::from_str(&get(&running.admin(), "/status")).expect("JSON")
}

fn post(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the listener accepts");
    write!(stream, "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn saves_are_followed_and_broken_ones_change_nothing() {
    let mesh = mesh();
    let running = Running::start(&["--mock"], mesh.path());
    assert!(running.get("/cart/1").contains("\"path\":\"/1\""), "{}", running.log());

    let good = routes(&mesh);
    write(&mesh, "routes.yaml", &good.replace("/cart/", "/basket/"));
    wait_for("the new route", || running.get("/basket/2").contains("\"path\":\"/2\""));
    assert_eq!(running.get("/cart/1"), "", "{}", running.log());

    write(&mesh, "routes.yaml", &good.replace("route:", "rout:"));
    wait_for("the failure to be told", || running.log().contains("not reloaded: the last good table stays"));
    assert!(running.log().contains("routes.yaml:12:5: error[K001]"), "{}", running.log());
    assert!(running.get("/basket/2").contains("\"path\":\"/2\""), "the last good table stays");
    assert_eq!(status(&running)["compile"]["state"], "stale");
    assert_eq!(status(&running)["reloadFailures"], 1);
    assert!(get(&running.admin(), "/findings").contains("\"K001\""));
    let answer = post(&running.admin(), "/reload");
    assert!(answer.contains("K001"), "a reload says why it comes to nothing: {answer}");

    write(&mesh, "routes.yaml", &good);
    wait_for("the old route", || running.get("/cart/3").contains("\"path\":\"/3\""));
    assert_eq!(status(&running)["compile"]["state"], "serving");
    running.stop();
}

#[test]
fn files_that_come_go_and_move_count() {
    let mesh = mesh();
    let running = Running::start(&["--mock"], mesh.path());
    let is_routed = |path: &str| running.get(path).contains("\"app\":\"cart\"");
    assert!(is_routed("/cart/"));
    let more = routes(&mesh).replace("name: shop", "name: more").replace("/cart/", "/more/");
    write(&mesh, "deep/more.yaml", &more);
    wait_for("the new file's route", || is_routed("/more/"));
    assert!(is_routed("/cart/"));
    fs::rename(mesh.path().join("deep"), mesh.path().join("deeper")).expect("it moves");
    fs::remove_file(mesh.path().join("routes.yaml")).expect("it goes");
    wait_for("the old route to go", || !is_routed("/cart/"));
    assert!(is_routed("/more/"));
    // As editors save: a new file takes the old one's name.
    write(&mesh, "deeper/more.yaml~", &more.replace("/more/", "/most/"));
    fs::rename(mesh.path().join("deeper/more.yaml~"), mesh.path().join("deeper/more.yaml")).expect("it moves");
    wait_for("the replaced file's route", || is_routed("/most/"));
    running.stop();
}

#[test]
fn a_comment_moves_lines_and_nothing_else() {
    let mesh = mesh();
    let running = Running::start(&["--mock", "--explain"], mesh.path());
    let program = status(&running)["table"]["program"].clone();
    write(&mesh, "routes.yaml", &format!("# a comment\n{}", routes(&mesh)));
    wait_for("the reload", || running.log().contains("no request is treated otherwise"));
    assert_eq!(status(&running)["table"]["program"], program);
    running.stop();
}

#[test]
fn a_gateway_that_comes_is_listened_for() {
    let mesh = mesh();
    let running = Running::start(&["--mock"], mesh.path());
    let gateway = fs::read_to_string(mesh.path().join("gateway.yaml")).expect("it is there");
    write(&mesh, "gateway.yaml", &gateway.replace("number: 80", "number: 81"));
    wait_for("the other port", || running.ready_again()["listeners"][0]["port"] == 81);
    let address = running.ready_again()["listeners"][0]["address"].as_str().expect("an address").to_owned();
    assert!(get(&address, "/cart/").contains("\"app\":\"cart\""));
    running.stop();
}

#[test]
fn what_is_refused_at_the_start_is_left_out_and_named() {
    let mesh = mesh();
    write(&mesh, "bad.yaml", &routes(&mesh).replace("name: shop", "name: bad").replace("route:", "rout:"));
    let running = Running::start(&["--mock"], mesh.path());
    assert!(running.log().contains("left out: "), "{}", running.log());
    assert!(running.log().contains("bad.yaml:12:5: error[K001]"), "{}", running.log());
    assert!(running.get("/cart/").contains("\"app\":\"cart\""));
    running.stop();
}

/// A process of the user's own: it answers every request with the same words.
fn own_process(words: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let length = words.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{words}");
        }
    });
    address
}

#[test]
fn own_processes_take_the_place_of_workloads() {
    let mesh = mesh();
    let (flag, file) = (own_process("from the flag"), own_process("from the file"));
    let running = Running::start(&["--endpoint", &format!("cart.default:8000={flag}")], mesh.path());
    assert_eq!(running.get("/cart/"), "from the flag");
    running.stop();
    write(&mesh, "malha.toml", &format!("[run.endpoints]\n\"cart.default:8000\" = \"{file}\"\n"));
    let running = Running::start(&["--mock"], mesh.path());
    assert_eq!(running.get("/cart/"), "from the file");
    // And back again, by an edit of malha.toml.
    write(&mesh, "malha.toml", "");
    wait_for("the stand-in", || running.get("/cart/").contains("\"app\":\"cart\""));
    running.stop();
}

/// Answers every request at `address` with the same words, until it is dropped.
struct Process {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Process {
    fn start(address: SocketAddr, words: &'static str) -> Process {
        let listener = TcpListener::bind(address).expect("the port is free again");
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let serve = move || {
            for mut stream in listener.incoming().flatten() {
                if told.load(Ordering::Acquire) {
                    return;
                }
                let _ = stream.read(&mut [0; 4096]);
                let length = words.len();
                let _ =
                    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{words}");
            }
        };
        Process { address, ends, thread: Some(thread::spawn(serve)) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn a_stand_in_answers_while_the_own_process_is_not_there() {
    let mesh = mesh();
    let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let running = Running::start(&["--mock", "--endpoint", &format!("cart.default:8000={address}")], mesh.path());
    assert!(running.log().contains(&format!("note: nobody listens on {address} yet, for cart.default:8000")));
    assert!(running.get("/cart/").contains("\"app\":\"cart\""));
    let process = Process::start(address, "mine");
    wait_for("the process", || running.get("/cart/") == "mine");
    // It is served first, and told then.
    let there = format!("{address} is there: it gets the requests of its workload");
    wait_for("the process to be told of", || running.log().contains(&there));
    drop(process);
    wait_for("the stand-in", || running.get("/cart/").contains("\"app\":\"cart\""));
    let gone = format!("{address} is gone: a stand-in answers in its place");
    wait_for("its end to be told of", || running.log().contains(&gone));
    running.stop();
}

/// What a client of the mesh gets through an outbound proxy.
fn through(proxy: &str, url: &str) -> String {
    let mut stream = TcpStream::connect(proxy).expect("the proxy accepts");
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("a host");
    write!(stream, "GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

#[test]
fn clients_in_the_mesh_have_sidecars_and_outside_hosts_stand_ins() {
    let mesh = mesh();
    write(
        &mesh,
        "outside.yaml",
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pay}
spec:
  hosts: [pay.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
",
    );
    write(
        &mesh,
        "malha.toml",
        "[[run.sidecars]]\nname = \"desk\"\nnamespace = \"office\"\nlabels = { app = \"desk\" }\n",
    );
    let running = Running::start(&["--mock"], mesh.path());
    let listeners = running.ready_again()["listeners"].clone();
    let sidecar = |name: &str| {
        let found = listeners.as_array().and_then(|all| all.iter().find(|one| one["name"] == name));
        found.and_then(|one| one["address"].as_str()).unwrap_or_else(|| panic!("{listeners}")).to_owned()
    };
    assert!(through(&sidecar("default"), "http://cart:8000/").contains("\"app\":\"cart\""));
    // From another namespace the short name means nothing, and nothing leaves the machine.
    assert!(!through(&sidecar("desk"), "http://cart:8000/").contains("\"app\""));
    assert!(through(&sidecar("desk"), "http://cart.default:8000/").contains("\"app\":\"cart\""));
    let answer = through(&sidecar("desk"), "http://pay.example.com/");
    assert!(answer.contains("\"workload\":\"pay.example.com\""), "{answer}");
    let counts: Value = serde_json::from_str(&get(&running.admin(), "/mock")).expect("JSON");
    assert_eq!(counts, serde_json::json!({"default/cart-v1": 2, "default/pay.example.com": 1}));
    running.stop();
}

#[test]
fn ports_of_this_machine_stand_for_addresses_of_the_mesh() {
    let mesh = mesh();
    write(
        &mesh,
        "malha.toml",
        "[[run.sidecars]]\nname = \"desk\"\nnamespace = \"office\"\nforward = [\"cart.default:8000\"]\n",
    );
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let forward = format!("cart:8000={free}");
    let running = Running::start(&["--mock", "--forward", &forward, "--forward", "nobody.shop:1"], mesh.path());
    let ready = running.ready_again();
    let forwards = ready["listeners"].as_array().expect("a list").iter().filter(|one| one["forward"] == true);
    let forwards: Vec<_> = forwards.map(|one| (&one["role"], &one["proxy"], &one["name"], &one["port"])).collect();
    let (role, default, desk) = (&"mesh".into(), &"default/default".into(), &"office/desk".into());
    assert_eq!(
        forwards,
        [
            (role, default, &"cart:8000".into(), &8000.into()),
            (role, default, &"nobody.shop:1".into(), &1.into()),
            (role, desk, &"cart.default:8000".into(), &8000.into()),
        ],
        "{ready}"
    );
    assert!(running.log().contains(&format!("sidecar default/default forwards {free} to cart:8000\n")));
    assert!(running.log().contains("note: the forward to nobody.shop:1"), "{}", running.log());
    for listener in ready["listeners"].as_array().expect("a list").iter().filter(|one| one["port"] == 8000) {
        let address = listener["address"].as_str().expect("an address");
        let answer = through(address, "http://cart.default/x");
        assert!(answer.contains("\"app\":\"cart\""), "{listener}: {answer}");
    }
    running.stop();
}

#[test]
fn the_access_log_is_written_as_the_mesh_or_the_command_line_says() {
    let mesh = mesh();
    write(&mesh, "malha.toml", "[mesh]\nconfig = \"mesh-config.txt\"\n");
    write(&mesh, "mesh-config.txt", "accessLogEncoding: JSON\n");
    for (arguments, line) in [
        (vec!["--mock"], "\"path\":\"/cart/1\",\"protocol\":\"HTTP/1.1\""),
        (vec!["--mock", "--access-log-format", "text"], "\"GET /cart/1 HTTP/1.1\" 404 - via_upstream"),
    ] {
        let running = Running::start(&arguments, mesh.path());
        running.get("/cart/1");
        wait_for(line, || running.log().contains(line));
        running.stop();
    }
}

#[test]
fn lines_of_the_access_log_are_as_the_mesh_says() {
    let mesh = mesh();
    write(&mesh, "malha.toml", "[mesh]\nconfig = \"mesh-config.yaml\"\n");
    for (config, line, note) in [
        (
            "accessLogFormat: 'asked %REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH):5% %HOSTNAME%'",
            "asked GET /cart -\n",
            "%HOSTNAME% cannot",
        ),
        (
            "accessLogEncoding: JSON\naccessLogFormat: '{\"code\": \"%RESPONSE_CODE%\", \"at\": \"%START_TIME(%Y)%\"}'",
            "\"code\":404}",
            "",
        ),
        (
            "accessLogFormat: '%NO_SUCH%'",
            "\"GET /cart/1 HTTP/1.1\" 404 - via_upstream",
            "accessLogFormat is not applied",
        ),
        ("accessLogEncoding: JSON\naccessLogFormat: '[1'", "\"path\":\"/cart/1\"", "accessLogFormat is not applied"),
    ] {
        write(&mesh, "mesh-config.yaml", &format!("{config}\n"));
        let running = Running::start(&["--mock"], mesh.path());
        running.get("/cart/1");
        wait_for(line, || running.log().contains(line));
        assert!(running.log().contains(note), "{}", running.log());
        running.stop();
    }
}

#[test]
fn what_stands_in_front_of_gateways_is_followed() {
    let mesh = mesh();
    write(&mesh, "malha.toml", "[mesh]\nconfig = \"mesh-config.yaml\"\n");
    let said = |topology: &str| {
        write(&mesh, "mesh-config.yaml", &format!("defaultConfig: {{gatewayTopology: {{{topology}}}}}\n"));
    };
    // The body of what answers; nothing where the connection is closed without a word.
    let ask = |running: &Running, header: &str| {
        let mut stream = TcpStream::connect(running.address(80)).expect("the listener accepts");
        let request = format!("{header}GET /cart/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("there is room");
        let mut answer = Vec::new();
        // Whoever closes with the request unread resets.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answers = |answer: &str| answer.starts_with("HTTP/1.1 404");
    said("numTrustedProxies: 1");
    let running = Running::start(&["--mock"], mesh.path());
    assert!(!running.log().contains("not applied"), "{}", running.log());
    assert!(answers(&ask(&running, "")));
    said("proxyProtocol: {}");
    wait_for("connections without a header are closed", || ask(&running, "").is_empty());
    assert!(answers(&ask(&running, "PROXY TCP4 203.0.113.7 10.0.0.1 4660 80\r\n")));
    said("numTrustedProxies: 2");
    wait_for("connections without a header are taken", || answers(&ask(&running, "")));
    running.stop();
}

#[test]
fn the_environment_may_name_a_collector_that_is_not_to_be_told() {
    let (mesh, note) = (mesh(), "note: nothing is traced: OTEL_EXPORTER_OTLP_ENDPOINT: `https://x`");
    let running = Running::start_in(&["--mock"], mesh.path(), "https://x");
    assert!(running.log().contains(note), "{}", running.log());
    let running = Running::start_in(&["--mock", "--otlp", ""], mesh.path(), "https://x");
    assert!(!running.log().contains("note: nothing is traced"), "{}", running.log());
}

#[test]
fn ports_are_mapped() {
    let mesh = mesh();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let running = Running::start(&["--mock", "--port", &format!("80={port}")], mesh.path());
    assert_eq!(running.address(80), format!("127.0.0.1:{port}"));
    running.stop();
}

#[test]
fn a_table_is_served_and_followed_like_a_mesh() {
    let mesh = mesh();
    let elsewhere = tree(&[]);
    let process = own_process("served");
    // Without --mock a table holds the addresses of the mesh; this one is on loopback.
    write(
        &mesh,
        "cart.yaml",
        &format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart}}
spec:
  hosts: [cart.default.svc.cluster.local]
  ports: [{{number: 8000, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints:
  - address: {}
    ports: {{http: {}}}
",
            process.ip(),
            process.port()
        ),
    );
    let table = elsewhere.path().join("mesh.table");
    let compile = || {
        let told = malha(mesh.path(), &["compile", ".", "-o", table.to_str().expect("UTF-8")]);
        assert_eq!(told.status, 0, "{}", told.err);
    };
    compile();
    let running = Running::start(&[], &table);
    assert_eq!(running.get("/cart/"), "served");
    write(&mesh, "routes.yaml", &routes(&mesh).replace("/cart/", "/basket/"));
    compile();
    wait_for("the new table", || running.get("/basket/") == "served");
    fs::write(&table, b"MALHATBL, but broken").expect("it is written");
    wait_for("the failure to be told", || running.log().contains("not reloaded: the last good table stays"));
    assert_eq!(running.get("/basket/"), "served");
    running.stop();
}

#[test]
fn stand_ins_end_the_tls_that_a_policy_originates() {
    let mesh = mesh();
    let running = Running::start(&["--mock"], mesh.path());
    assert!(running.get("/cart/1").contains("\"path\":\"/1\""), "{}", running.log());
    let nowhere = "clientCertificate: /nowhere/own.pem, privateKey: /nowhere/own.key, caCertificates: /nowhere/ca.pem";
    let mutual = format!("mode: MUTUAL, {nowhere}");
    for tls in ["mode: SIMPLE", &mutual, "mode: MUTUAL, credentialName: nowhere"] {
        let rule = format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: cart\nspec:\n  host: cart\n  \
             trafficPolicy:\n    tls: {{{tls}}}\n"
        );
        let program = || {
            let table: Value = serde_json::from_str(&get(&running.admin(), "/table")).expect("JSON");
            table["program"].clone()
        };
        let before = program();
        assert!(!before.is_null());
        write(&mesh, "tls.yaml", &rule);
        wait_for("the policy", || program() != before);
        assert!(running.get("/cart/1").contains("\"path\":\"/1\""), "{tls}: {}", running.log());
    }
}
