//! Traffic that leaves the mesh by an egress gateway, all in one process.

#[path = "support/command.rs"]
mod command;
#[path = "support/running.rs"]
mod running;

use command::{Told, malha_in, tree, write};
use running::{Running, get, wait_for};
use tempfile::TempDir;

/// What leaves, where to, and the Gateway's selector.
const EXTERNAL: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 443, name: tls, protocol: TLS}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress, namespace: shop}
spec:
  selector: {istio: egress}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [api.example.com]
  - port: {number: 443, name: tls, protocol: TLS}
    tls: {mode: PASSTHROUGH}
    hosts: [api.example.com]
---
apiVersion: v1
kind: Service
metadata: {name: egress, namespace: istio-system}
spec:
  selector: {app: egress, istio: egress}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: tls, port: 443, targetPort: 8443}
";

const WORKLOAD: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: egress-gateway, namespace: istio-system}
spec:
  selector:
    matchLabels: {app: egress, istio: egress}
  template:
    metadata:
      labels: {app: egress, istio: egress}
    spec:
      containers:
      - name: istio-proxy
";

/// Both legs of both protocols.
const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  gateways: [mesh, egress]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route:
    - destination: {host: egress.istio-system.svc.cluster.local, port: {number: 80}}
  - match: [{gateways: [egress], port: 80}]
    route:
    - destination: {host: api.example.com, port: {number: 80}}
      headers: {request: {set: {left-by: egress}}}
  tls:
  - match: [{gateways: [mesh], port: 443, sniHosts: [api.example.com]}]
    route:
    - destination: {host: egress.istio-system.svc.cluster.local, port: {number: 443}}
  - match: [{gateways: [egress], port: 443, sniHosts: [api.example.com]}]
    route:
    - destination: {host: api.example.com, port: {number: 443}}
";

fn run(mesh: &TempDir, command: &[&str]) -> Told {
    let home = TempDir::new().expect("a place for the local authority");
    let arguments = [&["run", "--mock", "--ephemeral", "--as", "shop/app=web", "."], &["--"][..], command].concat();
    let told = malha_in(mesh.path(), &arguments, &[("XDG_DATA_HOME", home.path().as_os_str())]);
    assert_eq!(told.status, 0, "{}{}", told.out, told.err);
    told
}

fn call(mesh: &TempDir, url: &str) -> (serde_json::Value, String) {
    let told = run(mesh, &["curl", "-sS", url]);
    let answer = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{} {}", told.out, told.err));
    (answer, told.err)
}

/// The lines of the access log, each with the cluster that its request or connection went to.
fn clusters(log: &str) -> Vec<&str> {
    let words = log.lines().flat_map(|line| line.split_ascii_whitespace());
    words.filter(|word| word.starts_with("outbound|")).collect()
}

const TO_GATEWAY: &str = "outbound|80||egress.istio-system.svc.cluster.local";
const OUT: &str = "outbound|80||api.example.com";

#[test]
fn requests_leave_by_the_gateway_wherever_it_listens() {
    // As a workload of the files, whose Service leads to other ports; as one that the files do not have, where only the
    // Gateway's selector is known of it; and as one whose ports are its Service's.
    let same_ports = EXTERNAL.replace(", targetPort: 8080", "").replace(", targetPort: 8443", "");
    for files in [
        &[("mesh.yaml", EXTERNAL), ("routes.yaml", ROUTES), ("egress.yaml", WORKLOAD)][..],
        &[("mesh.yaml", EXTERNAL), ("routes.yaml", ROUTES)],
        &[("mesh.yaml", &same_ports), ("routes.yaml", ROUTES), ("egress.yaml", WORKLOAD)],
    ] {
        let mesh = tree(files);
        let (answer, log) = call(&mesh, "http://api.example.com/");
        assert_eq!(answer["app"], "api.example.com", "{log}");
        assert_eq!(answer["headers"]["left-by"], "egress", "{log}");
        let mut seen = clusters(&log);
        seen.sort_unstable();
        assert_eq!(seen, [OUT, TO_GATEWAY], "{log}");
    }
}

#[test]
fn tls_leaves_by_the_gateway_as_it_came() {
    let mesh = tree(&[("mesh.yaml", EXTERNAL), ("routes.yaml", ROUTES), ("egress.yaml", WORKLOAD)]);
    let (answer, log) = call(&mesh, "https://api.example.com/");
    assert_eq!(answer["app"], "api.example.com", "{log}");
    assert_eq!(answer["headers"].get("left-by"), None, "nobody on the way has seen it: {answer}");
    let mut seen = clusters(&log);
    seen.sort_unstable();
    assert_eq!(seen, ["outbound|443||api.example.com", "outbound|443||egress.istio-system.svc.cluster.local"], "{log}");
}

