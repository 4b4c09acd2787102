//! TLS: what certificates there are, how it is ended at a filter chain, what is known of a client by it.

mod certificate;
mod client;
mod credentials;
mod server;
mod source;
mod upstream;

pub(crate) use certificate::forwarded_cert;
pub use credentials::{Credential, Credentials};
pub(crate) use server::Terminations;
pub use server::{CertificateProblem, certificate_problems};
pub use source::CredentialSource;

pub use upstream::{UpstreamNeed, upstream_needs};
pub(crate) use upstream::{UpstreamTls, mesh_identity, owners, server_name};

use rustls::crypto::CryptoProvider;
use std::sync::{Arc, LazyLock};

/// What does the cryptography.
pub(crate) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
});

/// Whether a certificate's name, which may be `*.rest`, stands for a host: the wildcard for one label.
pub(crate) fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest)),
        None => name.eq_ignore_ascii_case(host),
    }
}
