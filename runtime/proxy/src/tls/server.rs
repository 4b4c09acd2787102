//! How TLS ends at each filter chain of a table, as rustls does it (semantics A.6).

use super::{
    Credential, Credentials, PROVIDER,
    certificate::{Flaw, flaws, names, parse},
    client, covers,
};
use malha_table::{
    Role, Table,
    view::{Chain, Filter, Proxy, Termination},
};
use rustls::{
    ServerConfig, SignatureAlgorithm, SupportedCipherSuite, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use std::{collections::HashMap, fmt, sync::Arc};

/// How TLS ends at one filter chain.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// For clients that offer a protocol which the chain speaks.
    negotiating: Arc<ServerConfig>,
    /// For all others: Envoy lets them go on without one.
    plain: Arc<ServerConfig>,
}

impl Ends {
    /// The configuration for a client by the protocols that it offers.
    pub(crate) fn config(&self, offered: &[Vec<u8>]) -> Arc<ServerConfig> {
        let own = &self.negotiating.alpn_protocols;
        let config = if own.iter().any(|own| offered.contains(own)) { &self.negotiating } else { &self.plain };
        Arc::clone(config)
    }
}

/// By namespace and name of the proxy, and index of the termination in the table.
type Key = (String, String, u32);

fn key(proxy: &Proxy<'_>, ends: &Termination<'_>) -> Key {
    (proxy.namespace().to_owned(), proxy.name().to_owned(), ends.index())
}

/// How TLS ends at all filter chains of a table.
#[derive(Debug, Default)]
pub(crate) struct Terminations {
    by_key: HashMap<Key, (Material, Result<Ends, String>)>,
}

/// Everything that a configuration is made of: where it is the same as before, so is the configuration, and clients
/// can resume their sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Material {
    settings: String,
    credentials: Result<Vec<Credential>, String>,
}

impl Terminations {
    pub(crate) fn new(table: &Table, credentials: &Credentials, before: &Terminations) -> Self {
        let mut by_key = HashMap::new();
        for (proxy, chain, ends) in terminations(table) {
            let material = material(&proxy, &chain, &ends, credentials);
            let key = key(&proxy, &ends);
            let made = match before.by_key.get(&key) {
                Some((same, made)) if *same == material => made.clone(),
                _ => make(&chain, &ends, &material),
            };
            by_key.insert(key, (material, made));
        }
        Terminations { by_key }
    }

    /// How TLS ends there; an error says why it cannot.
    pub(crate) fn get(&self, proxy: &Proxy<'_>, ends: &Termination<'_>) -> Option<&Result<Ends, String>> {
        self.by_key.get(&key(proxy, ends)).map(|(_, made)| made)
    }
}

/// What is wrong with the certificate of a filter chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateProblem {
    /// Namespace of the gateway's proxy, which is that of its Secrets.
    pub namespace: String,
    /// `SIMPLE`, `MUTUAL`, ...
    pub mode: String,
    /// The names of the Secrets that it asks for.
    pub credentials: Vec<String>,
    /// The files of certificates and keys that it asks for.
    pub files: Vec<(String, String)>,
    /// The file of the authorities for clients that it asks for.
    pub authorities_file: Option<String>,
    /// The names that its clients ask for; none: any.
    pub hosts: Vec<String>,
    /// What is wrong.
    pub reason: String,
    /// Whether TLS is ended with it nevertheless, as Envoy would.
    pub is_served: bool,
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = if self.hosts.is_empty() { "any name".to_owned() } else { self.hosts.join(", ") };
        if self.is_served {
            write!(f, "the certificate for {hosts} {}", self.reason)
        } else {
            write!(f, "TLS for {hosts} cannot be ended: {}", self.reason)
        }
    }
}

/// The filter chains of a table that cannot end TLS with these credentials, or whose clients will not like it.
pub fn certificate_problems(table: &Table, credentials: &Credentials) -> Vec<CertificateProblem> {
    let mut problems: Vec<CertificateProblem> = Vec::new();
    for (proxy, chain, ends) in terminations(table) {
        let material = material(&proxy, &chain, &ends, credentials);
        let (reason, is_served) = match make(&chain, &ends, &material) {
            Err(reason) => (reason, false),
            Ok(_) => match material.flaws().first() {
                Some(flaw) => (flaw.to_string(), true),
                None => continue,
            },
        };
        let one = CertificateProblem {
            namespace: proxy.namespace().to_owned(),
            mode: ends.mode().to_owned(),
            credentials: ends.credentials().map(str::to_owned).collect(),
            files: ends.certificates().map(|(certificate, key)| (certificate.to_owned(), key.to_owned())).collect(),
            authorities_file: ends.ca_certificates().map(str::to_owned),
            hosts: chain.server_names().map(str::to_owned).collect(),
            reason,
            is_served,
        };
        if !problems.contains(&one) {
            problems.push(one);
        }
    }
    problems
}

