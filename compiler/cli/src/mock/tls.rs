//! TLS of stand-ins: whatever name a client asks for, the local authority has signed it.

use super::LocalAuthority;
use crate::locked::locked;
use malha_proxy::Credential;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};
use tokio_rustls::TlsAcceptor;

/// Certificates that are kept.
const MOST: usize = 1024;

/// What ends TLS for stand-ins.
pub(super) fn acceptor(authority: Arc<LocalAuthority>) -> Option<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let resolver = Resolver { authority, provider: Arc::clone(&provider), made: Mutex::default() };
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
}

struct Resolver {
    authority: Arc<LocalAuthority>,
    provider: Arc<CryptoProvider>,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or("localhost");
        let mut made = locked(&self.made);
        if let Some(known) = made.get(name) {
            return Some(Arc::clone(known));
        }
        let credential = self.authority.issue(&[name.to_owned()]).ok()?;
        let key = Arc::new(certified(&credential, &self.provider)?);
        if made.len() < MOST {
            made.insert(name.to_owned(), Arc::clone(&key));
        }
        Some(key)
    }
}

fn certified(credential: &Credential, provider: &CryptoProvider) -> Option<CertifiedKey> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(credential.certificate.as_deref()?).collect();
    let key = PrivateKeyDer::from_pem_slice(credential.private_key.as_deref()?).ok()?;
    Some(CertifiedKey::new(chain.ok()?, provider.key_provider.load_private_key(key).ok()?))
}
