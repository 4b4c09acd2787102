//! Family C: which credentials are told to be missing, unusable or for other hosts.

use malha_lint::{Options, check_with};
use malha_mesh::{Mesh, MeshConfig, config::Completeness, program::Program};
use malha_model::read_documents;
use malha_syntax::{Finding, Severity, SourceId, read};
use rcgen::{CertificateParams, KeyPair};
use std::{fmt::Write as _, sync::Arc};

/// A time in 2026.
const NOW: i64 = 1_780_000_000;

/// A Gateway for these hosts, with the `tls` of its one server.
fn gateway(hosts: &str, tls: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: shop, namespace: shops}}\nspec:\n  selector: {{istio: \
         ingressgateway}}\n  servers: [{{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: {hosts}, tls: {tls}}}]\n---\n"
    )
}

/// The gateway's workload.
const WORKLOAD: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: ingressgateway, namespace: edge}
spec:
  template:
    metadata: {labels: {istio: ingressgateway}}
    spec: {containers: [{name: istio-proxy, image: auto}]}
---
";

/// A Secret of these texts in clear.
fn secret(name: &str, entries: &[(&str, &str)]) -> String {
    let (namespace, name) = name.split_once('/').expect("a namespace and a name");
    let mut text =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData:\n");
    for (key, value) in entries {
        writeln!(text, "  {key}: {}", serde_json::to_string(value).expect("a text"))
            .expect("a string takes everything");
    }
    text.push_str("---\n");
    text
}

/// A pair for these names, from one year to another.
fn pair(names: &[&str], years: (i32, i32)) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("names");
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// `apiVersion kind: spec` of what another program makes the Secret `shop-tls` of; a SealedSecret is called as it is.
fn made(what: &str, namespace: &str) -> String {
    let (kind, spec) = what.split_once(": ").expect("a kind and a spec");
    let (api_version, kind) = kind.split_once(' ').expect("a version and a kind");
    let name = if kind == "SealedSecret" { "shop-tls" } else { "made" };
    format!(
        "apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n---\n"
    )
}

const CERTIFICATE: &str = "cert-manager.io/v1 Certificate: {secretName: shop-tls, dnsNames: [a.com]}";

const EXTERNAL_SECRET: &str = "external-secrets.io/v1 ExternalSecret: {target: {name: shop-tls}, data: []}";

/// With another certificate in the namespace of the gateway.
fn of_tls(text: &str) -> String {
    format!("{text}{}", secret("edge/other", &[("tls.crt", "${CRT}"), ("tls.key", "${KEY}")]))
}

fn checked(text: &str, registry: Completeness) -> Vec<Finding> {
    let resources = read_documents(&read(SourceId(0), text).documents).resources;
    let config = MeshConfig { registry, ..MeshConfig::default() };
    let mesh = Mesh::link(resources.into_iter().map(Arc::new).collect(), config);
    let mut found = check_with(&mesh, &Program::default(), &Options { now: Some(NOW), ..Options::default() });
    found.retain(|finding| finding.rule.code.starts_with('C'));
    found
}

fn told(text: &str) -> Vec<(&'static str, Severity)> {
    checked(text, Completeness::Auto).iter().map(|finding| (finding.rule.code, finding.severity)).collect()
}

const SIMPLE: &str = "{mode: SIMPLE, credentialName: shop-tls}";

