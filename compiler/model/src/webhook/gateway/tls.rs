//! What is refused of how a server speaks TLS.

use super::Family;
use crate::{
    Spanned,
    istio::gateway::{ServerTlsMode, ServerTlsSettings},
    read::list,
    rules::{EXCLUSIVE_FIELDS, MISSING_FIELD},
    webhook::{Judge, place::Place},
};
use smol_str::SmolStr;

fn is_given(text: Option<&Spanned<SmolStr>>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

/// Without a mode, nobody decrypts.
fn mode_of(settings: &ServerTlsSettings) -> ServerTlsMode {
    settings.mode.as_ref().map_or(ServerTlsMode::Passthrough, |mode| mode.value)
}

/// Judges whether a server on a port of `protocol` may, or must, say how TLS is spoken.
pub(super) fn judge_fit(
    place: &Place<'_>,
    family: Family,
    protocol: &Spanned<SmolStr>,
    settings: Option<&ServerTlsSettings>,
    judge: &mut Judge<'_, '_>,
) {
    let protocol = &protocol.value;
    let (rule, message, help) = match (family, settings) {
        (Family::Tls, None) => (
            &MISSING_FIELD,
            format!("`tls` is missing, without which nobody knows how to speak {protocol}"),
            "add `tls` with a `mode`, or use another protocol",
        ),
        (Family::Http, Some(settings)) if !is_plain(settings) => (
            &EXCLUSIVE_FIELDS,
            format!("a port of {protocol} speaks no TLS, and `tls` can do no more there than redirect to HTTPS"),
            "use the protocol HTTPS, or keep `httpsRedirect` alone",
        ),
        (Family::Other, Some(_)) => (
            &EXCLUSIVE_FIELDS,
            format!("a port of {protocol} speaks no TLS, so that `tls` cannot stand there"),
            "use the protocol TLS, or remove `tls`",
        ),
        _ => return,
    };
    judge.refuse_at(rule, place, message, help);
}

/// Whether the settings decrypt nothing, and so may stand at a port of HTTP.
fn is_plain(settings: &ServerTlsSettings) -> bool {
    let passes = matches!(mode_of(settings), ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough);
    let files = [&settings.ca_certificates, &settings.private_key, &settings.server_certificate];
    passes && !files.into_iter().any(|file| is_given(file.as_ref()))
}

/// Judges settings whatever the port.
pub(super) fn judge_settings(place: &Place<'_>, settings: &ServerTlsSettings, judge: &mut Judge<'_, '_>) {
    let mode = mode_of(settings);
    let secret = is_given(settings.credential_name.as_ref());
    let secrets = !settings.credential_names.is_empty();
    let certificates = !settings.tls_certificates.is_empty();
    let certificate = is_given(settings.server_certificate.as_ref());
    let key = is_given(settings.private_key.as_ref());
    if mode == ServerTlsMode::IstioMutual {
        let fields = [
            ("serverCertificate", certificate),
            ("privateKey", key),
            ("caCertificates", is_given(settings.ca_certificates.as_ref())),
            ("tlsCertificates", certificates),
            ("credentialName", secret),
            ("credentialNames", secrets),
        ];
        for (field, _) in fields.into_iter().filter(|(_, there)| *there) {
            let message = format!("`{field}` cannot stand beside ISTIO_MUTUAL, which uses the mesh's own certificates");
            let help = format!("remove `{field}`, or use MUTUAL");
            judge.refuse_at(&EXCLUSIVE_FIELDS, &place.key(field), message, help);
        }
        return;
    }
    let sources = [
        ("serverCertificate", certificate && key),
        ("credentialName", secret),
        ("credentialNames", secrets),
        ("tlsCertificates", certificates),
    ];
    let mut given = sources.into_iter().filter(|(_, there)| *there).map(|(field, _)| field);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        judge.refuse_both(place, [first, second], "a server's certificate comes from one source");
    }
    let ends = matches!(mode, ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
    if ends && (secret || secrets) {
        return;
    }
    if ends {
        judge_files(place, settings, mode, judge);
    }
    if is_given(settings.ca_crl.as_ref()) && (secret || mode == ServerTlsMode::Simple) {
        let reason =
            if secret { "with a Secret, which holds the list itself" } else { "with SIMPLE, which asks for none" };
        let message = format!("`caCrl` withdraws clients' certificates, and cannot stand {reason}");
        judge.refuse_at(&EXCLUSIVE_FIELDS, &place.key("caCrl"), message, "remove `caCrl`");
    }
}

/// Without a Secret, the certificate and what goes with it must come from files.
fn judge_files(place: &Place<'_>, settings: &ServerTlsSettings, mode: ServerTlsMode, judge: &mut Judge<'_, '_>) {
    let mode_name = mode.name();
    if mode != ServerTlsMode::Simple && !is_given(settings.ca_certificates.as_ref()) {
        let message =
            format!("{mode_name} without `caCertificates`: nothing says which clients' certificates are good");
        judge.refuse_at(&MISSING_FIELD, &place.key("caCertificates"), message, "add `caCertificates`, or a Secret");
    }
    let certificates = place.key("tlsCertificates");
    for (index, certificate) in settings.tls_certificates.iter().enumerate() {
        let files = [&certificate.server_certificate, &certificate.private_key].map(|file| is_given(file.as_ref()));
        judge_pair(&certificates.item(index), files, mode_name, judge);
    }
    if settings.tls_certificates.is_empty() {
        let files = [&settings.server_certificate, &settings.private_key].map(|file| is_given(file.as_ref()));
        judge_pair(place, files, mode_name, judge);
    }
}

/// A certificate needs its key, and a key its certificate.
fn judge_pair(place: &Place<'_>, given: [bool; 2], mode: &str, judge: &mut Judge<'_, '_>) {
    let parts = ["serverCertificate", "privateKey"].into_iter().zip(given);
    let missing: Vec<&str> = parts.filter(|(_, there)| !*there).map(|(field, _)| field).collect();
    let Some(first) = missing.first() else { return };
    let message = format!("{mode} without {}: there is nothing to decrypt with", list(&missing, "and"));
    let help = format!("add {}, or name a Secret in `credentialName`", list(&missing, "and"));
    judge.refuse_at(&MISSING_FIELD, &place.key(first), message, help);
}