impl Material {
    fn flaws(&self) -> Vec<Flaw> {
        let credentials = self.credentials.as_deref().unwrap_or_default();
        credentials.iter().filter_map(|one| one.certificate.as_deref()).flat_map(flaws).collect()
    }
}

fn terminations(table: &Table) -> impl Iterator<Item = (Proxy<'_>, Chain<'_>, Termination<'_>)> {
    let gateways = table.proxies().filter(|proxy| proxy.role() == Role::Gateway);
    gateways.flat_map(|proxy| {
        let chains = proxy.listeners().flat_map(|listener| listener.chains());
        chains.filter_map(move |chain| Some((proxy, chain, chain.termination()?)))
    })
}

fn material(proxy: &Proxy<'_>, chain: &Chain<'_>, ends: &Termination<'_>, credentials: &Credentials) -> Material {
    let list = |texts: Vec<&str>| texts.join(" ");
    let settings = [
        ends.mode().to_owned(),
        format!("{:?} {:?} {}", ends.min_version(), ends.max_version(), ends.insecure_skip_verify()),
        list(ends.cipher_suites().collect()),
        list(ends.subject_alt_names().collect()),
        list(ends.key_hashes().collect()),
        list(ends.certificate_hashes().collect()),
        matches!(chain.filter(), Some(Filter::Http(_))).to_string(),
    ];
    Material { settings: settings.join("\n"), credentials: gather(proxy, ends, credentials) }
}

/// The certificates that a `tls` block names, those of authorities with the first (semantics A46, A47).
fn gather(proxy: &Proxy<'_>, ends: &Termination<'_>, known: &Credentials) -> Result<Vec<Credential>, String> {
    let namespace = proxy.namespace();
    if ends.mode() == "ISTIO_MUTUAL" {
        let identity = known.identity_among(namespace, proxy.name()).cloned();
        return identity.map(|identity| vec![identity]).ok_or_else(|| {
            "ISTIO_MUTUAL needs a certificate by the mesh's own authority, which `--mesh-certs` gives".to_owned()
        });
    }
    let mut found = Vec::new();
    for name in ends.credentials() {
        let name = name.strip_prefix("kubernetes://").unwrap_or(name);
        let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
        let missing =
            || format!("there is no Secret {name} in namespace {namespace}{}", likely(name, namespace, known));
        let mut credential = known.get(namespace, name).ok_or_else(missing)?.clone();
        let of_authority = ends.ca_credential().unwrap_or(name);
        let suffixed = format!("{name}-cacert");
        let candidates = [Some(suffixed.as_str()).filter(|_| ends.ca_credential().is_none()), Some(of_authority)];
        let mut others = candidates.into_iter().flatten().filter_map(|other| known.get(namespace, other));
        if let Some(other) = others.find(|other| other.authorities.is_some()) {
            credential.authorities.clone_from(&other.authorities);
            credential.withdrawn.clone_from(&other.withdrawn);
        }
        found.push(credential);
    }
    if found.is_empty() {
        for (certificate, key) in ends.certificates() {
            found.push(Credential {
                certificate: Some(known.file(certificate)?),
                private_key: Some(known.file(key)?),
                authorities: ends.ca_certificates().map(|path| known.file(path)).transpose()?,
                withdrawn: ends.ca_crl().map(|path| known.file(path)).transpose()?,
            });
        }
    }
    if found.is_empty() { Err("its `tls` block names no certificate".to_owned()) } else { Ok(found) }
}

/// Another Secret that may have been meant.
fn likely(name: &str, namespace: &str, known: &Credentials) -> String {
    let of_others = known.anywhere(name).find(|other| *other != namespace);
    match (of_others, known.names(namespace).find(|other| other.contains(name) || name.contains(other))) {
        (Some(other), _) => format!("; the one in {other} is not looked at, since a gateway uses its own namespace's"),
        (None, Some(near)) => format!("; there is one called {near}"),
        (None, None) => String::new(),
    }
}

fn make(chain: &Chain<'_>, ends: &Termination<'_>, material: &Material) -> Result<Ends, String> {
    let credentials = material.credentials.as_ref().map_err(Clone::clone)?;
    let keys: Result<Vec<_>, String> = credentials.iter().map(certified).collect();
    let mut keys = keys?;
    // Of two that a client takes Envoy uses the one with the ECDSA key.
    keys.sort_by_key(|key| key.key.algorithm() != SignatureAlgorithm::ECDSA);
    let first = credentials.first();
    let part = |part: fn(&Credential) -> &Option<Arc<[u8]>>| first.and_then(|first| part(first).as_deref());
    let verifier = client::verifier(ends, part(|one| &one.authorities), part(|one| &one.withdrawn))?;
    let mut provider = (**PROVIDER).clone();
    provider.cipher_suites = suites(ends)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions(ends)?)
        .map_err(|error| format!("its versions and ciphers do not go together: {error}"))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let plain = builder.with_cert_resolver(Arc::new(Several(keys)));
    let mut negotiating = plain.clone();
    if matches!(chain.filter(), Some(Filter::Http(_))) {
        negotiating.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    Ok(Ends { negotiating: Arc::new(negotiating), plain: Arc::new(plain) })
}