#[test]
fn a_secret_is_missing_only_by_evidence() {
    let hidden = [("tls.crt", "${CRT}"), ("tls.key", "${KEY}")];
    let server = gateway("[a.com]", SIMPLE);
    let known = |more: &str| format!("{server}{WORKLOAD}{more}");
    let missing = [("C001", Severity::Warning)];
    for (what, text, expected) in [
        ("nothing is known of Secrets", known(""), &[][..]),
        ("it is there", known(&secret("edge/shop-tls", &hidden)), &[]),
        ("in the namespace of the Gateway object", known(&secret("shops/shop-tls", &hidden)), &missing),
        ("another Secret of the namespace", known(&secret("edge/other", &hidden)), &missing),
        ("a name that is close", known(&secret("edge/shop-tsl", &hidden)), &missing),
        ("another Secret elsewhere", known(&secret("shops/other", &hidden)), &[]),
        ("a password of the namespace", known(&secret("edge/db", &[("password", "${PASSWORD}")])), &[]),
        ("a Certificate makes it", known(&of_tls(&made(CERTIFICATE, "edge"))), &[]),
        ("a SealedSecret makes it", known(&of_tls(&made("bitnami.com/v1alpha1 SealedSecret: {}", "edge"))), &[]),
        ("an ExternalSecret makes it", known(&of_tls(&made(EXTERNAL_SECRET, "edge"))), &[]),
        ("a Certificate makes another", known(&made(CERTIFICATE, "edge").replace("shop-tls", "web")), &missing),
        ("an ExternalSecret makes another", known(&made(EXTERNAL_SECRET, "edge").replace("shop-tls", "web")), &[]),
        ("a Certificate elsewhere", known(&made(CERTIFICATE, "shops")), &missing),
        ("a Certificate, and nobody knows the workload", format!("{server}{}", made(CERTIFICATE, "any")), &[]),
        (
            "an ExternalSecret of a close name",
            known(&made(EXTERNAL_SECRET, "edge").replace("shop-tls", "shop-tsl")),
            &missing,
        ),
        ("nobody knows the workload", format!("{server}{}", secret("anywhere/shop-tls", &hidden)), &[]),
        (
            "nobody knows the workload, and a name is close",
            format!("{server}{}", secret("anywhere/shop-tsl", &hidden)),
            &missing,
        ),
        (
            "nobody knows the workload, and other Secrets are there",
            format!("{server}{}", secret("anywhere/db", &hidden)),
            &[],
        ),
        (
            "another form of name",
            format!(
                "{}{WORKLOAD}{}",
                gateway("[a.com]", "{mode: SIMPLE, credentialName: 'sds://shop'}"),
                secret("edge/o", &hidden)
            ),
            &[],
        ),
        (
            "TLS is passed through",
            format!("{}{WORKLOAD}{}", gateway("[a.com]", "{mode: PASSTHROUGH}"), secret("edge/o", &hidden)),
            &[],
        ),
    ] {
        assert_eq!(told(&text), expected, "{what}");
    }
    let closed: Vec<_> = checked(&known(""), Completeness::Closed).iter().map(|finding| finding.severity).collect();
    assert_eq!(closed, [Severity::Error]);
    let near = checked(&known(&secret("edge/shop-tsl", &hidden)), Completeness::Open);
    assert_eq!(near.first().and_then(|finding| finding.help.as_deref()), Some("did you mean `shop-tsl`?"));
    assert_eq!(checked(&known(&secret("edge/other", &hidden)), Completeness::Open), []);
}

#[test]
fn what_a_secret_holds_is_read() {
    let (crt, key) = pair(&["a.com"], (2020, 2100));
    let (over, over_key) = pair(&["a.com"], (2020, 2021));
    let (early, early_key) = pair(&["a.com"], (2090, 2100));
    let (nameless, nameless_key) = pair(&[], (2020, 2100));
    let (_, other) = pair(&["a.com"], (2020, 2100));
    let (error, warning) = (Severity::Error, Severity::Warning);
    for (what, entries, expected) in [
        ("a pair", vec![("tls.crt", crt.as_str()), ("tls.key", key.as_str())], None),
        ("as generic Secrets have it", vec![("cert", &crt), ("key", &key)], None),
        ("no key", vec![("tls.crt", &crt)], Some((error, "has no `tls.key`"))),
        ("an empty key", vec![("tls.crt", &crt), ("tls.key", "")], Some((error, "has no `tls.key`"))),
        ("no certificate", vec![("tls.key", &key)], Some((error, "has no `tls.crt`"))),
        ("another key", vec![("tls.crt", &crt), ("tls.key", &other)], Some((error, "is not that of the certificate"))),
        ("exchanged", vec![("tls.crt", &key), ("tls.key", &crt)], Some((error, "holds no X.509 certificate"))),
        ("a certificate as key", vec![("tls.crt", &crt), ("tls.key", &crt)], Some((error, "holds no private key"))),
        ("over", vec![("tls.crt", &over), ("tls.key", &over_key)], Some((warning, "is over since"))),
        ("early", vec![("tls.crt", &early), ("tls.key", &early_key)], Some((warning, "not valid yet"))),
        (
            "nameless",
            vec![("tls.crt", &nameless), ("tls.key", &nameless_key)],
            Some((warning, "no subject alternative name")),
        ),
        ("a placeholder", vec![("tls.crt", "<path:kv/shop#crt>"), ("tls.key", "<path:kv/shop#key>")], None),
        ("another's", vec![("tls.crt", "vault:kv/shop#crt"), ("tls.key", "op://vault/shop/key")], None),
    ] {
        let text = format!("{}{WORKLOAD}{}", gateway("[a.com]", SIMPLE), secret("edge/shop-tls", &entries));
        let found = checked(&text, Completeness::Auto);
        let said: Vec<_> = found.iter().map(|finding| (finding.rule.code, finding.severity)).collect();
        assert_eq!(said, expected.map(|(severity, _)| ("C002", severity)).into_iter().collect::<Vec<_>>(), "{what}");
        for (finding, (_, words)) in found.iter().zip(expected) {
            assert!(finding.message.contains(words), "{what}: {}", finding.message);
            assert!(!finding.message.contains("BEGIN"), "no value is shown");
        }
    }
    let broken = secret("edge/shop-tls", &[]).replace("stringData:", "data: {tls.crt: '%%', tls.key: '%%'}");
    assert_eq!(told(&format!("{}{WORKLOAD}{broken}", gateway("[a.com]", SIMPLE))), [("C002", error)]);
}

