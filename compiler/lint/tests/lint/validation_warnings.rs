//! Where Istio's validation warns, so do we: held by what it said of objects that are one edit away from good ones.

use crate::{common::all_findings, patch::patch};
use flate2::read::GzDecoder;
use malha_syntax::Finding;
use serde_json::Value;
use std::{collections::BTreeMap, fs::File, io::Read};

/// What besides the rules named after validation's warnings says what it warns of: all that is proved of the order of
/// rules.
const OTHERS: [&str; 4] = ["R001", "R002", "R004", "R006"];

fn recordings() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/validation.jsonl.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("the recordings are there"))
        .read_to_string(&mut text)
        .expect("they are text");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// What is found of an object. A delegate and who delegates to it are judged together: rules of the one say nothing
/// without those of the other.
fn findings_of(object: &Value, bases: &BTreeMap<&str, &Value>) -> Vec<Finding> {
    let companion = match object["metadata"]["name"].as_str() {
        Some("root") => bases.get("VirtualService/leaf"),
        Some("leaf") => bases.get("VirtualService/root"),
        _ => None,
    };
    let companion = companion.map(|companion| format!("---\n{companion}\n")).unwrap_or_default();
    all_findings(format!("{object}\n{companion}").as_bytes())
}

/// Where Istio is wrong: it takes a rule that delegates and has no `match`, or the prefix `/`, for one that takes all
/// requests, though the delegate asks for a narrower path. What comes after it is reached.
const MISTAKEN: [&str; 3] = ["VirtualService/root/94", "VirtualService/root/124", "VirtualService/root/179"];

fn is_warning(finding: &Finding) -> bool {
    finding.rule.aliases.contains(&"IST0133")
}

#[test]
fn where_istio_warns_so_do_we_and_nowhere_else() {
    let recordings = recordings();
    let bases: BTreeMap<&str, &Value> =
        recordings.iter().filter_map(|line| Some((line["base"].as_str()?, line.get("object")?))).collect();
    let (mut wrong, mut warned, mut silent) = (Vec::new(), 0, 0);
    for case in recordings.iter().filter(|line| line.get("object").is_none()) {
        let verdict = case["verdict"].as_str();
        if verdict == Some("refused") {
            continue;
        }
        let mut object = (*bases[case["base"].as_str().expect("a case has a base")]).clone();
        for operation in case["patch"].as_array().expect("a case has a patch") {
            patch(&mut object, operation);
        }
        let found = findings_of(&object, &bases);
        let right = if verdict == Some("warned") {
            warned += 1;
            let is_told = found.iter().any(|finding| is_warning(finding) || OTHERS.contains(&finding.rule.code));
            is_told != MISTAKEN.contains(&case["id"].as_str().unwrap_or_default())
        } else {
            silent += 1;
            found.iter().filter(|finding| is_warning(finding)).all(is_ours_alone)
        };
        if !right {
            let said: Vec<String> =
                found.iter().map(|finding| format!("{} {:?}", finding.rule.code, finding.field)).collect();
            wrong.push(format!("{} {} at {}: {verdict:?}, and we say {said:?}", case["id"], case["what"], case["at"]));
        }
    }
    assert!(warned > 60 && silent > 3000, "{warned} and {silent} cases");
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// What we warn of though Istio does not: it drops warnings of subsets and ports on the way, and some fields that its API
/// documents as deprecated it never mentions.
fn is_ours_alone(finding: &Finding) -> bool {
    let field = finding.field.as_deref().unwrap_or_default();
    let is_dropped = field.starts_with("spec.subsets[") || field.contains(".portLevelSettings[");
    let is_silent = [".allowOrigin", ".simple", ".warmupDurationSecs", ".delay.percent"];
    // Of the names of Gateways it looks at none after the first without a namespace.
    let is_later = finding.rule.code == "H008" && field != "spec.gateways[0]";
    is_dropped || is_later || (finding.rule.code == "O004" && is_silent.iter().any(|end| field.ends_with(end)))
}

#[test]
fn warnings_that_no_recording_has() {
    let gateway = |server: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec:\n  selector: {{istio: ingressgateway}}\n  \
             servers: [{{port: {{number: 443, name: p, {server}}}]\n"
        )
    };
    let entry = |spec: &str| {
        format!("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e}}\nspec: {{{spec}}}\n")
    };
    let tcp = "ports: [{number: 5672, name: tcp, protocol: TCP}], addresses: [192.0.2.7]";
    let cases = [
        ("C004", 1, gateway("protocol: TLS}, hosts: [a.com], tls: {httpsRedirect: true, mode: PASSTHROUGH}")),
        ("C004", 0, gateway("protocol: HTTP}, hosts: [a.com], tls: {httpsRedirect: true}")),
        ("C004", 0, gateway("protocol: TLS}, hosts: [a.com], tls: {mode: PASSTHROUGH}")),
        (
            "C005",
            1,
            gateway(
                "protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_0}",
            ),
        ),
        (
            "C005",
            0,
            gateway(
                "protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_0, cipherSuites: [AES128-SHA]}",
            ),
        ),
        (
            "C006",
            2,
            gateway(
                "protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: c, cipherSuites: [AES128-SHA, AES128-SHA, TLS_AES]}",
            ),
        ),
        (
            "C006",
            0,
            gateway(
                "protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: c, cipherSuites: [ALL, '!RC4']}",
            ),
        ),
        // Refused (K006), so that there is nothing to warn of.
        ("S001", 0, entry(&format!("hosts: [a.com, b.com], resolution: DNS, {tcp}"))),
        ("S001", 0, entry(&format!("hosts: [a.com], resolution: DNS, {tcp}"))),
        ("S020", 1, entry("hosts: ['*-eu.a.com'], ports: [{number: 443, name: t, protocol: TLS}]")),
        ("S020", 0, entry("hosts: ['*.a.com'], ports: [{number: 443, name: t, protocol: TLS}]")),
    ];
    for (code, count, text) in cases {
        let found = all_findings(text.as_bytes());
        let found: Vec<_> = found.iter().filter(|finding| finding.rule.code == code).collect();
        assert_eq!(found.len(), count, "{code} {text}: {found:?}");
    }
}
