//! Which clients' certificates are taken (semantics A.6).

use super::{
    PROVIDER,
    certificate::{base64, hexadecimal, names, parse, sha256},
};
use malha_table::view::Termination;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::sync::Arc;

/// Checks clients by their authorities, if it has any, and by what else a `tls` block asks for.
#[derive(Debug)]
struct Verifier {
    /// None: whoever signed it.
    by_authority: Option<Arc<dyn ClientCertVerifier>>,
    is_mandatory: bool,
    /// Of these one, if there are any.
    names: Vec<String>,
    /// Of these and the next one, if there are any.
    key_hashes: Vec<String>,
    certificate_hashes: Vec<String>,
}

/// The check of a server; none: clients are not asked for certificates.
pub(super) fn verifier(
    ends: &Termination<'_>,
    authorities: Option<&[u8]>,
    withdrawn: Option<&[u8]>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let is_mandatory = match ends.mode() {
        "MUTUAL" | "ISTIO_MUTUAL" => true,
        "OPTIONAL_MUTUAL" => false,
        _ => return Ok(None),
    };
    let by_authority = if ends.insecure_skip_verify() {
        None
    } else {
        let pem = authorities.ok_or("there is no certificate of an authority for clients (`ca.crt`)")?;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(pem) {
            let authority = authority.map_err(|error| format!("the authority for clients cannot be read: {error}"))?;
            roots.add(authority).map_err(|error| format!("the authority for clients is not usable: {error}"))?;
        }
        let withdrawn: Result<Vec<_>, _> =
            CertificateRevocationListDer::pem_slice_iter(withdrawn.unwrap_or_default()).collect();
        let withdrawn = withdrawn.map_err(|error| format!("the list of withdrawn certificates: {error}"))?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER));
        let builder = builder.with_crls(withdrawn).allow_unknown_revocation_status();
        Some(builder.build().map_err(|error| format!("the authority for clients is not usable: {error}"))? as _)
    };
    let owned = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::to_owned).collect::<Vec<_>>();
    Ok(Some(Arc::new(Verifier {
        by_authority,
        is_mandatory,
        names: owned(&mut ends.subject_alt_names()),
        key_hashes: owned(&mut ends.key_hashes()),
        certificate_hashes: ends.certificate_hashes().map(|hash| hash.replace(':', "").to_lowercase()).collect(),
    })))
}

impl Verifier {
    fn suits(&self, der: &CertificateDer<'_>) -> bool {
        let Some(certificate) = parse(der) else { return false };
        let has_name = self.names.is_empty() || names(&certificate).iter().any(|name| self.names.contains(name));
        let is_free = self.key_hashes.is_empty() && self.certificate_hashes.is_empty();
        let has_hash = |known: &[String], bytes: &[u8], write: fn(&[u8]) -> String| {
            !known.is_empty() && sha256(bytes).is_some_and(|hash| known.contains(&write(&hash)))
        };
        has_name
            && (is_free
                || has_hash(&self.key_hashes, certificate.public_key().raw, base64)
                || has_hash(&self.certificate_hashes, der, hexadecimal))
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by_authority.as_ref().map_or(&[], |verifier| verifier.root_hint_subjects())
    }

    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(verifier) = &self.by_authority {
            verifier.verify_client_cert(own, others, now)?;
        }
        if self.suits(own) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
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
