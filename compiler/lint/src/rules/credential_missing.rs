use crate::{
    certificates::{CredentialUse, Secrets, uses},
    policies::policies,
    rule::{Context, Example, Rule},
};
use malha_mesh::config::Completeness;
use malha_model::{Spec, istio::destination_rule::ClientTlsMode};
use malha_syntax::{Finding, Group, Location, RuleInfo, Severity};
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "C001", name: "credential-missing", group: Group::Correctness, aliases: &["IST0101"] },
    what: "A server of a Gateway, or the `tls` of a DestinationRule, names a Secret that is not where the proxy looks for it.",
    why: "A gateway reads Secrets of its own namespace alone: that of its workload, not that of the Gateway object. Without the \
          certificate no handshake succeeds. What a cert-manager Certificate, a SealedSecret or an ExternalSecret makes counts. \
          Secrets are often kept out of repositories, so this is told only where the files hold \
          other certificates of that namespace, a Secret of that name elsewhere, or one of a similar name; and where the registry is \
          `closed`.",
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
  namespace: default
type: kubernetes.io/tls
stringData:
  tls.crt: ${SHOP_TLS_CRT}
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
  tls.crt: ${SHOP_TLS_CRT}
  tls.key: ${SHOP_TLS_KEY}
",
    ),
    facts: &["A46", "A47", "A49", "D56"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let secrets = Secrets::of(context.mesh);
    let uses = uses(context);
    for usage in &uses {
        if secrets.is_refused(usage.name) {
            continue;
        }
        findings.extend(missing(context, &secrets, usage));
    }
    let gateways: BTreeSet<&str> =
        uses.iter().flat_map(|usage| &usage.homes).map(|home| home.namespace.as_str()).collect();
    of_destination_rules(context, &secrets, &gateways, findings);
}

fn missing(context: &Context<'_>, secrets: &Secrets<'_>, usage: &CredentialUse<'_>) -> Option<Finding> {
    let name = usage.name.as_str();
    let home = usage.homes.iter().find(|home| !secrets.has(&home.namespace, name));
    let namespace = home.map(|home| home.namespace.as_str());
    // Where nobody knows the proxy, any Secret of the name may be the one.
    if namespace.is_none() && (!usage.homes.is_empty() || secrets.somewhere(name).is_some()) {
        return None;
    }
    let who = match home {
        Some(home) => format!("gateway `{}/{}` looks for Secret `{name}` in its own namespace", home.namespace, home.workload),
        None => format!("no Secret `{name}` is in the files"),
    };
    let found = Missing { name, namespace, who, location: usage.location }.told(context, secrets)?;
    Some(found.resource(usage.gateway.resource.resource_name()).field(usage.field.clone()))
}

/// Credentials by which proxies show themselves to upstreams: gateways read them from their own namespace, sidecars only
/// where the rule selects them (semantics D56).
fn of_destination_rules(
    context: &Context<'_>,
    secrets: &Secrets<'_>,
    gateways: &BTreeSet<&str>,
    findings: &mut Vec<Finding>,
) {
    for resource in context.mesh.resources() {
        let Spec::DestinationRule(spec) = &resource.spec else { continue };
        for policy in policies(spec) {
            let Some(tls) = policy.tls else { continue };
            let is_used = tls.mode.as_ref().is_some_and(|mode| matches!(mode.value, ClientTlsMode::Simple | ClientTlsMode::Mutual));
            let Some(name) = tls.credential_name.as_ref().filter(|_| is_used) else { continue };
            if name.is_empty() || name.contains("://") || name.contains('/') || secrets.is_refused(name) {
                continue;
            }
            let own = [resource.namespace.as_str()];
            let homes: Vec<&str> =
                if spec.workload_selector.is_some() { own.to_vec() } else { gateways.iter().copied().collect() };
            // A credential that checks servers alone may be the authorities', whose name ends otherwise.
            let authorities = format!("{}-cacert", name.value);
            let is_there = |namespace: &str| secrets.has(namespace, name) || secrets.has(namespace, &authorities);
            let is_anywhere = secrets.somewhere(name).is_some() || secrets.somewhere(&authorities).is_some();
            if homes.iter().any(|namespace| is_there(namespace)) || (homes.is_empty() && is_anywhere) {
                continue;
            }
            let namespace = if let [one] = homes[..] { Some(one) } else { None };
            let who = match namespace {
                Some(namespace) => format!("proxies in namespace `{namespace}` look for Secret `{}` there", name.value),
                None => format!("no Secret `{}` is in a namespace of a gateway", name.value),
            };
            let location = resource.location(name.span);
            let Some(found) = (Missing { name, namespace, who, location }).told(context, secrets) else { continue };
            findings.push(found.resource(resource.resource_name()).field(format!("{}.tls.credentialName", policy.path)));
        }
    }
}

/// A Secret that is not where it is looked for.
struct Missing<'a> {
    name: &'a str,
    /// Where it is looked for, as far as that is known.
    namespace: Option<&'a str>,
    who: String,
    location: Location,
}

impl Missing<'_> {
    /// The finding, where there is some evidence that it is not simply kept elsewhere.
    fn told(self, context: &Context<'_>, secrets: &Secrets<'_>) -> Option<Finding> {
        let Missing { name, namespace, who, location } = self;
        let elsewhere = secrets.somewhere(name);
        let near = secrets.near(name, namespace);
        let is_known = namespace.is_some_and(|namespace| secrets.has_namespace(namespace));
        let severity = match context.mesh.config().registry {
            Completeness::Closed => Severity::Error,
            Completeness::Auto if elsewhere.is_some() || near.is_some() || is_known => Severity::Warning,
            Completeness::Open if elsewhere.is_some() || near.is_some() => Severity::Warning,
            Completeness::Auto | Completeness::Open => return None,
        };
        let message = match (elsewhere, namespace) {
            (Some(secret), Some(_)) => format!("{who}, but it is in namespace `{}`", secret.namespace),
            (None, Some(_)) => format!("{who}, and the files hold none"),
            (_, None) => who,
        };
        let mut finding = Finding::new(RULE.info, location, message).severity(severity);
        if let Some(secret) = elsewhere {
            finding = finding.related(crate::place::named(secret), "a Secret of this name");
        }
        Some(match (elsewhere, near, namespace) {
            (Some(_), _, Some(namespace)) => finding.help(format!("move the Secret to namespace `{namespace}`")),
            (None, Some(near), _) => finding.help(format!("did you mean `{near}`?")),
            _ => finding.help("add the Secret, or correct the name"),
        })
    }
}
