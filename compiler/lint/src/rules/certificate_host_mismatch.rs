use crate::{
    certificates::{Certificate, HeldSecret, Secrets, uses},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "C003", name: "certificate-host-mismatch", group: Group::Suspicious, aliases: &[] },
    what: "A host of a Gateway's server is named by no certificate that the server shows.",
    why: "Clients compare the host that they ask for with the subject alternative names of the certificate, and refuse one that \
          does not name it. A wildcard of a certificate stands for one label.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
  namespace: edge
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [shop.example.com]
      tls: {mode: SIMPLE, credentialName: shop-tls}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ingressgateway
  namespace: edge
spec:
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
kind: Secret
metadata:
  name: shop-tls
  namespace: edge
type: kubernetes.io/tls
stringData:
  tls.crt: |
    -----BEGIN CERTIFICATE-----
    MIIBpzCCAU2gAwIBAgIUS6sUFg/D1omoa8DlIb+3x4MfoPIwCgYIKoZIzj0EAwIw
    GjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUub3JnMCAXDTI2MTEzMDE1NTEwM1oYDzIx
    MjYxMTA2MTU1MTAzWjAaMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5vcmcwWTATBgcq
    hkjOPQIBBggqhkjOPQMBBwNCAASK91x40ohoR1p++jWdlj2nTsm+xagUU2PHgPd7
    s4wQi9bzYmdDsBPMCR3P4xbCKryx5hmkuIgF9kz5Gl23StlCo28wbTAdBgNVHQ4E
    FgQUQhLtbgXrva9k+gKTLkqPPcG8Ed0wHwYDVR0jBBgwFoAUQhLtbgXrva9k+gKT
    LkqPPcG8Ed0wDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgg93d3cuZXhhbXBs
    ZS5vcmcwCgYIKoZIzj0EAwIDSAAwRQIhAJ1kjMxe0/AEEsyGBXM7kOor3hgRrmwr
    1pNJpuLeMG8fAiAy0LYEKsjKQkS7Q+emtlvpcnGZ4JeTzpd0EK/FOSni1g==
    -----END CERTIFICATE-----
  tls.key: ${SHOP_TLS_KEY}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
  namespace: edge
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [shop.example.com]
      tls: {mode: SIMPLE, credentialName: shop-tls}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ingressgateway
  namespace: edge
spec:
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
kind: Secret
metadata:
  name: shop-tls
  namespace: edge
type: kubernetes.io/tls
stringData:
  tls.crt: |
    -----BEGIN CERTIFICATE-----
    MIIBqzCCAVCgAwIBAgIUYPtz2trtGM61076aFDKfEpOWsSYwCgYIKoZIzj0EAwIw
    GzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLmNvbTAgFw0yNjExMzAxNTUxMDNaGA8y
    MTI2MTEwNjE1NTEwM1owGzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLmNvbTBZMBMG
    ByqGSM49AgEGCCqGSM49AwEHA0IABN9Hfhrg5f2LkxVamUD1Z22FLQAMMF2KA5OW
    NsgMRCBI9Y5qfxSwqAY9bOxZ9v4VKf0loauaqe9FF8Gk1lKHx4CjcDBuMB0GA1Ud
    DgQWBBTgIwzxtuKizdsrZfzDb7pasmbJWjAfBgNVHSMEGDAWgBTgIwzxtuKizdsr
    ZfzDb7pasmbJWjAPBgNVHRMBAf8EBTADAQH/MBsGA1UdEQQUMBKCEHNob3AuZXhh
    bXBsZS5jb20wCgYIKoZIzj0EAwIDSQAwRgIhAPXb9GVGlnjBCrePuP2fKsB/Ns5T
    9B0yYZyFJQmOzwbCAiEAxJnRPOwELCjcN6L3U/HR02snyyvGnm7yVgwnOEyOtvQ=
    -----END CERTIFICATE-----
  tls.key: ${SHOP_TLS_KEY}
",
    ),
    facts: &["A46"],
    check: Some(check),
};

/// Names of a certificate that a finding shows.
const SHOWN: usize = 6;

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let secrets = Secrets::of(context.mesh);
    let uses = uses(context);
    // The uses of each server together: any of its certificates may name a host.
    let mut servers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for usage in uses.iter().filter(|usage| !usage.is_authorities) {
        let place = usage.server.hosts.first().map(|host| usage.gateway.resource.location(host.span));
        servers.entry(place).or_default().push(usage);
    }
    for usages in servers.into_values() {
        let Some(first) = usages.first() else { continue };
        let held: Option<Vec<Vec<Certificate>>> = usages.iter().map(|usage| {
            let found = secrets.meant(usage);
            // One that cannot be read may name anything; it has a finding of its own.
            let read: Option<Vec<Certificate>> = found.iter().map(HeldSecret::certificate).collect();
            read.filter(|read| !read.is_empty() && read.iter().all(|certificate| !certificate.names.is_empty()))
        }).collect();
        let Some(certificates) = held.map(|held| held.concat()) else { continue };
        for (index, written) in first.server.hosts.iter().enumerate() {
            let host = written.rsplit('/').next().unwrap_or_default();
            if certificates.iter().any(|certificate| certificate.is_for(host)) {
                continue;
            }
            let mut names: Vec<&str> =
                certificates.iter().flat_map(|certificate| &certificate.names).map(String::as_str).collect();
            names.dedup();
            names.truncate(SHOWN);
            let message = format!("clients that ask for `{host}` refuse the certificate of this server, which is for {}", names.join(", "));
            let path = first.field.split(".tls.").next().unwrap_or_default();
            let finding = Finding::new(RULE.info, first.gateway.resource.location(written.span), message)
                .help("show a certificate that names the host, or correct the host")
                .related(first.location, "the credential")
                .resource(first.gateway.resource.resource_name())
                .field(format!("{path}.hosts[{index}]"));
            findings.push(finding);
        }
    }
}
