//! TLS to endpoints (semantics D.8). They stand behind a second proxy, where TLS ends.

use crate::common::{
    Running,
    client::{Answer, get},
    echo::Echo,
    lines::Lines,
    mesh, options, start,
    tls::{Authority, Certified},
};
use malha_mesh::{MeshConfig, ProxySpec};
use malha_proxy::{Credential, Credentials, Options, Revision};
use malha_table::Role;
use std::{net::SocketAddr, sync::Arc};

/// A gateway that ends TLS for any name with this certificate; in `MUTUAL` its clients are known by `authority`.
fn behind(own: &Certified, mode: &str, authority: &Authority, echo: &Echo) -> Running {
    let tls = match mode {
        "ISTIO_MUTUAL" => "mode: ISTIO_MUTUAL".to_owned(),
        _ => format!("mode: {mode}, credentialName: own"),
    };
    let text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
  - port: {{number: 443, name: https, protocol: HTTPS}}
    hosts: ['*']
    tls: {{{tls}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: all, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  http:
  - route: [{{destination: {{host: a}}}}]
",
        mesh::SERVICES
    );
    let table = mesh::compile(&text, &[echo.address], &[]);
    let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
    let mut credentials = Credentials::default();
    let authorities = Some(Arc::from(authority.pem().into_bytes()));
    let own = Credential { authorities, ..own.credential() };
    credentials.identify(own.clone());
    credentials.insert(&namespace, "own", own);
    start(Revision { table, credentials }, options())
}

struct Asking<'a> {
    upstream: SocketAddr,
    trusts: &'a Authority,
    shows: Option<&'a Certified>,
    /// By the mesh's own authority.
    is_called: Option<&'a Credential>,
    port: &'a str,
}

impl Asking<'_> {
    /// What a client of a gateway gets whose `tls` to `a` is this.
    fn get(&self, host: &str, tls: &str) -> Answer {
        let rule = format!(
            "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: default}}
spec: {{host: a, trafficPolicy: {{tls: {{{tls}}}}}}}
"
        );
        let rules = "  - route: [{destination: {host: a}}]\n    retries: {attempts: 0}\n";
        let text = mesh::gateway_text(rules).replace("name: http, port: 80}", self.port) + &rule;
        let table = mesh::compile(&text, &[self.upstream], &[]);
        let mut credentials = Credentials::default();
        if let Some(identity) = self.is_called {
            credentials.identify(identity.clone());
        }
        credentials.insert_file("/ca.pem", Arc::from(self.trusts.pem().into_bytes()));
        if let Some(own) = self.shows {
            credentials.insert_file("/own.pem", Arc::from(own.pem().into_bytes()));
            credentials.insert_file("/own.key", Arc::from(own.key_pem().into_bytes()));
        }
        let proxy = start(Revision { table, credentials }, options());
        get(proxy.gateway(80), host, "/", "")
    }

    fn status(&self, host: &str, tls: &str) -> u16 {
        self.get(host, tls).status
    }
}

const HTTP: &str = "name: http, port: 80}";

#[test]
fn endpoints_are_verified_as_the_policy_says() {
    let (echo, authority, other) = (Echo::start("a"), Authority::new(), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let behind = behind(&own, "SIMPLE", &authority, &echo);
    let asking = Asking { upstream: behind.gateway(443), trusts: &authority, shows: None, is_called: None, port: HTTP };
    let stranger = Asking { trusts: &other, ..asking };
    let ours = "mode: SIMPLE, caCertificates: /ca.pem";
    assert_eq!(asking.status("shop.com", ours), 200, "D53: the host is the name");
    assert_eq!(asking.status("shop.com:80", ours), 200, "D53: without its port");
    assert_eq!(asking.status("other.com", ours), 503, "D53: the host is checked");
    assert_eq!(asking.status("other.com", &format!("{ours}, sni: other.com")), 200, "D53: a name given is not");
    assert_eq!(asking.status("x", &format!("{ours}, subjectAltNames: [shop.com, z.com]")), 200, "D54");
    assert_eq!(asking.status("shop.com", &format!("{ours}, subjectAltNames: [z.com]")), 503, "D54");
    let refused = stranger.get("shop.com", ours);
    assert_eq!(refused.status, 503, "D57");
    assert!(refused.text().contains("remote connection failure"), "D57: {}", refused.text());
    assert_eq!(asking.status("shop.com", "mode: SIMPLE"), 503, "D52: the system's authorities know nothing of ours");
    assert_eq!(stranger.status("shop.com", "mode: SIMPLE, insecureSkipVerify: true"), 200, "D52");
    assert_eq!(asking.status("shop.com", "mode: SIMPLE, caCertificates: /none.pem"), 503);
    assert_eq!(asking.status("shop.com", "mode: DISABLE"), 503, "D51: TLS is not what it is spoken to in");
}

#[test]
fn the_cipher_suites_of_the_mesh_are_spoken() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let narrow = "SIMPLE, maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-ECDSA-AES128-GCM-SHA256]";
    let behind = behind(&own, narrow, &authority, &echo);
    let text = mesh::gateway_text("  - route: [{destination: {host: a}}]\n    retries: {attempts: 0}\n")
        + &mesh::policy_of_a("tls: {mode: SIMPLE, caCertificates: /ca.pem}");
    let status = |suite: &str| {
        let config = serde_json::json!({"tlsDefaults": {"cipherSuites": [suite]}});
        let place = |_: &mut malha_mesh::program::Cluster| Some(vec![behind.gateway(443)]);
        let table = mesh::compile_with(&text, &[], MeshConfig::from_json(&config), place);
        let mut credentials = Credentials::default();
        credentials.insert_file("/ca.pem", Arc::from(authority.pem().into_bytes()));
        let proxy = start(Revision { table, credentials }, options());
        get(proxy.gateway(80), "shop.com", "/", "").status
    };
    assert_eq!(status("ECDHE-ECDSA-AES128-GCM-SHA256"), 200, "D55");
    assert_eq!(status("ECDHE-ECDSA-AES256-GCM-SHA384"), 503, "D55");
}

