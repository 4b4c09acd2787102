//! The certificates that a mesh's TLS needs: from its Secrets and files, and from a local authority where it lacks some.

use crate::{
    args::RunArgs,
    failure::Failure,
    mock::{LocalAuthority, StandIns},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use malha_mesh::Mesh;
use malha_model::{Spec, kubernetes::Secret};
use malha_proxy::{CertificateProblem, Credential, CredentialSource, Credentials, UpstreamNeed, certificate_problems};
use malha_table::Table;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the command line says that certificates and keys are.
pub(super) fn source(args: &RunArgs) -> CredentialSource {
    CredentialSource { secrets: args.credentials.clone(), identity: args.mesh_certs.clone() }
}

/// What the Secrets of a mesh hold.
pub(super) fn secrets(mesh: &Mesh) -> Credentials {
    let mut credentials = Credentials::default();
    for resource in mesh.resources() {
        if let Spec::Secret(secret) = &resource.spec {
            credentials.insert(&resource.namespace, &resource.name, credential(secret));
        }
    }
    credentials
}

/// Certificates and keys that the command line names cannot be read.
pub(super) fn unreadable(error: &io::Error) -> Failure {
    Failure::new(format!("cannot read certificates: {error}"))
}

/// Both the keys of a TLS Secret and those of a generic one that Istio knows.
fn credential(secret: &Secret) -> Credential {
    let part = |names: [&str; 2]| names.into_iter().find_map(|name| value(secret, name));
    Credential {
        certificate: part(["tls.crt", "cert"]),
        private_key: part(["tls.key", "key"]),
        authorities: part(["ca.crt", "cacert"]),
        withdrawn: part(["ca.crl", "crl"]),
    }
}

/// What is written in clear beats the other, as in Kubernetes. What is no base64 is as good as absent.
fn value(secret: &Secret, name: &str) -> Option<Arc<[u8]>> {
    if let Some((_, text)) = secret.string_data.iter().find(|(key, _)| key.value == name) {
        return Some(Arc::from(text.value.reveal().as_bytes()));
    }
    let (_, text) = secret.data.iter().find(|(key, _)| key.value == name)?;
    let text: String = text.value.reveal().split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(text).ok().map(Arc::from)
}

/// Certificates by a local authority in the place of those that are missing or that no client would take; a line for
/// each.
///
/// # Errors
/// The authority cannot be opened.
pub(super) fn stand_in(
    table: &Table,
    credentials: &mut Credentials,
    authority: &mut Option<Arc<LocalAuthority>>,
) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    for problem in certificate_problems(table, credentials) {
        if problem.mode == "ISTIO_MUTUAL" {
            continue;
        }
        let authority = opened(authority)?;
        let hosts = if problem.hosts.is_empty() { vec!["localhost".to_owned()] } else { problem.hosts.clone() };
        let mut made = authority.issue(&hosts)?;
        let is_of_client = problem.mode != "SIMPLE";
        if is_of_client {
            made.authorities = Some(Arc::from(authority.certificate().as_bytes()));
        }
        notes.push(format!(
            "{problem}; one by the local authority {} stands in",
            authority.certificate_file().display()
        ));
        if is_of_client {
            let (certificate, key) = authority.client()?;
            notes.push(format!(
                "clients of {} are known by `--cert {} --key {}`",
                hosts.join(", "),
                certificate.display(),
                key.display()
            ));
        }
        replace(&problem, &made, credentials);
    }
    Ok(notes)
}

/// Whether some client's own TLS is passed on to endpoints.
pub(super) fn passes_tls_on(table: &Table) -> bool {
    let listeners = table.proxies().flat_map(|proxy| proxy.listeners());
    listeners.into_iter().any(|listener| {
        matches!(listener.protocol(), "HTTPS" | "TLS") && listener.chains().any(|chain| chain.termination().is_none())
    })
}

