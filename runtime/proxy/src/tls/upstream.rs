//! TLS to a cluster's endpoints, as its `trafficPolicy.tls` says (semantics D.8).

use super::{
    Credential, Credentials, PROVIDER,
    certificate::{names, parse},
    server::suites_named,
};
use crate::own;
use malha_table::{
    Table,
    view::{Cluster, Proxy},
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, LazyLock},
};
use xxhash_rust::xxh64::xxh64;

/// What a policy says, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    mode: String,
    client_certificate: Option<String>,
    private_key: Option<String>,
    ca_certificates: Option<String>,
    credential_name: Option<String>,
    sni: Option<String>,
    subject_alt_names: Vec<String>,
    insecure_skip_verify: Option<bool>,
    /// The mesh's (D55).
    cipher_suites: Vec<String>,
}

/// TLS to the endpoints of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamTls {
    /// For HTTP/1.1 and other bytes.
    plain: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    /// None: the name is the request's host (D53).
    sni: Option<Arc<str>>,
    /// A hash of the certificates and authorities that it is spoken with.
    pub(crate) fingerprint: u64,
}

impl UpstreamTls {
    /// None: the endpoints are spoken to without; an error: with it, but it cannot be.
    ///
    /// `ISTIO_MUTUAL` is spoken where the proxy has a certificate by the mesh's authority, or has one for other proxies of
    /// this process and is to speak to them. Without one there is no mesh around it, and what an endpoint hears is what
    /// its own sidecar would have passed on: plain.
    pub(crate) fn of(
        policy: &Value,
        cluster: &Cluster<'_>,
        owner: Option<&Proxy<'_>>,
        credentials: &Credentials,
    ) -> Option<Result<UpstreamTls, String>> {
        let mut written = Written::deserialize(policy.get("tls")?).ok()?;
        let namespace = owner.map_or("", |proxy| proxy.namespace());
        let own = match written.mode.as_str() {
            "SIMPLE" | "MUTUAL" => own(&written, namespace, credentials),
            ISTIO_MUTUAL => {
                let identity = mesh_identity(cluster, owner, credentials);
                let sni = written.sni.take().filter(|sni| !sni.is_empty());
                written.sni = Some(sni.unwrap_or_else(|| mesh_server_name(cluster.name())));
                Ok(identity?.clone())
            }
            _ => return None,
        };
        Some(own.and_then(|own| UpstreamTls::make(&written, &own, credentials)))
    }

    fn make(written: &Written, own: &Credential, credentials: &Credentials) -> Result<UpstreamTls, String> {
        let is_meshs = written.mode == ISTIO_MUTUAL;
        let roots = roots(written, own.authorities.as_deref(), credentials)?;
        let sni = written.sni.as_deref().filter(|sni| !sni.is_empty());
        let skips = written.insecure_skip_verify == Some(true);
        let by_authority = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER)).build();
        let verifier = Verifier {
            by_authority: match by_authority {
                _ if skips => None,
                Ok(verifier) => Some(verifier),
                Err(error) => return Err(format!("there is no authority to verify its endpoints by: {error}")),
            },
            names: written.subject_alt_names.clone(),
            // A name that the file gives is for the hello alone (D53).
            is_host_checked: sni.is_none() && written.subject_alt_names.is_empty(),
        };
        let provider = match &written.cipher_suites[..] {
            [] => Arc::clone(&PROVIDER),
            named => {
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                Arc::new(CryptoProvider { cipher_suites: suites_named(&named), ..(**PROVIDER).clone() })
            }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let is_mutual = is_meshs || written.mode == "MUTUAL";
        let mut config = match (&own.certificate, &own.private_key) {
            (Some(certificate), Some(key)) if is_mutual => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
                let chain = chain.map_err(|error| format!("the client certificate cannot be read: {error}"))?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("the key of the client certificate cannot be read: {error}"))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| format!("the client certificate: {error}"))?
            }
            _ if is_mutual => return Err("MUTUAL needs a client certificate and its key".to_owned()),
            _ => builder.with_no_client_auth(),
        };
        // Of other protocols a hello says nothing, but to the mesh's own (D55).
        let mut http2 = config.clone();
        http2.alpn_protocols = vec![b"h2".to_vec()];
        if is_meshs {
            config.alpn_protocols = vec![b"istio".to_vec()];
            http2.alpn_protocols.insert(0, b"istio".to_vec());
        }
        let fingerprint = fingerprint(written, own, credentials);
        Ok(UpstreamTls { plain: Arc::new(config), http2: Arc::new(http2), sni: sni.map(Arc::from), fingerprint })
    }

    /// How a connection is opened that speaks HTTP/2, or anything else.
    pub(crate) fn config(&self, is_http2: bool) -> Arc<ClientConfig> {
        Arc::clone(if is_http2 { &self.http2 } else { &self.plain })
    }

    /// The name that a hello for this authority says.
    pub(crate) fn name(&self, authority: &str) -> Arc<str> {
        match &self.sni {
            Some(sni) => Arc::clone(sni),
            None => malha_table::http::host_key(authority).as_ref().into(),
        }
    }
}