#[test]
fn mutual_tls_shows_the_clients_certificate() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let (own, client) = (authority.issue(&["shop.com"]), authority.issue(&["gateway.local"]));
    let behind = behind(&own, "MUTUAL", &authority, &echo);
    let asking =
        Asking { upstream: behind.gateway(443), trusts: &authority, shows: Some(&client), is_called: None, port: HTTP };
    let mutual = "mode: MUTUAL, caCertificates: /ca.pem, clientCertificate: /own.pem, privateKey: /own.key";
    let answer = asking.get("shop.com", mutual);
    assert_eq!(answer.status, 200, "D58");
    let told = answer.json()["headers"]["x-forwarded-client-cert"].to_string();
    assert!(told.contains("DNS=gateway.local"), "A64: {told}");
    assert_eq!(asking.status("shop.com", "mode: SIMPLE, caCertificates: /ca.pem"), 503, "D58: it must be shown");
    let nobody = Asking { shows: None, ..asking };
    assert_eq!(nobody.status("shop.com", mutual), 503, "what is missing is not left out");
}

#[test]
fn http2_is_agreed_on_in_the_hello() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let behind = behind(&own, "SIMPLE", &authority, &echo);
    let port = "name: grpc, port: 80}";
    let asking = Asking { upstream: behind.gateway(443), trusts: &authority, shows: None, is_called: None, port };
    assert_eq!(asking.status("shop.com", "mode: SIMPLE, caCertificates: /ca.pem"), 200, "D55");
}

#[test]
fn the_meshs_own_tls_is_spoken_by_who_has_its_certificate() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let identity = |name: &str| {
        let authorities = Some(Arc::from(authority.pem().into_bytes()));
        Credential { authorities, ..authority.issue(&[name]).credential() }
    };
    let own = authority.issue(&["orders.local"]);
    let behind = behind(&own, "ISTIO_MUTUAL", &authority, &echo);
    let (client, port) = (identity("gateway.local"), HTTP);
    let member =
        Asking { upstream: behind.gateway(443), trusts: &authority, shows: None, is_called: Some(&client), port };
    let answer = member.get("shop.com", "mode: ISTIO_MUTUAL");
    assert_eq!(answer.status, 200, "whatever the host: the certificate says who the workload is");
    let told = answer.json()["headers"]["x-forwarded-client-cert"].to_string();
    assert!(told.contains("DNS=gateway.local"), "{told}");
    assert_eq!(member.status("x", "mode: ISTIO_MUTUAL, subjectAltNames: [orders.local]"), 200, "D54");
    assert_eq!(member.status("x", "mode: ISTIO_MUTUAL, subjectAltNames: [other.local]"), 503, "D54");
    let plain = Asking { upstream: echo.address, is_called: None, ..member };
    assert_eq!(plain.status("x", "mode: ISTIO_MUTUAL"), 200, "without one, as its sidecar would pass it on");
}

/// A sidecar whose mesh is a ServiceEntry for shop.com, on port 80 for clients and on this one of its endpoint, and a rule
/// for TLS to it.
fn sidecar(endpoint: SocketAddr, authority: &Authority, options: Options) -> Running {
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop, namespace: default}}
spec:
  hosts: [shop.com]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {}}}]
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop, namespace: default}}
spec:
  host: shop.com
  trafficPolicy:
    portLevelSettings: [{{port: {{number: 80}}, tls: {{mode: SIMPLE, caCertificates: /ca.pem}}}}]
",
        endpoint.port()
    );
    let table = mesh::compile_with(&text, &[ProxySpec::default_sidecar()], MeshConfig::default(), |_| None);
    let mut credentials = Credentials::default();
    credentials.insert_file("/ca.pem", Arc::from(authority.pem().into_bytes()));
    start(Revision { table, credentials }, options)
}

#[test]
fn a_sidecar_speaks_tls_for_clients_that_do_not() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let behind = behind(&authority.issue(&["shop.com"]), "SIMPLE", &authority, &echo);
    let sidecar = sidecar(behind.gateway(443), &authority, options());
    let answer = get(sidecar.outbound(), "shop.com", "/", "");
    assert_eq!((answer.status, &answer.json()["name"]), (200, &"a".into()), "D59");
}

#[test]
fn the_log_says_why_an_endpoint_was_not_trusted() {
    let (echo, authority, other) = (Echo::start("a"), Authority::new(), Authority::new());
    let behind = behind(&authority.issue(&["shop.com"]), "SIMPLE", &authority, &echo);
    let lines = Lines::default();
    let sidecar = sidecar(behind.gateway(443), &other, lines.options());
    assert_eq!(get(sidecar.outbound(), "shop.com", "/", "").status, 503, "D57");
    let line = lines.wait(1).remove(0);
    assert!(
        line.contains("\" 503 URX,UF ") && line.contains(" \"TLS_error: CERTIFICATE_VERIFY_FAILED: "),
        "D57: {line}"
    );
}