/// A certificate with its key. It is not checked as a client would: Envoy serves an old one, too.
fn certified(credential: &Credential) -> Result<Arc<CertifiedKey>, String> {
    let pem = credential.certificate.as_deref().ok_or("its Secret has no `tls.crt`")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| format!("its certificate cannot be read: {error}"))?;
    let own = chain.first().ok_or("its certificate holds no PEM block CERTIFICATE")?;
    let pem = credential.private_key.as_deref().ok_or("its Secret has no `tls.key`")?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("its key cannot be read: {error}"))?;
    let key = PROVIDER.key_provider.load_private_key(key).map_err(|error| format!("its key is not usable: {error}"))?;
    let certificate = parse(own).ok_or("its certificate is no X.509 certificate")?;
    if key.public_key().is_some_and(|public| &*public != certificate.public_key().raw) {
        return Err("its key is not that of its certificate".to_owned());
    }
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// TLS 1.2 to 1.3 unless the file narrows it; what is older than 1.2 is not spoken (semantics A50).
fn versions(ends: &Termination<'_>) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let least = ends.min_version().unwrap_or("TLSV1_2");
    let most = ends.max_version().unwrap_or("TLSV1_3");
    let known = [("TLSV1_2", &TLS12), ("TLSV1_3", &TLS13)];
    let spoken = known.into_iter().filter(|(name, _)| least <= *name && *name <= most).map(|(_, version)| version);
    let spoken: Vec<_> = spoken.collect();
    if spoken.is_empty() { Err(format!("no version of TLS from 1.2 on is at most {most}")) } else { Ok(spoken) }
}

/// Those of TLS 1.3, which a file cannot choose, and of TLS 1.2 those that it names.
fn suites(ends: &Termination<'_>) -> Result<Vec<SupportedCipherSuite>, String> {
    let named: Vec<&str> = ends.cipher_suites().collect();
    let chosen = suites_named(&named);
    let has_old = chosen.iter().any(|suite| matches!(suite, SupportedCipherSuite::Tls12(_)));
    if !has_old && ends.max_version() == Some("TLSV1_2") {
        return Err(format!("none of its cipher suites is spoken here: {}", named.join(", ")));
    }
    Ok(chosen)
}

/// All of TLS 1.3, and those of TLS 1.2 that have these names in OpenSSL; without names all of them.
pub(super) fn suites_named(named: &[&str]) -> Vec<SupportedCipherSuite> {
    let is_wanted = |suite: &&SupportedCipherSuite| match suite {
        SupportedCipherSuite::Tls13(_) => true,
        SupportedCipherSuite::Tls12(_) => {
            named.is_empty() || openssl_name(suite).is_some_and(|name| named.contains(&name.as_str()))
        }
    };
    PROVIDER.cipher_suites.iter().filter(is_wanted).copied().collect()
}

/// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is `ECDHE-RSA-AES128-GCM-SHA256`.
fn openssl_name(suite: &SupportedCipherSuite) -> Option<String> {
    let name = suite.suite().as_str()?.strip_prefix("TLS_")?.replace("_WITH_", "_");
    let name = name.replace("AES_128", "AES128").replace("AES_256", "AES256").replace('_', "-");
    Some(name.replace("CHACHA20-POLY1305-SHA256", "CHACHA20-POLY1305"))
}

/// Several certificates: of those that a client can check, one for the name that it asks for, else the first.
#[derive(Debug)]
struct Several(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Several {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut usable = self.0.iter().filter(|key| key.key.choose_scheme(hello.signature_schemes()).is_some());
        let Some(wanted) = hello.server_name() else { return usable.next().cloned() };
        let is_for = |key: &&Arc<CertifiedKey>| {
            let certificate = key.cert.first().and_then(parse);
            certificate.is_some_and(|certificate| names(&certificate).iter().any(|name| covers(name, wanted)))
        };
        usable.clone().find(is_for).or_else(|| usable.next()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_their_names_in_openssl() {
        let names: Vec<String> = PROVIDER.cipher_suites.iter().filter_map(openssl_name).collect();
        for name in ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"] {
            assert!(names.iter().any(|known| known == name), "{name} among {names:?}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(covers("*.a.com", "x.a.com") && covers("A.com", "a.com"));
        assert!(!covers("*.a.com", "a.com") && !covers("*.a.com", "x.y.a.com"));
    }
}
