//! What the webhook refuses of how a client speaks TLS.

use super::Judge;
use crate::{
    Metadata, Spanned,
    istio::destination_rule::{ClientTlsMode, ClientTlsSettings},
    read::shorten,
    rules::{EXCLUSIVE_FIELDS, INVALID_TEXT, MISSING_FIELD},
};
use malha_syntax::{Finding, Span};
use smol_str::SmolStr;
use std::fmt;

/// What the name of a ConfigMap with authorities begins with.
const CONFIG_MAP: &str = "configmap://";

/// The key of a text field that says something.
fn key_of(field: Option<&Spanned<SmolStr>>) -> Option<Span> {
    field.filter(|text| !text.is_empty()).map(|text| text.key)
}

/// Judges the settings at `path`.
pub(super) fn check(
    tls: &Spanned<ClientTlsSettings>,
    metadata: &Metadata,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    check_config_map(tls, metadata, path, judge);
    let mode = tls.mode.as_ref().map(|mode| mode.value);
    let (simple, mutual) = (mode == Some(ClientTlsMode::Simple), mode == Some(ClientTlsMode::Mutual));
    if !simple && !mutual {
        return;
    }
    check_unverified(tls, simple, path, judge);
    if let Some(credential) = key_of(tls.credential_name.as_ref()) {
        let files = [
            ("clientCertificate", key_of(tls.client_certificate.as_ref())),
            ("privateKey", key_of(tls.private_key.as_ref())),
            ("caCertificates", key_of(tls.ca_certificates.as_ref())),
            ("caCrl", key_of(tls.ca_crl.as_ref())),
        ];
        for (name, key) in files {
            let Some(key) = key else { continue };
            let message = format!("`{name}` cannot stand together with `credentialName`, whose Secret holds all of it");
            let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(key), message)
                .field(format!("{path}.{name}"))
                .related(judge.reader.location(credential), "`credentialName` is here")
                .help("keep the files or the Secret");
            judge.report(finding);
        }
    } else if mutual {
        for (name, file) in [("clientCertificate", &tls.client_certificate), ("privateKey", &tls.private_key)] {
            let field = format!("{path}.{name}");
            if key_of(file.as_ref()).is_some() {
                continue;
            }
            let span = file.as_ref().map_or_else(|| Judge::head(tls), |file| file.span);
            let message =
                format!("`{name}` is missing, and with mode `MUTUAL` the client shows a certificate of its own");
            let help = "name the files of certificate and key, name a Secret in `credentialName`, \
                or use mode `ISTIO_MUTUAL` or `SIMPLE`";
            judge.refuse(&MISSING_FIELD, field, span, message, help);
        }
    }
}

/// Where the host's certificate is not checked, nothing can be there to check it by.
fn check_unverified(tls: &ClientTlsSettings, simple: bool, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let Some(skip) = tls.insecure_skip_verify.as_ref().filter(|skip| skip.value) else { return };
    let names = judge.reader.location(skip.key);
    let checks = [
        ("caCertificates", key_of(tls.ca_certificates.as_ref())),
        ("credentialName", key_of(tls.credential_name.as_ref()).filter(|_| simple)),
        ("subjectAltNames", tls.subject_alt_names.first().map(|name| name.span)),
    ];
    let Some((name, span)) = checks.iter().find_map(|(name, key)| key.map(|key| (name, key))) else { return };
    let message =
        format!("`insecureSkipVerify` cannot stand together with `{name}`, by which a certificate is checked");
    let finding = Finding::new(&EXCLUSIVE_FIELDS, names, message)
        .field(format!("{path}.insecureSkipVerify"))
        .related(judge.reader.location(span), format!("`{name}` is here"))
        .help(format!("remove one of them; with `{name}` the connection is safer"));
    judge.report(finding);
}

/// Authorities can come from a ConfigMap, of the object's own namespace alone.
fn check_config_map(tls: &ClientTlsSettings, metadata: &Metadata, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let Some(name) = &tls.credential_name else { return };
    let Some(rest) = name.strip_prefix(CONFIG_MAP) else { return };
    let own = Judge::namespace(metadata);
    let message = match rest.split_once('/') {
        Some((namespace, config_map)) if !config_map.is_empty() && !config_map.contains('/') => {
            if namespace == own {
                return;
            }
            format!("`{}` is in another namespace than this object, which is in `{own}`", shorten(name))
        }
        _ => format!("`{}` does not name a ConfigMap", shorten(name)),
    };
    let help = format!("write `{CONFIG_MAP}{own}/` and the name of the ConfigMap");
    judge.refuse(&INVALID_TEXT, format!("{path}.credentialName"), name.span, message, help);
}
