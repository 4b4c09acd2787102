//! A repository of many teams behind one gateway, in which everything is right.

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write as _};

/// How many services a team has that speak HTTP.
const APPS: usize = 11;

/// The first port of the gateway for TCP: each team has one.
const FIRST_TCP: usize = 20_000;

/// The files of so many teams, by path.
pub(super) fn repository(teams: usize) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    files.insert("platform/gateway.yaml".to_owned(), platform(teams));
    let key = KeyPair::generate().expect("a key");
    for team in 0..teams {
        let name = format!("team-{team:03}");
        let of_team =
            |template: &str| template.replace("TEAM", &name).replace("TCP_PORT", &(FIRST_TCP + team).to_string());
        let mut add = |file: &str, text: String| files.insert(format!("teams/{name}/{file}"), text);
        add("gateway.yaml", of_team(GATEWAY));
        add("tls.json", secret(&name, &key));
        for app in 0..APPS {
            let template = [APP, FOR_MESH[app % FOR_MESH.len()], FOR_GATEWAY[app % FOR_GATEWAY.len()]].concat();
            add(&format!("app-{app}.yaml"), of_team(&template).replace("APP", &format!("app-{app}")));
        }
        for (file, template) in [
            ("ledger.yaml", LEDGER),
            ("vault.yaml", VAULT),
            ("portal.yaml", PORTAL),
            ("legacy.yaml", LEGACY),
            ("outside.yaml", OUTSIDE),
        ] {
            add(file, of_team(template));
        }
    }
    files
}

/// The gateway, and a host of which each team has a part.
fn platform(teams: usize) -> String {
    let mut ports = String::new();
    let mut rules = String::new();
    for team in 0..teams {
        let _ = writeln!(ports, "  - {{name: tcp-{team}, port: {}}}", FIRST_TCP + team);
        let _ = write!(
            rules,
            "  - name: team-{team:03}\n    match:\n    - uri: {{prefix: /team-{team:03}/}}\n    delegate: {{name: portal, \
             namespace: team-{team:03}}}\n"
        );
    }
    PLATFORM.replace("  - PORTS\n", &ports).replace("  - PARTS\n", &rules)
}

/// The certificate of a team as a Secret in JSON.
fn secret(team: &str, key: &KeyPair) -> String {
    let hosts = vec![format!("*.{team}.example.com"), format!("{team}.example.com")];
    let certificate = CertificateParams::new(hosts).expect("names").self_signed(key).expect("a certificate");
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": format!("{team}-tls"), "namespace": "edge"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()},
    });
    format!("{secret:#}\n")
}

const PLATFORM: &str = "# What all teams share.
apiVersion: v1
kind: Namespace
metadata:
  name: edge
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ingressgateway, namespace: edge}
spec:
  replicas: 3
  selector:
    matchLabels: {istio: ingressgateway}
  template:
    metadata:
      labels: {istio: ingressgateway}
    spec:
      containers:
      - {name: istio-proxy, image: auto}
---
apiVersion: v1
kind: Service
metadata: {name: ingressgateway, namespace: edge}
spec:
  type: LoadBalancer
  selector: {istio: ingressgateway}
  ports:
  - {name: http2, port: 80, targetPort: 8080}
  - {name: https, port: 443, targetPort: 8443}
  - {name: tls, port: 15443}
  - PORTS
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec:
  mtls: {mode: STRICT}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: portal, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [portal.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: portal, namespace: edge}
spec:
  hosts: [portal.example.com]
  gateways: [portal]
  http:
  - PARTS
  - name: nobody
    directResponse:
      status: 404
      body: {string: no such team}
";

const GATEWAY: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: TEAM
  labels: {istio-injection: enabled}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: TEAM
  namespace: TEAM
