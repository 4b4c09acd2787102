//! What the reader says about objects that are wrong, and that its fixes mend them.

mod common;

use common::read_yaml;
use malha_model::rules::RULES;
use malha_syntax::Finding;
use std::collections::BTreeSet;

/// A finding with the text that it points at: `CODE field <text>: message | help`.
fn show(text: &str, finding: &Finding) -> String {
    let span = finding.location.span;
    format!(
        "{} {} <{}>: {} | {}",
        finding.rule.code,
        finding.field.as_deref().unwrap_or("-"),
        &text[span.start as usize..span.end as usize],
        finding.message,
        finding.help.as_deref().unwrap_or("-"),
    )
}

fn apply_fixes(text: &str, findings: &[Finding]) -> String {
    let mut edits: Vec<_> =
        findings.iter().filter_map(|finding| finding.fix.as_ref()).flat_map(|fix| &fix.edits).collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.location));
    let mut text = text.to_owned();
    for edit in edits {
        text.replace_range(edit.location.span.start as usize..edit.location.span.end as usize, &edit.text);
    }
    text
}

fn virtual_service(spec: &str) -> String {
    format!("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:{spec}")
}

fn destination_rule(spec: &str) -> String {
    format!("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec:{spec}")
}

fn gateway(spec: &str) -> String {
    format!("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec:{spec}")
}

fn service_entry(spec: &str) -> String {
    format!("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: s}}\nspec:{spec}")
}

