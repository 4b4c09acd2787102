//! What a certificate says.

use super::PROVIDER;
use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{fmt, fmt::Write as _, time::SystemTime};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, x509::X509Name, x509::X509Version,
};

/// Why a certificate that Envoy would serve may be refused by whoever checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is none.
    Unreadable,
    /// It is of version 1 or 2, which has no extensions: no names, no usages.
    Old,
    /// It has no subject alternative name, and the common name counts no more.
    Nameless,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    Early,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::Unreadable => "is no X.509 certificate",
            Flaw::Old => "is not of version 3 of X.509, so that it can hold no names",
            Flaw::Nameless => "has no subject alternative name, without which no current client takes it",
            Flaw::Expired => "has expired",
            Flaw::Early => "is not valid yet",
        })
    }
}

/// What is wrong with the first certificate of a PEM text.
pub(super) fn flaws(pem: &[u8]) -> Vec<Flaw> {
    let der = CertificateDer::from_pem_slice(pem);
    let Some(certificate) = der.as_ref().ok().and_then(|der| parse(der)) else { return vec![Flaw::Unreadable] };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
    let is_old = certificate.version != X509Version::V3;
    let validity = certificate.validity();
    let found = [
        (is_old, Flaw::Old),
        (!is_old && names(&certificate).is_empty(), Flaw::Nameless),
        (validity.not_after.timestamp() < now, Flaw::Expired),
        (validity.not_before.timestamp() > now, Flaw::Early),
    ];
    found.into_iter().filter(|(is_so, _)| *is_so).map(|(_, flaw)| flaw).collect()
}

pub(super) fn parse<'d>(der: &'d CertificateDer<'_>) -> Option<X509Certificate<'d>> {
    parse_x509_certificate(der).ok().map(|(_, certificate)| certificate)
}

/// Its subject alternative names, as people write them.
pub(super) fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension.value.general_names.iter().filter_map(text).collect()
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut suites = PROVIDER.cipher_suites.iter().filter_map(|suite| match suite {
        rustls::SupportedCipherSuite::Tls13(suite) => Some(suite.common.hash_provider),
        rustls::SupportedCipherSuite::Tls12(_) => None,
    });
    let hash = suites.find(|hash| hash.output_len() == 32)?;
    Some(hash.hash(bytes).as_ref().to_vec())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The `x-forwarded-client-cert` of a client that showed this certificate (semantics A64).
pub(crate) fn forwarded_cert(der: &CertificateDer<'_>) -> Option<String> {
    let certificate = parse(der)?;
    let mut text = format!("Hash={}", hexadecimal(&sha256(der)?));
    let _ = write!(text, ";Cert=\"{}\"", percent_encoded(&pem(der)));
    let _ = write!(text, ";Subject=\"{}\"", escaped(&subject(certificate.subject())));
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let of =
        |wanted: fn(&GeneralName<'_>) -> bool| names.iter().filter(move |name| wanted(name)).filter_map(self::text);
    let uris: Vec<String> = of(|name| matches!(name, GeneralName::URI(_))).collect();
    if uris.is_empty() {
        text.push_str(";URI=");
    }
    for uri in uris {
        let _ = write!(text, ";URI={uri}");
    }
    for name in of(|name| matches!(name, GeneralName::DNSName(_))) {
        let _ = write!(text, ";DNS={name}");
    }
    Some(text)
}

/// A name as RFC 2253 writes it: the last part first.
fn subject(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let written = parts.into_iter().rev().map(|part| {
        let attributes = part.iter().map(|attribute| {
            let oid = attribute.attr_type();
            let key = x509_parser::objects::oid2abbrev(oid, x509_parser::objects::oid_registry());
            let key = key.map_or_else(|_| oid.to_id_string(), str::to_owned);
            format!("{key}={}", attribute.as_str().unwrap_or_default())
        });
        attributes.collect::<Vec<_>>().join("+")
    });
    written.collect::<Vec<_>>().join(",")
}

/// As a quoted text of a header has it; control characters by their bytes, as RFC 2253 lets them be written.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' | '"' => written.extend(['\\', char]),
            char if char.is_control() => {
                let mut bytes = [0; 4];
                for byte in char.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(written, "\\\\{byte:02X}");
                }
            }
            char => written.push(char),
        }
    }
    written
}

fn pem(der: &[u8]) -> String {
    let base64 = base64(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in base64.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_subject_says_is_the_value_of_a_header() {
        assert_eq!(escaped("CN=a \\\"b\n\u{85}"), r#"CN=a \\\"b\\0A\\C2\\85"#);
    }

    #[test]
    fn flaws_are_named() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem()
        };
        assert_eq!(flaws(certificate(&["shop.com"]).as_bytes()), []);
        assert_eq!(flaws(certificate(&[]).as_bytes()), [Flaw::Nameless]);
        assert_eq!(flaws(b"no certificate"), [Flaw::Unreadable]);
    }

    #[test]
    fn a_client_is_told_of_by_its_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.com".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI("spiffe://x/y".try_into().unwrap()));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Shop");
        params.distinguished_name.push(rcgen::DnType::CommonName, "a \"b\"");
        let certificate = params.self_signed(&key).unwrap();
        let text = forwarded_cert(certificate.der()).unwrap();
        assert!(text.starts_with("Hash=") && text.contains(";Cert=\"-----BEGIN%20CERTIFICATE-----%0AM"), "{text}");
        assert!(text.ends_with(";Subject=\"CN=a \\\"b\\\",O=Shop\";URI=spiffe://x/y;DNS=a.com"), "{text}");
    }
}
