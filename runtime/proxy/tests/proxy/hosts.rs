//! Which virtual host has a Host (semantics A.4).

use crate::common::{client::get, mesh, options, start};

#[test]
fn the_most_specific_name_has_the_request() {
    let hosts = ["a.foo.com", "*.foo.com", "*-x.foo.com", "*.b.foo.com", "*.com", "*"];
    let mut text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]
",
        mesh::SERVICES
    );
    let rules = hosts.iter().enumerate().map(|(at, host)| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: v{at}, namespace: default}}
spec:
  hosts: ['{host}']
  gateways: [gw]
  http: [{{directResponse: {{status: 200, body: {{string: '{host}'}}}}}}]
"
        )
    });
    text.extend(rules);
    let proxy = start(mesh::compile(&text, &[], &[]), options());
    for (host, expected) in [
        ("a.foo.com", "a.foo.com"),
        ("A.FOO.com:8080", "a.foo.com"),
        ("b.foo.com", "*.foo.com"),
        // The longer suffix has it, whatever of the name it is.
        ("b-x.foo.com", "*-x.foo.com"),
        ("c.b.foo.com", "*.b.foo.com"),
        ("d.c.b.foo.com", "*.b.foo.com"),
        // A name is longer than the suffix.
        ("foo.com", "*.com"),
        (".foo.com", "*.com"),
        ("-x.foo.com", "*.foo.com"),
        ("com", "*"),
        ("a.foo.org", "*"),
    ] {
        assert_eq!(get(proxy.gateway(80), host, "/", "").text(), expected, "A35: {host}");
    }
}