#[test]
fn findings_name_field_place_and_remedy() {
    let cases: Vec<(String, &[&str])> = vec![
        // K001: unknown fields.
        (
            virtual_service("\n  hosts: [a]\n  http: [{route: [{destination: {host: a}, weigth: 1}]}]"),
            &["K001 spec.http[0].route[0].weigth <weigth>: `weigth` is not a field of HTTPRouteDestination | did you mean `weight`?"],
        ),
        (
            virtual_service("\n  http: [{match: [{uri: {prefix: /}, route: []}]}]"),
            &["K001 spec.http[0].match[0].route <route>: `route` is not a field of HTTPMatchRequest | move it out into HTTPRoute, which has a field `route`"],
        ),
        (
            virtual_service("\n  http: [{route: [{host: a, destination: {host: a}}]}]"),
            &["K001 spec.http[0].route[0].host <host>: `host` is not a field of HTTPRouteDestination | move it into `destination`, which has a field `host`"],
        ),
        (
            virtual_service("\n  http: [{rewrite: {path: /}}]"),
            &["K001 spec.http[0].rewrite.path <path>: `path` is not a field of HTTPRewrite | its fields are `uri`, `authority` and `uriRegexRewrite`"],
        ),
        (
            virtual_service("\n  hosts: [a]\nhttp: []"),
            &["K001 http <http>: `http` is not a field of VirtualService | move it into `spec`, which has a field `http`"],
        ),
        // K002: missing fields.
        (
            virtual_service("\n  http: [{route: [{weight: 1}]}]"),
            &["K002 spec.http[0].route[0].destination <weight>: `destination` is missing, which HTTPRouteDestination must have | add `destination`"],
        ),
        (
            virtual_service("\n  tls: [{}]"),
            &["K002 spec.tls[0].match <{}>: `match` is missing, which TLSRoute must have | add `match`"],
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s}\n".to_owned(),
            &["K002 spec <apiVersion>: `spec` is missing, which Sidecar must have | add `spec`"],
        ),
        (
            "kind: Service\napiVersion: v1\nmetadata: {labels: {a: b}}\n".to_owned(),
            &["K002 metadata.name <metadata>: this Service has no name | add `metadata.name`"],
        ),
        (
            "kind: Pod\napiVersion: v1\nmetadata: {generateName: a-}\n".to_owned(),
            &["K002 metadata.name <generateName>: this Pod has no name: the cluster would make one up from `generateName` | add `metadata.name`"],
        ),
        // K003: wrong types.
        (
            virtual_service("\n  hosts: [a, yes, 10]\n  gateways: gw\n  tcp: [{route: [{destination: {host: a}}]}]"),
            &[
                "K003 spec.hosts[1] <yes>: `hosts[1]` must be a string, not `yes`, which YAML reads as the boolean `true` | quote it: `\"yes\"`",
                "K003 spec.hosts[2] <10>: `hosts[2]` must be a string, not the number `10` | quote it: `\"10\"`",
                "K003 spec.gateways <gw>: `gateways` must be a list, not the text \"gw\" | make it a list: `[gw]`",
            ],
        ),
        (
            virtual_service("\n  http: [{route: [{destination: {host: a, port: {number: '80'}}, weight: 1.5}], timeout: 10}]"),
            &[
                "K003 spec.http[0].route[0].destination.port.number <'80'>: `number` must be a whole number, not the text \"80\" | remove the quotes: `80`",
                "K003 spec.http[0].route[0].weight <1.5>: `weight` must be a whole number, not the number `1.5` | -",
                "K003 spec.http[0].timeout <10>: `timeout` must be a duration with its unit, as `10s`, not the number `10` | -",
            ],
        ),
        (
            virtual_service("\n  http: {match: []}\n  tcp:\n"),
            &[
                "K003 spec.http <{match: []}>: `http` must be a list, not a mapping | -",
                "K003 spec.tcp <tcp>: `tcp` has no value, and the schema does not allow null here | give it a value, or leave it out",
            ],
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, labels: {version: 1.0}}\nspec: {replicas: null, template: {metadata: {labels: {on: on}}}}".to_owned(),
            &[
                "K003 metadata.labels.version <1.0>: `version` must be a string, not the number `1.0` | quote it: `\"1.0\"`",
                "K003 spec.template.metadata.labels.true <on>: `true` must be a string, not `on`, which YAML reads as the boolean `true` | quote it: `\"on\"`",
            ],
        ),
        // K004: unknown values.
        (
            destination_rule("\n  host: a\n  trafficPolicy: {loadBalancer: {simple: ROUND_ROBBIN}, tls: {mode: simple}}"),
            &[
                "K004 spec.trafficPolicy.loadBalancer.simple <ROUND_ROBBIN>: \"ROUND_ROBBIN\" is not a value of `simple` | did you mean `ROUND_ROBIN`?",
                "K004 spec.trafficPolicy.tls.mode <simple>: \"simple\" is not a value of `mode` | did you mean `SIMPLE`?",
            ],
        ),
        (
            destination_rule("\n  host: a\n  trafficPolicy: {tls: {mode: ON}}"),
            &["K003 spec.trafficPolicy.tls.mode <ON>: `mode` must be one of `DISABLE`, `SIMPLE`, `MUTUAL` or `ISTIO_MUTUAL`, not `ON`, which YAML reads as the boolean `true` | -"],
        ),
        // K005: out of range.
        (
            virtual_service("\n  http: [{match: [{port: -1}], retries: {attempts: 4294967296}}]"),
            &[
                "K005 spec.http[0].match[0].port <-1>: `port` is -1, but must lie between 0 and 4294967295 | -",
                "K005 spec.http[0].retries.attempts <4294967296>: `attempts` is 4294967296, but must lie between -2147483648 and 2147483647 | -",
            ],
        ),
        (
            service_entry("\n  hosts: []\n  ports: [{number: 65536, name: a}]"),
            &[
                "K005 spec.hosts <hosts>: `hosts` has 0 items, but must have at least 1 | -",
                "K005 spec.ports[0].number <65536>: `number` is 65536, but must lie between 1 and 65535 | -",
            ],
        ),
        // K006: exclusive fields.
        (
            virtual_service("\n  http: [{match: [{uri: {prefix: /a, exact: /b}}]}]"),
            &["K006 spec.http[0].match[0].uri.exact <exact>: `prefix` and `exact` cannot stand together | keep one of them"],
        ),
        (
            service_entry("\n  hosts: [a]\n  addresses: [10.0.0.0/8]\n  resolution: DNS"),
            &["K006 spec.addresses[0] <10.0.0.0/8>: the range `10.0.0.0/8` cannot stand together with resolution `DNS` | use single addresses, or resolution `STATIC` or `NONE`"],
        ),
        // K007: durations.
        (
            virtual_service("\n  http: [{timeout: 10 s, retries: {perTryTimeout: 0s}}]"),
            &[
                "K007 spec.http[0].timeout <10 s>: `timeout` is \"10 s\", which is no duration | write numbers with units (ms, s, m, h), as `500ms`, `10s` or `1h30m`",
                "K007 spec.http[0].retries.perTryTimeout <0s>: `perTryTimeout` is \"0s\", but must be at least 1ms | write numbers with units (ms, s, m, h), as `500ms`, `10s` or `1h30m`",
            ],
        ),
        // K008: texts.
        (
            service_entry("\n  hosts: ['*']"),
            &["K008 spec.hosts[0] <'*'>: `hosts[0]` is \"*\", but must not be `*` alone | -"],
        ),
        // K009: names.
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: Front, namespace: a.b, labels: {'a b': c, d: -e}}\n".to_owned(),
            &[
                "K009 metadata.name <Front>: `Front` is not a name for a Service | use at most 63 lower case letters, digits and inner hyphens, with a letter first",
                "K009 metadata.namespace <a.b>: `a.b` is not a name for a namespace | use at most 63 lower case letters, digits and inner hyphens",
                "K009 metadata.labels.a b <'a b'>: `a b` cannot be the key of a label | use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; a key may have a DNS name and `/` before that",
                "K009 metadata.labels.d <-e>: `-e` cannot be the value of a label | use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; a key may have a DNS name and `/` before that",
            ],
        ),
        // K010, K011: versions and kinds.
        (
            "apiVersion: networking.istio.io/v1beta3\nkind: Gateway\nmetadata: {name: g}\nspec: {servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [a.com]}]}\n".to_owned(),
            &["K010 apiVersion <networking.istio.io/v1beta3>: networking.istio.io has no version `v1beta3`; its versions are `v1`, `v1alpha3` and `v1beta1` | did you mean `networking.istio.io/v1`?"],
        ),
        (
            "apiVersion: network.istio.io/v1\nkind: VirtualService\nmetadata: {name: g}\nspec: {http: [{redirect: {uri: /}}]}\n".to_owned(),
            &["K010 apiVersion <network.istio.io/v1>: `network.istio.io` is not the API group of a VirtualService | did you mean `networking.istio.io/v1`?"],
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualServices\nmetadata: {name: g}\nspec: {http: [{redirect: {uri: /}}]}\n".to_owned(),
            &["K011 kind <VirtualServices>: `VirtualServices` is not a kind of networking.istio.io | did you mean `VirtualService`?"],
        ),
        // K012: duplicates.
        (
            service_entry("\n  hosts: [a]\n  ports: [{number: 80, name: a}, {number: 80, name: b}]"),
            &["K012 spec.ports[1].number <80>: the number `80` stands in this list twice | give each item another number"],
        ),
        (
            gateway("\n  servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [a.com]}, {port: {number: 81, name: a, protocol: HTTP}, hosts: [a.com]}]"),
            &["K012 spec.servers[1].port.name <a>: the port name `a` is that of an earlier server of this Gateway | give each port another name"],
        ),
        // S006: what Istio's own validation refuses.
        (
            service_entry("\n  hosts: [a.org, '*.b.org']\n  resolution: DNS\n  ports: [{number: 443, name: a, protocol: TLS}]"),
            &["S006 spec.hosts[1] <'*.b.org'>: `*.b.org` is no name that DNS could be asked for, and resolution `DNS` asks for it | list the hosts, give endpoints, or use resolution `NONE` or `DYNAMIC_DNS`"],
        ),
        // K013: regular expressions.
        (
            virtual_service(
                r#"
  http:
    - match:
        - uri: {regex: "/(?!x).*"}
          headers: {a: {regex: "*"}, withoutHeaders: {regex: ""}}
          withoutHeaders: {a: {regex: "*"}, b: {regex: '(.)\1'}}
          queryParams: {a: {regex: "a{1001}"}, b: {regex: '\C'}}
      rewrite: {uriRegexRewrite: {match: "(", rewrite: /}}
      corsPolicy: {allowOrigins: [{regex: "(?>a)"}, {prefix: "("}, {regex: ".*"}, {regex: 'a\Z'}, {regex: '\u0041'}, {regex: 'a++'}, {regex: '\h'}]}
      route: [{destination: {host: a}}]"#,
            ),
            &[
                "K013 spec.http[0].match[0].uri.regex <\"/(?!x).*\">: \"/(?!x).*\" is no regular expression that Istio takes: there is no look-ahead in this dialect | RE2 does not look ahead or behind; use a rule before this one for what is to be left out",
                "K013 spec.http[0].match[0].headers.a.regex <\"*\">: \"*\" is no regular expression that Istio takes: `*` has nothing to repeat | write `.*` for any text, or `{}` for any value of a header or query parameter",
                "K013 spec.http[0].match[0].headers.withoutHeaders.regex <\"\">: `regex` is empty, and Istio takes no empty expression | leave it out, or write `.*`",
                "K013 spec.http[0].match[0].withoutHeaders.b.regex <'(.)\\1'>: \"(.)\\1\" is no regular expression that Istio takes: `\\1` would be a back-reference, which this dialect has not | RE2 has no backreferences; write out what is to be repeated",
                "K013 spec.http[0].match[0].queryParams.a.regex <\"a{1001}\">: \"a{1001}\" is no regular expression that Istio takes: `{1001}` repeats more often than 1000 times | the syntax is that of RE2, https://github.com/google/re2/wiki/Syntax",
                "K013 spec.http[0].match[0].queryParams.b.regex <'\\C'>: \"\\C\" is no regular expression that Istio takes: `\\C` is no escape that this dialect has | the syntax is that of RE2, https://github.com/google/re2/wiki/Syntax",
                "K013 spec.http[0].rewrite.uriRegexRewrite.match <\"(\">: \"(\" is no regular expression that Istio takes: missing closing `)` for this group | the syntax is that of RE2, https://github.com/google/re2/wiki/Syntax",
                "K013 spec.http[0].corsPolicy.allowOrigins[0].regex <\"(?>a)\">: \"(?>a)\" is no regular expression that Istio takes: `(?>` opens no group that this dialect has | RE2 has neither atomic groups nor conditions, recursion or comments; use `(?:...)`",
                "K013 spec.http[0].corsPolicy.allowOrigins[3].regex <'a\\Z'>: \"a\\Z\" is no regular expression that Istio takes: `\\Z` is no escape that this dialect has | RE2 has no such anchor, and needs none: the whole text must match anyway",
                "K013 spec.http[0].corsPolicy.allowOrigins[4].regex <'\\u0041'>: \"\\u0041\" is no regular expression that Istio takes: `\\u` is no escape that this dialect has | RE2 writes a character by its number as `\\x{2028}`",
                "K013 spec.http[0].corsPolicy.allowOrigins[5].regex <'a++'>: \"a++\" is no regular expression that Istio takes: a repetition cannot follow another one directly; use a group | RE2 has no possessive repetition, and never needs to give back what it took; leave the second `+` out",
                "K013 spec.http[0].corsPolicy.allowOrigins[6].regex <'\\h'>: \"\\h\" is no regular expression that Istio takes: `\\h` is no escape that this dialect has | RE2 has no such class; write out what is meant, as `[ \\t]`",
            ],
        ),
    ];
    let mut codes = BTreeSet::new();
    for (text, expected) in cases {
        let (_reading, read) = read_yaml(&text);
        let found: Vec<String> = read.findings.iter().map(|finding| show(&text, finding)).collect();
        assert_eq!(found, expected, "{text}");
        assert!(read.resources.iter().all(|resource| resource.refused), "{text}");
        codes.extend(read.findings.iter().map(|finding| finding.rule.code));

        // A fix mends what it is for: the finding is gone, and none of its kind is new.
        let fixed = apply_fixes(&text, &read.findings);
        let (_reading, read_again) = read_yaml(&fixed);
        let unfixable = read.findings.iter().filter(|finding| finding.fix.is_none()).count();
        assert_eq!(read_again.findings.len(), unfixable, "{text}\nbecame\n{fixed}\n{:?}", read_again.findings);
    }
    let all: BTreeSet<&str> = RULES.iter().map(|rule| rule.code).collect();
    assert_eq!(codes, all, "every rule has a case");
}

