use crate::{
    rule::{Context, Example, Rule},
    written::{WrittenRule, written_rules},
};
use malha_mesh::{GatewayRef, Mesh, ProxySpec, config::Completeness};
use malha_model::{Entries, Resource, Spanned, Spec, istio::RequestAuthentication, istio::virtual_service::StringMatch};
use malha_syntax::{Finding, Group, RuleInfo, Severity};
use smol_str::SmolStr;
use std::collections::HashMap;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "C007", name: "claims-unchecked", group: Group::Suspicious, aliases: &["IST0149"] },
    what: "A match asks for a claim of a token, and no RequestAuthentication is for the gateway that matches.",
    why: "Claims come from tokens that a RequestAuthentication has checked. Without one for the gateway's workload a request has \
          none, and the match never holds. This is told only where the files hold RequestAuthentications at all; and where the \
          registry is `closed`.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
  namespace: edge
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [shop.example.com]
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
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
  namespace: edge
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match:
        - headers: {\"@request.auth.claims.group\": {exact: staff}}
      directResponse: {status: 200}
    - directResponse: {status: 403}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata:
  name: tokens
  namespace: shops
spec:
  jwtRules:
    - {issuer: \"https://login.example.com\"}
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
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [shop.example.com]
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
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
  namespace: edge
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match:
        - headers: {\"@request.auth.claims.group\": {exact: staff}}
      directResponse: {status: 200}
    - directResponse: {status: 403}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata:
  name: tokens
  namespace: edge
spec:
  jwtRules:
    - {issuer: \"https://login.example.com\"}
",
    ),
    facts: &["B.3"],
    check: Some(check),
};

const CLAIMS: &str = "@request.auth.claims";

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let checks: Vec<Checks<'_>> = context.mesh.resources().iter().filter_map(|resource| Checks::of(resource)).collect();
    let severity = match context.mesh.config().registry {
        Completeness::Closed => Severity::Error,
        Completeness::Auto if !checks.is_empty() => Severity::Warning,
        Completeness::Auto | Completeness::Open => return,
    };
    // Of each gateway once, the proxy for which no token is checked.
    let mut known: HashMap<&GatewayRef, Option<&ProxySpec>> = HashMap::new();
    for written in written_rules(context.mesh) {
        let Some((index, claim)) = claim(&written) else { continue };
        let unchecked = written.service.gateways.iter().find_map(|gateway| {
            *known.entry(gateway).or_insert_with(|| unchecked(context.mesh, gateway, &checks))
        });
        let Some(proxy) = unchecked else { continue };
        let message = format!(
            "no request has claims at gateway `{}/{}`: no RequestAuthentication in the files is for it",
            proxy.namespace, proxy.name
        );
        let finding = written
            .finding(RULE.info, claim.span, &format!("match[{index}].headers[\"{}\"]", claim.value), message)
            .severity(severity)
            .help(format!("add a RequestAuthentication that selects its labels, in namespace `{}`", proxy.namespace));
        findings.push(finding);
    }
}

/// The first claim that a rule asks for, and the index of its match.
fn claim<'a>(written: &WrittenRule<'a>) -> Option<(usize, &'a Spanned<SmolStr>)> {
    let first = |headers: &'a Entries<StringMatch>| headers.keys().find(|name| name.starts_with(CLAIMS));
    let matches = written.rule.matches().enumerate();
    let mut claims = matches.filter_map(|(index, item)| Some((index, first(&item.request.headers)?)));
    claims.next()
}

/// A proxy of a gateway that no policy is for; none also if nobody knows its workload.
fn unchecked<'a>(mesh: &'a Mesh, gateway: &GatewayRef, checks: &[Checks<'_>]) -> Option<&'a ProxySpec> {
    let GatewayRef::Named(name) = gateway else { return None };
    let gateway = mesh.gateway(name)?;
    let is_known = |proxy: &&ProxySpec| {
        let mut workloads = mesh.registry().workloads_with(&proxy.namespace, &gateway.selector);
        !gateway.selector.is_empty() && workloads.next().is_some()
    };
    let proxies = mesh.proxies().iter().filter(|proxy| gateway.selects(&proxy.labels)).filter(is_known);
    let root = &mesh.config().root_namespace;
    proxies.into_iter().find(|proxy| !checks.iter().any(|check| check.is_for(proxy, root)))
}

/// A RequestAuthentication.
struct Checks<'a> {
    resource: &'a Resource,
    policy: &'a RequestAuthentication,
}

impl<'a> Checks<'a> {
    fn of(resource: &'a Resource) -> Option<Checks<'a>> {
        match &resource.spec {
            Spec::RequestAuthentication(policy) => Some(Checks { resource, policy }),
            _ => None,
        }
    }

    /// Whether it is, or may be, for a proxy.
    fn is_for(&self, proxy: &ProxySpec, root: &SmolStr) -> bool {
        if self.resource.namespace != proxy.namespace && self.resource.namespace != *root {
            return false;
        }
        let selects = |labels: &Entries<SmolStr>| {
            labels.iter().all(|(name, value)| proxy.labels.get(&name.value) == Some(&value.value))
        };
        self.policy.selector.as_ref().is_none_or(|selector| selects(&selector.match_labels))
    }
}
