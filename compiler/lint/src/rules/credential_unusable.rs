use crate::{
    certificates::{CredentialUse, Flaw, HeldSecret, Secrets, uses},
    rule::{Context, Example, Rule},
};
use malha_mesh::config::Completeness;
use malha_syntax::{Finding, Group, Location, RuleInfo, Severity};
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "C002", name: "credential-unusable", group: Group::Correctness, aliases: &["IST0161"] },
    what: "A Secret that a Gateway's server names cannot serve as its credential: a part is missing or unreadable, the key is \
           not the certificate's, or clients refuse the certificate.",
    why: "Without a usable pair no handshake succeeds (error). A certificate that is over, or not valid yet, of version 1, or \
          without subject alternative names is shown, and refused by current clients (warning). Certificates are read, and keys \
          as far as they hold their public part. A value that is a placeholder or encrypted is left alone.",
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
    facts: &["A46", "A47", "A49"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let secrets = Secrets::of(context.mesh);
    let named = uses(context);
    // Each Secret once, by the first server that names it.
    let mut used: BTreeMap<(&str, &str), (HeldSecret<'_>, &CredentialUse<'_>)> = BTreeMap::new();
    for usage in &named {
        for secret in secrets.meant(usage) {
            if usage.wants_authorities {
                findings.extend(without_authorities(context, &secrets, usage, secret));
            }
            if !usage.is_authorities {
                let (namespace, name) = secret.name();
                used.entry((namespace, name)).or_insert((secret, usage));
            }
        }
    }
    for (secret, usage) in used.into_values() {
        let Some((flaw, place)) = secret.flaw(context.now) else { continue };
        findings.push(told(secret, usage, &flaw, place));
    }
}

fn told(secret: HeldSecret<'_>, usage: &CredentialUse<'_>, flaw: &Flaw, place: Location) -> Finding {
    let mut hosts = usage.server.hosts.iter().map(|host| host.rsplit('/').next().unwrap_or_default());
    let host = hosts.find(|host| *host != "*").unwrap_or("shop.example.com");
    let (what, help) = match flaw {
        Flaw::Missing(entry) => (format!("this Secret has no `{entry}`, so no handshake succeeds"), renew(host)),
        Flaw::NotBase64 => {
            let help = "encode it (`base64 -w0 FILE`), or write it under `stringData` as it is";
            ("this is no base64, which values under `data` must be".to_owned(), help.to_owned())
        }
        Flaw::NoCertificate => ("this holds no X.509 certificate in PEM, so no handshake succeeds".to_owned(), renew(host)),
        Flaw::NoKey => ("this holds no private key in PEM that can be read, so no handshake succeeds".to_owned(), renew(host)),
        Flaw::Encrypted => {
            let help = "write it without one: `openssl pkey -in encrypted.key -out tls.key`";
            ("this key is locked by a passphrase, which no proxy has".to_owned(), help.to_owned())
        }
        Flaw::OtherKey => {
            let help = "these must print the same: `openssl x509 -in tls.crt -noout -pubkey` and `openssl pkey -in tls.key -pubout`; \
                        put the certificate first, before those of authorities";
            ("this key is not that of the certificate, so no handshake succeeds".to_owned(), help.to_owned())
        }
        Flaw::Old => ("this certificate is not of version 3 of X.509, so it can hold no names: clients refuse it".to_owned(), renew(host)),
        Flaw::Nameless => {
            ("this certificate has no subject alternative name, without which no current client takes it".to_owned(), renew(host))
        }
        Flaw::Expired(since) => (format!("this certificate is over since {since}: clients refuse it"), renew(host)),
        Flaw::Early => {
            let help = "look at its dates: `openssl x509 -in tls.crt -noout -dates`";
            ("this certificate is not valid yet: clients refuse it".to_owned(), help.to_owned())
        }
    };
    let finding = Finding::new(RULE.info, place, what)
        .help(help)
        .related(usage.location, "a server shows it")
        .resource(secret.resource.resource_name());
    if flaw.stops_gateway() { finding } else { finding.severity(Severity::Warning) }
}

/// How to make a certificate of one's own.
fn renew(host: &str) -> String {
    let common = host.trim_start_matches("*.");
    format!(
        "get a certificate for {host}; to try, make one: `openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj '/CN={common}' \
         -addext 'subjectAltName=DNS:{host}' -keyout tls.key -out tls.crt`"
    )
}

/// A server that checks clients' certificates, and has nobody to check them by.
fn without_authorities(context: &Context<'_>, secrets: &Secrets<'_>, usage: &CredentialUse<'_>, secret: HeldSecret<'_>) -> Option<Finding> {
    let (namespace, name) = secret.name();
    let authorities = format!("{name}-cacert");
    let is_elsewhere = context.mesh.config().registry == Completeness::Open;
    if is_elsewhere || !secret.lacks_authorities() || secrets.get(namespace, &authorities).is_some() {
        return None;
    }
    let message = format!(
        "clients must show certificates here, but Secret `{namespace}/{name}` has no `ca.crt`, and the files hold no Secret \
         `{authorities}`"
    );
    Some(
        Finding::new(RULE.info, usage.location, message)
            .severity(Severity::Warning)
            .help(format!("add `ca.crt` to the Secret, or a Secret `{authorities}` with it"))
            .related(crate::place::named(secret.resource), "the Secret")
            .resource(usage.gateway.resource.resource_name())
            .field(usage.field.clone()),
    )
}
