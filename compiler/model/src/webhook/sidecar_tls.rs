//! What the webhook refuses of the TLS of a Sidecar's ingress listener: less of it than of a Gateway's is there.

use super::{
    Judge,
    ports::{self, Family},
};
use crate::{
    Spanned,
    istio::{
        gateway::{ServerTlsMode, ServerTlsSettings},
        sidecar::{IstioIngressListener, SidecarPort},
    },
    rules::{EXCLUSIVE_FIELDS, MISSING_FIELD, UNKNOWN_ENUM_VALUE, UNKNOWN_FIELD},
};
use malha_syntax::Finding;
use smol_str::SmolStr;
use std::fmt;

/// Judges the TLS of the listener at `path`, which is on `port`.
pub(super) fn check(
    listener: &IstioIngressListener,
    port: &SidecarPort,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    let Some(tls) = &listener.tls else { return };
    check_left_out(tls, path, judge);
    check_mode(tls, path, judge);
    let protocol = port.protocol.as_ref();
    let family = match protocol.filter(|protocol| !protocol.is_empty()) {
        Some(protocol) => ports::family(protocol),
        None => Some(Family::Other),
    };
    // A protocol that nobody knows has its finding.
    if family.is_some_and(|family| family != Family::Tls) {
        let message = "TLS is set, but the protocol of the port is neither `HTTPS` nor `TLS`";
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(tls.key), message)
            .field(format!("{path}.tls"))
            .help("set the port's protocol to `HTTPS` or `TLS`, or remove `tls`");
        judge.report(match protocol {
            Some(protocol) => finding.related(judge.reader.location(protocol.span), "the protocol is here"),
            None => finding,
        });
    }
}

/// The fields that only Gateways have a use for.
fn check_left_out(tls: &ServerTlsSettings, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let written = |text: &Option<Spanned<SmolStr>>| text.as_ref().filter(|text| !text.is_empty()).map(|text| text.key);
    let redirect = tls.https_redirect.as_ref().filter(|redirect| redirect.value).map(|redirect| redirect.key);
    for (name, span) in [
        ("subjectAltNames", tls.subject_alt_names.first().map(|name| name.span)),
        ("httpsRedirect", redirect),
        ("credentialName", written(&tls.credential_name)),
        ("credentialNames", tls.credential_names.first().map(|name| name.span)),
        ("tlsCertificates", tls.tls_certificates.first().map(|certificate| certificate.span)),
    ] {
        let Some(span) = span else { continue };
        let message = format!("`{name}` is for Gateways, and a Sidecar cannot do it");
        let help = "remove it; certificates come from `serverCertificate`, `privateKey` and `caCertificates`";
        judge.refuse(&UNKNOWN_FIELD, format!("{path}.tls.{name}"), span, message, help);
    }
}

fn check_mode(tls: &Spanned<ServerTlsSettings>, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    // What is not written is the first mode of the API.
    let mode = tls.mode.as_ref().map_or(ServerTlsMode::Passthrough, |mode| mode.value);
    let mutual = match mode {
        ServerTlsMode::Passthrough => return,
        ServerTlsMode::IstioMutual | ServerTlsMode::AutoPassthrough => {
            let span = tls.mode.as_ref().map_or(tls.span, |mode| mode.span);
            let message = format!("mode `{}` is for Gateways, and a Sidecar does not take it", mode.name());
            let help = "use `SIMPLE`, `MUTUAL` or `OPTIONAL_MUTUAL`; the mesh's own TLS is set by a PeerAuthentication";
            judge.refuse(&UNKNOWN_ENUM_VALUE, format!("{path}.tls.mode"), span, message, help);
            return;
        }
        ServerTlsMode::Simple => false,
        ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => true,
    };
    let files = [
        ("serverCertificate", &tls.server_certificate, true),
        ("privateKey", &tls.private_key, true),
        ("caCertificates", &tls.ca_certificates, mutual),
    ];
    for (name, file, needed) in files {
        let field = format!("{path}.tls.{name}");
        if !needed || file.as_ref().is_some_and(|file| !file.is_empty()) {
            continue;
        }
        let span = file.as_ref().map_or_else(|| Judge::head(tls), |file| file.span);
        let message = format!("`{name}` is missing, which mode `{}` needs", mode.name());
        judge.refuse(&MISSING_FIELD, field, span, message, format!("name the file in `{name}`"));
    }
    if let Some(list) = tls.ca_crl.as_ref().filter(|list| !list.is_empty() && !mutual) {
        let message = "`caCrl` withdraws certificates of clients, and with mode `SIMPLE` clients show none";
        let help = "remove it, or use mode `MUTUAL`";
        judge.refuse(&EXCLUSIVE_FIELDS, format!("{path}.tls.caCrl"), list.key, message, help);
    }
}