/// TLS that begins at the gateway, whose DestinationRule speaks for the second leg.
#[test]
fn the_gateway_originates_tls() {
    let rule = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: shop}
spec:
  host: api.example.com
  trafficPolicy:
    portLevelSettings:
    - port: {number: 443}
      tls: {mode: SIMPLE, sni: api.example.com}
";
    let external = EXTERNAL.replace("name: tls, protocol: TLS}\n---", "name: https, protocol: HTTPS}\n---");
    let routes =
        ROUTES.replace("host: api.example.com, port: {number: 80}", "host: api.example.com, port: {number: 443}");
    let routes = routes.split("  tls:").next().expect("the first part");
    let mesh =
        tree(&[("mesh.yaml", &external), ("routes.yaml", routes), ("rule.yaml", rule), ("egress.yaml", WORKLOAD)]);
    let (answer, log) = call(&mesh, "http://api.example.com/");
    assert_eq!((&answer["app"], &answer["headers"]["left-by"]), (&"api.example.com".into(), &"egress".into()), "{log}");
    let mut seen = clusters(&log);
    seen.sort_unstable();
    assert_eq!(seen, ["outbound|443||api.example.com", TO_GATEWAY], "D51: {log}");
    // The stand-in ends TLS, and by the gateway alone it is spoken to so.
    assert!(answer["headers"]["x-forwarded-proto"] == "http", "{answer}");
    let without = rule
        .replace("SIMPLE, sni: api.example.com", "SIMPLE, sni: other.example.com, subjectAltNames: [api.example.com]");
    let mesh =
        tree(&[("mesh.yaml", &external), ("routes.yaml", routes), ("rule.yaml", &without), ("egress.yaml", WORKLOAD)]);
    let status = run(&mesh, &["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://api.example.com/"]);
    assert_eq!(status.out, "503", "D54, D57: the stand-in's certificate is for the other name: {}", status.err);
}

/// The mesh's own TLS between the two, with nobody's certificates: the example of Istio's documentation.
#[test]
fn the_mesh_speaks_its_own_tls_to_the_gateway() {
    let external = EXTERNAL.replace(
        "  - port: {number: 443, name: tls, protocol: TLS}\n    tls: {mode: PASSTHROUGH}\n",
        "  - port: {number: 443, name: https, protocol: HTTPS}\n    tls: {mode: ISTIO_MUTUAL}\n",
    );
    let workload = WORKLOAD.replace("      containers:", "      serviceAccountName: egress-account\n      containers:");
    let rule = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: egress, namespace: shop}
spec:
  host: egress.istio-system.svc.cluster.local
  subsets:
  - name: api
    trafficPolicy:
      portLevelSettings:
      - port: {number: 443}
        tls: {mode: ISTIO_MUTUAL, sni: api.example.com, subjectAltNames: ['spiffe://cluster.local/ns/istio-system/sa/egress-account']}
