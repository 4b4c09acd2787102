//! Authorities, certificates, and clients that speak TLS.

use super::client::{Client, connect};
use malha_proxy::Credential;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, ExtendedKeyUsagePurpose,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};
use std::{
    io,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Certified {
    certificate: rcgen::Certificate,
    key: KeyPair,
    number: SerialNumber,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, of servers and clients.
    pub fn issue(&self, names: &[&str]) -> Certified {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let number = SerialNumber::from(key.public_key_raw()[1..17].to_vec());
        params.serial_number = Some(number.clone());
        Certified { certificate: params.signed_by(&key, &self.0).unwrap(), key, number }
    }

    /// A list of the certificates that do not count any more.
    pub fn withdraw(&self, certificates: &[&Certified]) -> String {
        let (then, later) = (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1));
        let revoked_certs = certificates.iter().map(|one| RevokedCertParams {
            serial_number: one.number.clone(),
            revocation_time: then,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: then,
            next_update: later,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

impl Certified {
    /// As a Secret holds it.
    pub fn credential(&self) -> Credential {
        Credential {
            certificate: Some(self.certificate.pem().into_bytes().into()),
            private_key: Some(self.key.serialize_pem().into_bytes().into()),
            ..Credential::default()
        }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    pub fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }
}

/// How a client speaks TLS.
pub struct Speaker<'a> {
    pub trusts: &'a Authority,
    pub shows: Option<&'a Certified>,
    pub offers: &'a [&'a str],
    pub is_old: bool,
    /// Takes any certificate.
    pub is_careless: bool,
}

impl<'a> Speaker<'a> {
    pub fn new(trusts: &'a Authority) -> Self {
        Speaker { trusts, shows: None, offers: &[], is_old: false, is_careless: false }
    }

    pub fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = if self.is_old { vec![&TLS12] } else { vec![&TLS12, &TLS13] };
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![own.certificate.der().clone()], key).unwrap()
            }
        };
        if self.is_careless {
            config.dangerous().set_certificate_verifier(Arc::new(Careless));
        }
        config.alpn_protocols = self.offers.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// Shakes hands; the error is rustls's or the socket's.
    pub fn shake(&self, address: SocketAddr, name: &str) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        self.shake_on(connect(address), name)
    }

    /// The same on a connection that is open already.
    pub fn shake_on(&self, stream: TcpStream, name: &str) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(self.config()), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        stream.flush()?;
        Ok(stream)
    }

    /// What it says first to a server of this name.
    pub fn hello(&self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::new(self.config()), name).unwrap();
        let mut bytes = Vec::new();
        session.write_tls(&mut bytes).expect("there is room");
        bytes
    }

    /// A connection for HTTP/1.1.
    pub fn connect(&self, address: SocketAddr, name: &str) -> Client {
        Client::over(self.shake(address, name).expect("both sides agree"))
    }
}

/// Takes any certificate of a server.
#[derive(Debug)]
struct Careless;

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
