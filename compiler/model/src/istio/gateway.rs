//! `Gateway`: what a proxy at the edge of the mesh listens for.

use crate::{
    Entries, Spanned,
    read::{Rule, choice, message},
    rules::DUPLICATE_ITEM,
};
use malha_syntax::Span;
use serde_json::json;
use smol_str::SmolStr;
use std::collections::HashMap;

message! {
    /// What the proxies at an edge of the mesh listen for.
    pub struct Gateway {
        /// The servers.
        servers: Vec<Spanned<Server>> = "servers",
        /// Labels of the proxies' workloads.
        selector: Entries<SmolStr> = "selector",
    }
    rules [PORT_NAMES_DIFFER]
}

message! {
    /// One port with the hosts that are served on it.
    pub struct Server {
        /// The port.
        port: Option<Spanned<Port>> = "port" [required],
        /// Address to listen on; all by default.
        bind: Option<Spanned<SmolStr>> = "bind",
        /// The hosts served, as `host` or `namespace/host`, wildcards allowed.
        hosts: Vec<Spanned<SmolStr>> = "hosts" [required],
        /// What to do about TLS.
        tls: Option<Box<Spanned<ServerTlsSettings>>> = "tls",
        /// Not implemented by Istio.
        default_endpoint: Option<Spanned<SmolStr>> = "defaultEndpoint",
        /// A name, shown in metrics.
        name: Option<Spanned<SmolStr>> = "name",
    }
}

/// Semantics A8.
const PORT_NAMES_DIFFER: Rule<Gateway> = Rule {
    check: |gateway, _, reader| {
        let mut known: HashMap<&str, Span> = HashMap::new();
        for (index, server) in gateway.servers.iter().enumerate() {
            let Some(name) = server.port.as_ref().and_then(|port| port.name.as_ref()) else { continue };
            let Some(first) = known.get(name.as_str()).copied() else {
                known.insert(name.as_str(), name.span);
                continue;
            };
            let message = format!("the port name `{}` is that of an earlier server of this Gateway", name.value);
            let finding = reader
                .finding(&DUPLICATE_ITEM, name.span, message)
                .related(reader.location(first), "the first one is here")
                .field(format!("spec.servers[{index}].port.name"))
                .help("give each port another name");
            reader.report(finding);
        }
    },
    // JSON Schema cannot compare items by what lies inside them.
    schema: || json!({}),
};

message! {
    /// A port to listen on.
    pub struct Port {
        /// Its number.
        number: Option<Spanned<u32>> = "number" [required],
        /// What is spoken: HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, ...
        protocol: Option<Spanned<SmolStr>> = "protocol" [required],
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name" [required],
        /// Not used.
        target_port: Option<Spanned<u32>> = "targetPort",
    }
}

message! {
    /// How a server speaks TLS.
    pub struct ServerTlsSettings {
        /// Whether plain HTTP is redirected to HTTPS.
        https_redirect: Option<Spanned<bool>> = "httpsRedirect",
        /// Who decrypts, and whether clients need certificates.
        mode: Option<Spanned<ServerTlsMode>> = "mode",
        /// File of the certificate.
        server_certificate: Option<Spanned<SmolStr>> = "serverCertificate",
        /// File of its key.
        private_key: Option<Spanned<SmolStr>> = "privateKey",
        /// File of the authorities that sign clients' certificates.
        ca_certificates: Option<Spanned<SmolStr>> = "caCertificates",
        /// File of the clients' certificates that were withdrawn.
        ca_crl: Option<Spanned<SmolStr>> = "caCrl",
        /// Files of up to two certificates with their keys.
        tls_certificates: Vec<Spanned<TlsCertificate>> = "tlsCertificates" [min_items(1), max_items(2)],
        /// The Secret that holds certificate and key.
        credential_name: Option<Spanned<SmolStr>> = "credentialName",
        /// The Secrets that hold up to two certificates with their keys.
        credential_names: Vec<Spanned<SmolStr>> = "credentialNames" [min_items(1), max_items(2)],
        /// The Secret that holds the authorities that sign clients' certificates.
        ca_cert_credential_name: Option<Spanned<SmolStr>> = "caCertCredentialName",
        /// Names of which a client's certificate must hold one.
        subject_alt_names: Vec<Spanned<SmolStr>> = "subjectAltNames",
        /// Hashes of keys (SPKI) of which a client's certificate must have one.
        verify_certificate_spki: Vec<Spanned<SmolStr>> = "verifyCertificateSpki",
        /// Hashes of certificates of which a client's must be one.
        verify_certificate_hash: Vec<Spanned<SmolStr>> = "verifyCertificateHash",
        /// Oldest version of TLS spoken.
        min_protocol_version: Option<Spanned<TlsProtocol>> = "minProtocolVersion",
        /// Newest version of TLS spoken.
        max_protocol_version: Option<Spanned<TlsProtocol>> = "maxProtocolVersion",
        /// The ciphers offered.
        cipher_suites: Vec<Spanned<SmolStr>> = "cipherSuites",
        /// The curves offered.
        ecdh_curves: Vec<Spanned<SmolStr>> = "ecdhCurves",
        /// Not used by servers.
        insecure_skip_verify: Option<Spanned<bool>> = "insecureSkipVerify" [nullable],
    }
    exclusive [tls_certificates, credential_names]
    exclusive [credential_name, credential_names]
}

message! {
    /// Files of a certificate and its key.
    pub struct TlsCertificate {
        /// File of the certificate.
        server_certificate: Option<Spanned<SmolStr>> = "serverCertificate",
        /// File of its key.
        private_key: Option<Spanned<SmolStr>> = "privateKey",
        /// File of the authorities that sign it.
        ca_certificates: Option<Spanned<SmolStr>> = "caCertificates",
    }
}

choice! {
    /// Who decrypts, and whether clients need certificates.
    pub enum ServerTlsMode {
        /// Nobody decrypts here; the server name chooses the route.
        Passthrough = "PASSTHROUGH",
        /// Decrypted here, with this server's certificate.
        Simple = "SIMPLE",
        /// Decrypted here; clients must show a certificate.
        Mutual = "MUTUAL",
        /// Nobody decrypts here; the server name is the destination itself.
        AutoPassthrough = "AUTO_PASSTHROUGH",
        /// Decrypted here with the mesh's own certificates; clients must show one of the mesh.
        IstioMutual = "ISTIO_MUTUAL",
        /// Decrypted here; clients may show a certificate.
        OptionalMutual = "OPTIONAL_MUTUAL",
    }
}

choice! {
    /// A version of TLS.
    pub enum TlsProtocol {
        /// Istio's own choice.
        Auto = "TLS_AUTO",
        /// TLS 1.0.
        V1_0 = "TLSV1_0",
        /// TLS 1.1.
        V1_1 = "TLSV1_1",
        /// TLS 1.2.
        V1_2 = "TLSV1_2",
        /// TLS 1.3.
        V1_3 = "TLSV1_3",
    }
}