/// Lets the stand-ins end the TLS that clusters speak, and gives these what they lack for it; the file of the
/// certificate of who signs for them.
///
/// # Errors
/// The authority cannot be opened.
pub(super) fn let_stand_ins_speak_tls(
    needs: &[UpstreamNeed],
    stand_ins: &StandIns,
    credentials: &mut Credentials,
    authority: &mut Option<Arc<LocalAuthority>>,
) -> Result<PathBuf, Failure> {
    let authority = opened(authority)?;
    let trusted: Arc<[u8]> = Arc::from(authority.certificate().as_bytes());
    credentials.trust(Arc::clone(&trusted));
    stand_ins.speak_tls(authority);
    for need in needs.iter().filter(|need| need.problem.is_some()) {
        let (certificate, key) = authority.client()?;
        let read = |path: &Path| fs::read(path).map(Arc::from).map_err(|error| Failure::path(path, &error));
        let (certificate, key): (Arc<[u8]>, Arc<[u8]>) = (read(&certificate)?, read(&key)?);
        for (certificate_path, key_path) in &need.files {
            credentials.insert_file(certificate_path, Arc::clone(&certificate));
            credentials.insert_file(key_path, Arc::clone(&key));
        }
        if let Some(path) = &need.authorities_file {
            credentials.insert_file(path, Arc::clone(&trusted));
        }
        if let Some(name) = &need.credential {
            let (namespace, name) = secret(name, &need.namespace);
            let made = Credential {
                certificate: Some(certificate),
                private_key: Some(key),
                authorities: Some(Arc::clone(&trusted)),
                ..Credential::default()
            };
            credentials.insert(namespace, name, made);
        }
    }
    Ok(authority.certificate_file())
}

/// Namespace and name of a Secret as files write it.
fn secret<'a>(written: &'a str, namespace: &'a str) -> (&'a str, &'a str) {
    let name = written.strip_prefix("kubernetes://").unwrap_or(written);
    name.split_once('/').unwrap_or((namespace, name))
}

/// The local authority, opened or made if it is not yet.
///
/// # Errors
/// It can be neither.
pub(super) fn opened(authority: &mut Option<Arc<LocalAuthority>>) -> Result<&Arc<LocalAuthority>, Failure> {
    Ok(match authority {
        Some(authority) => authority,
        None => authority.insert(Arc::new(open()?)),
    })
}

fn open() -> Result<LocalAuthority, Failure> {
    let directory = LocalAuthority::directory()
        .ok_or_else(|| Failure::new("there is no place for a local authority: HOME and XDG_DATA_HOME are not set"))?;
    LocalAuthority::open(&directory)
}

fn replace(problem: &CertificateProblem, made: &Credential, credentials: &mut Credentials) {
    for name in &problem.credentials {
        let (namespace, name) = secret(name, &problem.namespace);
        credentials.insert(namespace, name, made.clone());
    }
    for (certificate, key) in &problem.files {
        let parts = [(certificate, &made.certificate), (key, &made.private_key)];
        for (path, part) in parts {
            if let Some(part) = part {
                credentials.insert_file(path, Arc::clone(part));
            }
        }
    }
    if let (Some(path), Some(authorities)) = (&problem.authorities_file, &made.authorities) {
        credentials.insert_file(path, Arc::clone(authorities));
    }
}

/// How to make a certificate that clients take, for one that is wrong.
pub(super) fn remedy(problem: &CertificateProblem) -> String {
    let host = problem.hosts.first().map_or("localhost", String::as_str);
    let (certificate, key) = match problem.files.first() {
        Some((certificate, key)) => (certificate.as_str(), key.as_str()),
        None => ("tls.crt", "tls.key"),
    };
    let make = format!(
        "to make a certificate for {host}:\n  openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj '/CN={host}' -addext 'subjectAltName=DNS:{host}' \
         -keyout {key} -out {certificate}"
    );
    match problem.credentials.first() {
        None => make,
        Some(name) => format!(
            "{make}\n  kubectl create secret tls {name} -n {} --cert tls.crt --key tls.key --dry-run=client -o yaml > {name}.yaml",
            problem.namespace
        ),
    }
}
