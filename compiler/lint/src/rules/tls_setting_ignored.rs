use crate::rule::{Context, Example, Rule};
use malha_mesh::{Gateway, Protocol};
use malha_model::istio::gateway::{Server, ServerTlsMode, ServerTlsSettings};
use malha_syntax::{Finding, Group, RuleInfo, Span};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "C004", name: "tls-setting-ignored", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A Gateway server's `tls` has a setting without effect: a certificate where TLS is passed through, or \
           `httpsRedirect` on a port that is not plain HTTP.",
    why: "Who passes TLS through never decrypts it, so no certificate is shown; and what is not plain HTTP cannot be \
          redirected. The mode or the protocol is likely not what was meant. `PASSTHROUGH` is the mode that holds where none \
          is written.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: tls, protocol: TLS}
      hosts: [shop.example.com]
      tls: {mode: PASSTHROUGH, credentialName: shop}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: tls, protocol: TLS}
      hosts: [shop.example.com]
      tls: {mode: SIMPLE, credentialName: shop}
",
    ),
    facts: &["A43", "A45", "A48"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for gateway in context.mesh.gateways() {
        for (index, server) in gateway.servers().iter().enumerate() {
            let Some(tls) = &server.tls else { continue };
            let path = format!("spec.servers[{index}].tls");
            redirect(gateway, server, tls, &path, findings);
            certificates(gateway, tls, &path, findings);
        }
    }
}

fn redirect(gateway: &Gateway, server: &Server, tls: &ServerTlsSettings, path: &str, findings: &mut Vec<Finding>) {
    let Some(redirect) = tls.https_redirect.as_ref().filter(|redirect| redirect.value) else { return };
    let protocol = server.port.as_ref().and_then(|port| port.protocol.as_ref());
    let Some(protocol) = protocol.filter(|protocol| !Protocol::parse(protocol).is_http()) else { return };
    let message = format!("`httpsRedirect` has no effect on a port of protocol {}", protocol.value);
    let finding = Finding::new(RULE.info, gateway.resource.location(redirect.span), message)
        .help("set it on the server of the plain HTTP port")
        .related(gateway.resource.location(protocol.span), "the protocol")
        .resource(gateway.resource.resource_name())
        .field(format!("{path}.httpsRedirect"));
    findings.push(finding);
}

fn certificates(gateway: &Gateway, tls: &ServerTlsSettings, path: &str, findings: &mut Vec<Finding>) {
    let mode = tls.mode.as_ref().map_or(ServerTlsMode::Passthrough, |mode| mode.value);
    if !matches!(mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough) {
        return;
    }
    let texts = [
        ("serverCertificate", &tls.server_certificate),
        ("privateKey", &tls.private_key),
        ("caCertificates", &tls.ca_certificates),
        ("caCrl", &tls.ca_crl),
        ("credentialName", &tls.credential_name),
    ];
    let text = texts.into_iter().find_map(|(name, text)| {
        let text = text.as_ref().filter(|text| !text.is_empty())?;
        Some((name, text.span))
    });
    let credentials = tls.credential_names.first().map(|name| ("credentialNames", name.span));
    let certificates = tls.tls_certificates.first().map(|certificate| ("tlsCertificates", certificate.span));
    let Some((name, span)): Option<(&str, Span)> = text.or(credentials).or(certificates) else { return };
    let written = if tls.mode.is_some() { "the mode is" } else { "no mode is written, which is" };
    let message = format!("`{name}` is not used: {written} {}, and TLS is passed through as it is", mode.name());
    let mut finding = Finding::new(RULE.info, gateway.resource.location(span), message)
        .help("write `mode: SIMPLE` to end TLS here, or leave the certificate to the service behind")
        .resource(gateway.resource.resource_name())
        .field(format!("{path}.{name}"));
    if let Some(mode) = &tls.mode {
        finding = finding.related(gateway.resource.location(mode.span), "the mode");
    }
    findings.push(finding);
}