#[test]
fn who_checks_clients_needs_authorities() {
    let hidden = [("tls.crt", "${CRT}"), ("tls.key", "${KEY}")];
    let whole = [("tls.crt", "${CRT}"), ("tls.key", "${KEY}"), ("ca.crt", "${CA}")];
    let mutual = "{mode: MUTUAL, credentialName: shop-tls}";
    let warned = [("C002", Severity::Warning)];
    for (what, tls, secrets, expected) in [
        ("none", mutual, secret("edge/shop-tls", &hidden), &warned[..]),
        ("in the Secret", mutual, secret("edge/shop-tls", &whole), &[]),
        (
            "in one beside it",
            mutual,
            secret("edge/shop-tls", &hidden) + &secret("edge/shop-tls-cacert", &[("ca.crt", "${CA}")]),
            &[],
        ),
        (
            "in one that is named",
            "{mode: MUTUAL, credentialName: shop-tls, caCertCredentialName: clients}",
            secret("edge/shop-tls", &hidden) + &secret("edge/clients", &[("ca.crt", "${CA}")]),
            &[],
        ),
        ("nobody is checked", SIMPLE, secret("edge/shop-tls", &hidden), &[]),
    ] {
        assert_eq!(told(&format!("{}{WORKLOAD}{secrets}", gateway("[a.com]", tls))), expected, "{what}");
    }
}

#[test]
fn hosts_are_compared_with_names() {
    let of = |names: &[&str]| pair(names, (2020, 2100));
    let both = "{mode: SIMPLE, credentialNames: [one, two]}";
    let (crt, key) = of(&["a.com", "*.b.com"]);
    let (other_crt, other_key) = of(&["c.com"]);
    let one = |name: &str| secret(name, &[("tls.crt", &crt), ("tls.key", &key)]);
    let two = secret("edge/two", &[("tls.crt", &other_crt), ("tls.key", &other_key)]);
    for (hosts, tls, secrets, fields) in [
        ("[a.com, x.b.com, '*.b.com', '*']", SIMPLE, one("edge/shop-tls"), vec![]),
        ("[c.com]", SIMPLE, one("edge/shop-tls"), vec!["spec.servers[0].hosts[0]"]),
        (
            "['shops/c.com', './a.com', x.y.b.com]",
            SIMPLE,
            one("edge/shop-tls"),
            vec!["spec.servers[0].hosts[0]", "spec.servers[0].hosts[2]"],
        ),
        ("['*.c.com']", SIMPLE, one("edge/shop-tls"), vec!["spec.servers[0].hosts[0]"]),
        // Any of several certificates may name a host.
        ("[a.com, c.com]", both, one("edge/one") + &two, vec![]),
        ("[a.com, c.com]", both, one("edge/one"), vec![]),
    ] {
        let mut found = checked(&format!("{}{WORKLOAD}{secrets}", gateway(hosts, tls)), Completeness::Auto);
        found.retain(|finding| finding.rule.code == "C003");
        let told: Vec<_> = found.iter().map(|finding| finding.field.as_deref().unwrap_or_default()).collect();
        assert_eq!(told, fields, "{hosts} {tls}");
    }
}

#[test]
fn credentials_of_destination_rules_are_looked_for_where_proxies_are() {
    let rule = |more: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: bank, namespace: shops}}\nspec:\n  host: \
             bank.example.com{more}\n  trafficPolicy: {{tls: {{mode: MUTUAL, credentialName: client}}}}\n---\n"
        )
    };
    let hidden = [("tls.crt", "${CRT}"), ("tls.key", "${KEY}")];
    let edge = format!("{}{WORKLOAD}{}", gateway("[a.com]", SIMPLE), secret("edge/shop-tls", &hidden));
    let selected = "\n  workloadSelector: {matchLabels: {app: shop}}";
    let missing = [("C001", Severity::Warning)];
    for (what, text, expected) in [
        ("in the gateway's namespace", format!("{edge}{}{}", rule(""), secret("edge/client", &hidden)), &[][..]),
        ("not there", format!("{edge}{}", rule("")), &missing),
        ("in the rule's own", format!("{edge}{}{}", rule(""), secret("shops/client", &hidden)), &missing),
        ("of a sidecar", format!("{edge}{}{}", rule(selected), secret("shops/client", &hidden)), &[]),
        ("of a sidecar, elsewhere", format!("{edge}{}{}", rule(selected), secret("edge/client", &hidden)), &missing),
        ("no gateway is known", format!("{}{}", rule(""), secret("edge/client", &hidden)), &[]),
    ] {
        assert_eq!(told(&text), expected, "{what}");
    }
}