/// What a proxy shows to the endpoints of a cluster where the mesh's own TLS is asked for; none: they are spoken to
/// without.
pub(crate) fn mesh_identity<'c>(
    cluster: &Cluster<'_>,
    owner: Option<&Proxy<'_>>,
    credentials: &'c Credentials,
) -> Option<&'c Credential> {
    let is_among = cluster.endpoints().any(|endpoint| endpoint.address().is_some_and(own::is_own));
    match owner {
        Some(proxy) if is_among => credentials.identity_among(proxy.namespace(), proxy.name()),
        _ => credentials.identity(),
    }
}

const ISTIO_MUTUAL: &str = "ISTIO_MUTUAL";

/// What the mesh's own hellos say: `outbound_.80_.v1_.host` for the cluster `outbound|80|v1|host`.
fn mesh_server_name(cluster: &str) -> String {
    cluster.replace('|', "_.")
}

/// A name as rustls takes it: an address says none in the hello.
pub(crate) fn server_name(name: &str) -> ServerName<'static> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return ServerName::from(address);
    }
    // What no certificate can hold is not sent either.
    ServerName::try_from(bare.to_owned()).unwrap_or_else(|_| ServerName::from(IpAddr::from([0, 0, 0, 0])))
}

/// The files that a policy names.
pub(super) fn files(policy: &Value) -> Vec<String> {
    let written = policy.get("tls").and_then(|tls| Written::deserialize(tls).ok()).unwrap_or_default();
    let authorities = written.ca_certificates.filter(|path| path != SYSTEM);
    [written.client_certificate, written.private_key, authorities].into_iter().flatten().collect()
}

/// The system's authorities, by name (D52).
const SYSTEM: &str = "system";

/// The client's certificate and key, and the authorities beside them (D56, D58).
fn own(written: &Written, namespace: &str, credentials: &Credentials) -> Result<Credential, String> {
    if let Some(name) = &written.credential_name {
        let name = name.strip_prefix("kubernetes://").unwrap_or(name);
        let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
        let known = credentials.get(namespace, name);
        let mut own = known.cloned().ok_or_else(|| format!("there is no Secret {name} in namespace {namespace}"))?;
        if let Some(other) = credentials.get(namespace, &format!("{name}-cacert")) {
            own.authorities.clone_from(&other.authorities);
        }
        return Ok(own);
    }
    let file = |path: &Option<String>| path.as_deref().map(|path| credentials.file(path)).transpose();
    Ok(Credential {
        certificate: file(&written.client_certificate)?,
        private_key: file(&written.private_key)?,
        ..Credential::default()
    })
}

/// Tells one set of certificates and authorities from another, whatever names them.
fn fingerprint(written: &Written, own: &Credential, credentials: &Credentials) -> u64 {
    let file = written.ca_certificates.as_deref().and_then(|path| credentials.file(path).ok());
    let parts = [&own.certificate, &own.private_key, &own.authorities, &file];
    let parts = parts.into_iter().map(|part| part.as_deref().unwrap_or_default());
    parts.chain(credentials.trusted()).fold(1, |hash, part| xxh64(part, hash))
}