";
    let routes = ROUTES.split("  tls:").next().expect("the first part");
    let routes = routes.replace(
        "port: {number: 80}}\n  - match: [{gateways: [egress], port: 80}]",
        "subset: api, port: {number: 443}}\n  - match: [{gateways: [egress], port: 443}]",
    );
    let files = |rule: &str| {
        tree(&[("mesh.yaml", &external), ("routes.yaml", &routes), ("rule.yaml", rule), ("egress.yaml", &workload)])
    };
    let (answer, log) = call(&files(rule), "http://api.example.com/");
    assert_eq!((&answer["app"], &answer["headers"]["left-by"]), (&"api.example.com".into(), &"egress".into()), "{log}");
    let client = answer["headers"]["x-forwarded-client-cert"].as_str().unwrap_or_default();
    assert!(client.contains("URI=spiffe://cluster.local/ns/shop/sa/default"), "A64: {answer}");
    assert!(log.contains("speak the mesh's own TLS (ISTIO_MUTUAL) to each other"), "{log}");
    let mut seen = clusters(&log);
    seen.sort_unstable();
    assert_eq!(seen, ["outbound|443|api|egress.istio-system.svc.cluster.local", OUT], "{log}");
    // Another gateway would not be taken for it, and no client comes in without a certificate.
    for wrong in [
        rule.replace("egress-account", "other-account"),
        rule.replace("ISTIO_MUTUAL", "DISABLE").replace(
            ", sni: api.example.com, subjectAltNames: ['spiffe://cluster.local/ns/istio-system/sa/egress-account']",
            "",
        ),
    ] {
        let url = "http://api.example.com/";
        let told = run(&files(&wrong), &["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url]);
        assert_eq!(told.out, "503", "{}", told.err);
    }
}

/// TLS that begins at the sidecar: the program says HTTP, and the port's target is spoken to by TLS.
#[test]
fn the_sidecar_originates_tls() {
    let mesh = tree(&[(
        "mesh.yaml",
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 443}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: shop}
spec:
  host: api.example.com
  trafficPolicy:
    portLevelSettings:
    - port: {number: 80}
      tls: {mode: SIMPLE, sni: other.example.com, subjectAltNames: [other.example.com]}
",
    )]);
    let (answer, log) = call(&mesh, "http://api.example.com/");
    assert_eq!(answer["app"], "api.example.com", "D59: {log}");
    // A certificate for the wrong name tells that there was one.
    let wrong = std::fs::read_to_string(mesh.path().join("mesh.yaml")).expect("it is there");
    let mesh = tree(&[("mesh.yaml", &wrong.replace("Names: [other", "Names: [third"))]);
    let status = run(&mesh, &["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://api.example.com/"]);
    assert_eq!(status.out, "503", "D54: {}", status.err);
}

/// A Service that is hidden from the caller is no service to its sidecar, and yet it is reached.
#[test]
fn hidden_services_are_reached_as_unknown_hosts() {
    let hidden = "apiVersion: v1
kind: Service
metadata:
  name: credit
  namespace: financial
  annotations: {networking.istio.io/exportTo: .}
spec:
  selector: {app: credit}
  ports:
  - {name: http, port: 8000}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: credit-v1, namespace: financial}
spec:
  selector:
    matchLabels: {app: credit}
  template:
    metadata:
      labels: {app: credit}
    spec:
      containers:
      - name: credit
";
    let mesh = tree(&[("mesh.yaml", hidden)]);
    for url in ["http://credit.financial:8000/", "http://credit.financial.svc.cluster.local:8000/"] {
        let (answer, log) = call(&mesh, url);
        assert_eq!(answer["workload"], "credit-v1", "{log}");
        assert!(log.contains(" PassthroughCluster "), "B39, E21: {log}");
        let told = run(&mesh, &["curl", "-s", "-p", url]);
        assert!(
            told.out.contains("\"workload\":\"credit-v1\"") && told.err.contains(" PassthroughCluster "),
            "{}",
            told.err
        );
    }
    let status = run(&mesh, &["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://credit.financial:8001/"]);
    assert_eq!(status.out, "502", "another port leads nowhere: {}", status.err);
}

/// The gateway's listener moves, and connections to it follow.
#[test]
fn a_gateway_that_listens_elsewhere_is_followed() {
    let mesh = tree(&[("mesh.yaml", EXTERNAL), ("routes.yaml", ROUTES), ("egress.yaml", WORKLOAD)]);
    let running = Running::start(&["--mock"], mesh.path());
    let ask = || get(&running.sidecar(), "http://api.example.com/");
    assert!(ask().contains("\"app\":\"api.example.com\""), "{}", running.log());
    write(&mesh, "mesh.yaml", &EXTERNAL.replace("targetPort: 8080", "targetPort: 8090"));
    let is_open = |port: u64| {
        let ready = running.ready_again();
        ready["listeners"].as_array().is_some_and(|all| all.iter().any(|one| one["port"] == port))
    };
    wait_for("the other listener", || is_open(8090) && !is_open(8080));
    assert!(ask().contains("\"app\":\"api.example.com\""), "{}", running.log());
    running.stop();
}

#[test]
fn a_gateway_refuses_what_it_does_not_listen_for() {
    let external = EXTERNAL
        .replace("  - {name: tls, port", "  - {name: http-more, port: 81, targetPort: 8081}\n  - {name: tls, port");
    let mesh = tree(&[("mesh.yaml", &external), ("egress.yaml", WORKLOAD)]);
    let url = "http://egress.istio-system:81/";
    let told = run(&mesh, &["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url]);
    assert_eq!(told.out, "503", "{}", told.err);
    assert!(
        told.err.contains("503 URX,UF ") && told.err.contains("Connection refused"),
        "no connection, as at a Pod: {}",
        told.err
    );
}