#[test]
fn findings_carry_the_resource() {
    let text =
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: web}\nspec: {bogus: 1}\n";
    let (_reading, read) = read_yaml(text);
    let resource = read.findings[0].resource.as_ref().expect("the finding names the resource");
    assert_eq!((resource.kind.as_str(), resource.namespace.as_str(), resource.name.as_str()), ("Gateway", "web", "g"));
}

#[test]
fn the_value_of_a_secret_is_never_shown() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\ndata: {key: !!int 12345, other: [aHVzaA==]}\nstringData: {clear: hush}\n";
    let (_reading, read) = read_yaml(text);
    let shown = format!("{:?} {}", read, serde_json::to_string(&read.resources).expect("resources serialize"));
    for secret in ["12345", "aHVzaA", "hush"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("clear") && shown.contains("other"), "{shown}");
}

#[test]
fn locations_of_findings_agree_with_their_paths() {
    let text = virtual_service("\n  http:\n  - headers: {request: {set: {\"a.b\": 1, c: 2}}}\n    timeout: abc\n");
    let (reading, read) = read_yaml(&text);
    assert_eq!(read.findings.len(), 3);
    for finding in &read.findings {
        let path = finding.field.as_deref().expect("these have fields");
        let (_, value) = reading.documents[0].locate(path).unwrap_or_else(|| panic!("{path} leads nowhere"));
        assert_eq!(value, finding.location.span, "{path}");
    }
}