/// Who may sign the certificates of endpoints: those that the policy names, else the system's, and in either case those
/// that whoever runs the proxy trusts.
fn roots(written: &Written, beside: Option<&[u8]>, credentials: &Credentials) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let mut add = |pem: &[u8]| {
        for authority in CertificateDer::pem_slice_iter(pem) {
            let authority = authority.map_err(|error| format!("an authority cannot be read: {error}"))?;
            roots.add(authority).map_err(|error| format!("an authority is not usable: {error}"))?;
        }
        Ok::<_, String>(())
    };
    for trusted in credentials.trusted() {
        add(trusted)?;
    }
    match (written.ca_certificates.as_deref(), beside) {
        (Some(path), _) if path != SYSTEM => add(&credentials.file(path)?)?,
        (None, Some(pem)) => add(pem)?,
        _ => roots.roots.extend(SYSTEM_ROOTS.roots.iter().cloned()),
    }
    Ok(roots)
}

/// Read once: they change with the system.
static SYSTEM_ROOTS: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
});

/// Checks an endpoint's certificate.
#[derive(Debug)]
struct Verifier {
    /// None: whoever signed it.
    by_authority: Option<Arc<WebPkiServerVerifier>>,
    /// Of these one, if there are any (D54).
    names: Vec<String>,
    is_host_checked: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(verifier) = &self.by_authority else { return Ok(ServerCertVerified::assertion()) };
        let is_name = matches!(name, ServerName::DnsName(_));
        match verifier.verify_server_cert(own, others, name, stapled, now) {
            Ok(_) => {}
            // It is looked at last, when all else is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !(self.is_host_checked && is_name) => {}
            Err(error) => return Err(error),
        }
        let has_name = || parse(own).is_some_and(|own| names(&own).iter().any(|name| self.names.contains(name)));
        if self.names.is_empty() || has_name() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

/// What TLS to a cluster's endpoints needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamNeed {
    /// The cluster's name.
    pub cluster: String,
    /// Namespace of its Secrets.
    pub namespace: String,
    /// The files of the client's certificate and key.
    pub files: Vec<(String, String)>,
    /// The file of those who sign the endpoints' certificates.
    pub authorities_file: Option<String>,
    /// The Secret with the client's certificate, its key and the authorities.
    pub credential: Option<String>,
    /// Why it cannot be spoken, if so: then no endpoint is reached.
    pub problem: Option<String>,
}

/// The clusters of a table whose endpoints are spoken to in TLS.
pub fn upstream_needs(table: &Table, credentials: &Credentials) -> Vec<UpstreamNeed> {
    let owners = owners(table);
    let need = |cluster: Cluster<'_>| {
        // Most say nothing of TLS.
        let policy = cluster.policy_json().filter(|policy| policy.contains("\"tls\""))?;
        let policy: Value = serde_json::from_str(policy).ok()?;
        let owner = owners.get(&cluster.index());
        let made = UpstreamTls::of(&policy, &cluster, owner, credentials)?;
        let written = policy.get("tls").and_then(|tls| Written::deserialize(tls).ok()).unwrap_or_default();
        Some(UpstreamNeed {
            cluster: cluster.name().to_owned(),
            namespace: owner.map_or("", |proxy| proxy.namespace()).to_owned(),
            files: written.client_certificate.zip(written.private_key).into_iter().collect(),
            authorities_file: written.ca_certificates.filter(|path| path != SYSTEM),
            credential: written.credential_name,
            problem: made.err(),
        })
    };
    table.clusters().filter_map(need).collect()
}

/// The proxy that has each cluster, by the cluster's index; of several the first.
pub(crate) fn owners(table: &Table) -> HashMap<u32, Proxy<'_>> {
    let mut owners = HashMap::new();
    let mut programs = HashSet::new();
    for proxy in table.proxies().filter(|proxy| programs.insert(proxy.program())) {
        for cluster in proxy.clusters() {
            owners.entry(cluster.index()).or_insert(proxy);
        }
    }
    owners
}