spec:
  selector:
    istio: ingressgateway
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [\"*.TEAM.example.com\"]
    tls:
      httpsRedirect: true
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts:
    - \"*.TEAM.example.com\"
    tls:
      mode: SIMPLE
      credentialName: TEAM-tls
      minProtocolVersion: TLSV1_2
  - port: {number: 15443, name: tls, protocol: TLS}
    hosts: [vault.TEAM.example.com]
    tls: {mode: PASSTHROUGH}
  - port: {number: TCP_PORT, name: tcp-ledger, protocol: TCP}
    hosts: [\"*\"]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: TEAM}
spec:
  egress:
  - hosts: [./*, edge/*]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: TEAM}
data:
  routes: |
    hosts: [nobody reads this]
";

/// A service in two versions.
const APP: &str = "apiVersion: v1
kind: Service
metadata:
  name: APP
  namespace: TEAM
  labels: &labels
    app: APP
spec:
  selector: *labels
  ports:
  - name: http
    port: 8080
    targetPort: web
  - {name: grpc-admin, port: 9090}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: APP, namespace: TEAM}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: APP-v1, namespace: TEAM}
spec:
  replicas: 2
  selector:
    matchLabels: {app: APP, version: v1}
  template:
    metadata:
      labels: {app: APP, version: v1}
    spec:
      serviceAccountName: APP
      containers:
      - name: APP
        image: registry.example.com/APP:1
        ports:
        - {name: web, containerPort: 8000}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: APP-v2, namespace: TEAM}
spec:
  selector:
    matchLabels: {app: APP, version: v2}
  template:
    metadata:
      labels: {app: APP, version: v2}
    spec:
      serviceAccountName: APP
      containers:
      - name: APP
        image: registry.example.com/APP:2
        ports:
        - {name: web, containerPort: 8000}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: APP, namespace: TEAM}
spec:
  host: APP
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 100, connectTimeout: 2s}
      http: {http2MaxRequests: 500, maxRequestsPerConnection: 10}
    outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}
    tls: {mode: ISTIO_MUTUAL}
  subsets:
  - name: v1
    labels: {version: v1}
  - name: v2
    labels: {version: v2}
    trafficPolicy:
      loadBalancer: {simple: LEAST_REQUEST}
";

/// What calls from within the mesh meet.
const FOR_MESH: [&str; 4] = [
    "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: APP, namespace: TEAM}
spec:
  hosts: [APP]
  http:
  - name: testers
    match:
    - headers:
        x-tester: {exact: \"true\"}
      sourceLabels: {app: app-1}
    route:
    - destination: {host: APP, subset: v2}
  - name: everybody
    route:
    - destination: {host: APP, subset: v1}
      weight: 90
    - destination: {host: APP, subset: v2}
      weight: 10
    timeout: 10s
    retries: {attempts: 2, perTryTimeout: 3s, retryOn: 'connect-failure,refused-stream'}
",
    "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: APP, namespace: TEAM}
spec:
  hosts:
  - APP.TEAM.svc.cluster.local
  http:
  - match:
    - uri: {exact: /health}
      port: 8080
    - uri: {prefix: /metrics/}
    directResponse: {status: 403}
  - match:
    - uri: {regex: '/v[0-9]+/items/[0-9]+'}
      method: {regex: GET|HEAD}
    - queryParams:
        channel: {exact: beta}
      withoutHeaders:
        x-opt-out: {}
    route:
    - destination: {host: APP.TEAM.svc.cluster.local, subset: v2, port: {number: 8080}}
      headers:
        response:
          set: {x-served-by: v2}
  - route:
    - destination: {host: APP.TEAM.svc.cluster.local, subset: v1, port: {number: 8080}}
",
    "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: APP, namespace: TEAM}
spec:
  hosts: [APP]
  http:
  - match:
    - port: 9090
    route:
    - destination: {host: APP, subset: v1, port: {number: 9090}}
    timeout: 30s
  - match:
    - uri: {prefix: /old/}
    rewrite: {uri: /}
    route:
    - destination: {host: APP, subset: v1, port: {number: 8080}}
  - route:
    - destination: {host: APP, subset: v2, port: {number: 8080}}
    mirror: {host: APP, subset: v1, port: {number: 8080}}
    mirrorPercentage: {value: 1.5}
",
    // Calls go by the Service alone.
    "",
];

/// What clients outside meet.
const FOR_GATEWAY: [&str; 3] = [
    "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: APP-public, namespace: TEAM}
spec:
  hosts: [APP.TEAM.example.com]
  gateways: [TEAM]
  http:
  - match:
    - uri: {prefix: /api/}
    - uri: {exact: /api}
    corsPolicy:
      allowOrigins:
      - exact: https://www.TEAM.example.com
      allowMethods: [GET, POST]
      maxAge: 1h
    route:
    - destination: {host: APP, subset: v1, port: {number: 8080}}
  - redirect: {uri: /api/}
",
    "---
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: APP-public, namespace: TEAM}
spec:
  hosts:
  - APP.TEAM.example.com
  gateways:
  - TEAM/TEAM
  http:
  - match:
    - uri: {prefix: /}
      headers:
        cookie: {regex: '.*\\bversion=2\\b.*'}
    route:
    - destination:
        host: APP.TEAM.svc.cluster.local
        subset: v2
        port: {number: 8080}
    headers:
      request:
        add: {x-version: '2'}
        remove: [x-internal]
  - route:
    - destination:
        host: APP.TEAM.svc.cluster.local
        subset: v1
        port: {number: 8080}
",
    // One object for both.
    "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: APP-both, namespace: TEAM}
spec:
  hosts: [APP.TEAM.example.com, APP.other.TEAM.example.com]
  gateways: [TEAM]
  http:
  - match:
    - uri: {prefix: /a/}
      gateways: [TEAM]
    - uri: {prefix: /b/}
      ignoreUriCase: true
    route:
    - destination: {host: APP, subset: v2, port: {number: 8080}}
  - route:
    - destination: {host: APP, subset: v1, port: {number: 8080}}
",
];

/// A service that speaks TCP, from inside and outside.
const LEDGER: &str = "apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: TEAM}
spec:
  clusterIP: None
  selector: {app: ledger}
  ports:
  - {name: tcp-ledger, port: 5432}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ledger, namespace: TEAM}
spec:
  replicas: 3
  serviceName: ledger
  selector:
    matchLabels: {app: ledger}
  template:
    metadata:
      labels: {app: ledger, role: primary}
    spec:
      containers:
      - name: ledger
        ports:
        - {name: tcp-ledger, containerPort: 5432}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ledger, namespace: TEAM}
spec:
  host: ledger.TEAM.svc.cluster.local
  subsets:
  - name: primary
    labels: {role: primary}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ledger, namespace: TEAM}
spec:
  hosts: [ledger]
  tcp:
  - match:
    - port: 5432
    route:
    - destination: {host: ledger, subset: primary, port: {number: 5432}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ledger-public, namespace: TEAM}
spec:
  hosts: ['*']
  gateways: [TEAM]
  tcp:
  - match:
    - port: TCP_PORT
    route:
    - destination: {host: ledger, subset: primary, port: {number: 5432}}
";

/// A service that speaks TLS by itself.
const VAULT: &str = "apiVersion: v1
kind: Service
metadata: {name: vault, namespace: TEAM}
spec:
  selector: {app: vault}
  ports:
  - {name: tls, port: 8443}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: vault, namespace: TEAM}
spec:
  selector:
    matchLabels: {app: vault}
  template:
    metadata:
      labels: {app: vault}
    spec:
      containers:
      - {name: vault}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vault, namespace: TEAM}
spec:
  hosts: [vault.TEAM.example.com]
  gateways: [TEAM]
  tls:
  - match:
    - port: 15443
      sniHosts: [vault.TEAM.example.com]
    route:
    - destination: {host: vault, port: {number: 8443}}
";

/// The team's part of a host that all share.
const PORTAL: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: portal, namespace: TEAM}
spec:
  http:
  - match:
    - uri: {prefix: /TEAM/beta/}
      headers:
        x-beta: {exact: 'on'}
    route:
    - destination: {host: app-0.TEAM.svc.cluster.local, subset: v2, port: {number: 8080}}
  - route:
    - destination: {host: app-0.TEAM.svc.cluster.local, subset: v1, port: {number: 8080}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: home, namespace: TEAM}
spec:
  hosts: [home.TEAM.example.com]
  gateways: [TEAM]
  http:
  - match:
    - uri: {prefix: /one/}
    delegate: {name: portal-one}
  - match:
    - uri: {prefix: /two/}
    delegate: {name: portal-two, namespace: TEAM}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: portal-one, namespace: TEAM}
spec:
  http:
  - match:
    - uri: {prefix: /one/more/}
    route:
    - destination: {host: app-1, subset: v1, port: {number: 8080}}
  - route:
    - destination: {host: app-1, subset: v2, port: {number: 8080}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: portal-two, namespace: TEAM}
spec:
  http:
  - redirect: {authority: www.TEAM.example.com, redirectCode: 302}
";

/// Machines outside of the cluster.
const LEGACY: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: legacy, namespace: TEAM}
spec:
  hosts: [legacy.TEAM.internal]
  exportTo: [.]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 8080, name: http, protocol: HTTP}
  workloadSelector:
    labels: {app: legacy}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: legacy-1, namespace: TEAM}
spec:
  address: 192.0.2.11
  labels: {app: legacy, site: east}
  locality: eu-central/a
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: legacy-2, namespace: TEAM}
spec:
  address: 192.0.2.12
  labels: {app: legacy, site: west}
  locality: eu-west/b
  weight: 3
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: legacy, namespace: TEAM}
spec:
  host: legacy.TEAM.internal
  subsets:
  - name: east
    labels: {site: east}
  - name: west
    labels: {site: west}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: legacy, namespace: TEAM}
spec:
  hosts: [legacy.TEAM.internal]
  http:
  - match:
    - headers:
        x-site: {exact: west}
    route:
    - destination: {host: legacy.TEAM.internal, subset: west}
  - route:
    - destination: {host: legacy.TEAM.internal, subset: east}
";

/// What the team calls outside.
const OUTSIDE: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments, namespace: TEAM}
spec:
  hosts: [payments.TEAM.example.net]
  exportTo: [.]
  location: MESH_EXTERNAL
  resolution: DNS
  ports:
  - {number: 443, name: tls, protocol: TLS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: payments, namespace: TEAM}
spec:
  hosts: [payments.TEAM.example.net]
  tls:
  - match:
    - port: 443
      sniHosts: [payments.TEAM.example.net]
    route:
    - destination: {host: payments.TEAM.example.net, port: {number: 443}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mail, namespace: TEAM}
spec:
  hosts: [mail.TEAM.example.net]
  exportTo: [.]
  location: MESH_EXTERNAL
  resolution: DNS
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 443}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mail, namespace: TEAM}
spec:
  host: mail.TEAM.example.net
  exportTo: [.]
  trafficPolicy:
    tls:
      mode: SIMPLE
      sni: mail.TEAM.example.net
      subjectAltNames: [mail.TEAM.example.net]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cdn, namespace: TEAM}
spec:
  hosts: ['*.cdn.TEAM.example.net']
  exportTo: [.]
  location: MESH_EXTERNAL
  resolution: NONE
  ports:
  - {number: 443, name: tls, protocol: TLS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: queue, namespace: TEAM}
spec:
  hosts: [queue.TEAM.example.net]
  exportTo: [.]
  addresses: [198.51.100.7]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
  - {number: 5672, name: tcp, protocol: TCP}
  endpoints:
  - {address: 198.51.100.7}
  - {address: 198.51.100.8}
";
