//! What one Secret holds.

use super::key::{self, PublicKey, PublicPart};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use malha_model::{Resource, kubernetes::Secret};
use malha_syntax::Location;
use smol_str::SmolStr;
use std::net::{Ipv4Addr, Ipv6Addr};
use x509_parser::{extensions::GeneralName, parse_x509_certificate, pem::Pem, x509::X509Version};

/// A Secret of the input.
#[derive(Clone, Copy)]
pub(crate) struct HeldSecret<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) secret: &'a Secret,
}

/// What a certificate says, as far as gateways and their clients ask.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// Its subject alternative names.
    pub(crate) names: Vec<String>,
    /// Whether it has names of any sort, those of people and programs among them.
    has_names: bool,
    /// Whether it can have any: it is of version 3.
    is_v3: bool,
    /// Both in seconds since 1970.
    not_before: i64,
    not_after: i64,
    /// Its end as people write it.
    pub(crate) ends: String,
    key: Option<PublicKey>,
}

/// What is wrong with a Secret as a server's credential, and at which of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It has none of these entries.
    Missing(&'static str),
    /// An entry is no base64.
    NotBase64,
    /// No certificate.
    NoCertificate,
    /// No private key.
    NoKey,
    /// A key that only a passphrase opens, which no proxy has.
    Encrypted,
    /// The key is not that of the certificate.
    OtherKey,
    /// A certificate of version 1 or 2.
    Old,
    /// A certificate without subject alternative names.
    Nameless,
    /// A certificate whose time is over: since when.
    Expired(String),
    /// A certificate whose time has not come.
    Early,
}

impl Flaw {
    /// Whether the gateway itself cannot use it; the others only clients refuse.
    pub(crate) fn stops_gateway(&self) -> bool {
        !matches!(self, Flaw::Old | Flaw::Nameless | Flaw::Expired(_) | Flaw::Early)
    }
}

/// The entries that Istio reads certificate, key and authorities from, the first that there is.
const CERTIFICATE: [&str; 2] = ["tls.crt", "cert"];
const KEY: [&str; 2] = ["tls.key", "key"];
const AUTHORITIES: [&str; 2] = ["ca.crt", "cacert"];

/// An entry of a Secret.
enum Entry {
    /// It is not there, or empty.
    None,
    /// Another program is to fill it in, or to decrypt it.
    Unknown,
    Broken(Location),
    Bytes(Location, Vec<u8>),
}

impl<'a> HeldSecret<'a> {
    /// Whether it is made for TLS: by its type, or by what it holds.
    pub(crate) fn is_for_tls(&self) -> bool {
        let is_of_type = self.secret.r#type.as_ref().is_some_and(|kind| kind.value == "kubernetes.io/tls");
        let holds = |name: &&str| self.secret.data.get(name).is_some() || self.secret.string_data.get(name).is_some();
        is_of_type || [CERTIFICATE, AUTHORITIES].iter().flatten().any(holds)
    }

    /// What is wrong with it, where; none also if nobody can tell. `now`: the time in seconds since 1970.
    pub(crate) fn flaw(&self, now: Option<i64>) -> Option<(Flaw, Location)> {
        let whole = crate::place::named(self.resource);
        let (certificate_at, certificate) = match self.entry(CERTIFICATE) {
            Entry::None => return Some((Flaw::Missing("tls.crt"), whole)),
            Entry::Unknown => return None,
            Entry::Broken(place) => return Some((Flaw::NotBase64, place)),
            Entry::Bytes(place, bytes) => (place, bytes),
        };
        let (key_at, key) = match self.entry(KEY) {
            Entry::None => return Some((Flaw::Missing("tls.key"), whole)),
            Entry::Unknown => return None,
            Entry::Broken(place) => return Some((Flaw::NotBase64, place)),
            Entry::Bytes(place, bytes) => (place, bytes),
        };
        let Some(certificate) = parse(&certificate) else { return Some((Flaw::NoCertificate, certificate_at)) };
        match public_part(&key) {
            Err(flaw) => return Some((flaw, key_at)),
            Ok(PublicPart::Known(public)) if certificate.key.as_ref().is_some_and(|own| *own != public) => {
                return Some((Flaw::OtherKey, key_at));
            }
            Ok(_) => {}
        }
        certificate.flaw(now).map(|flaw| (flaw, certificate_at))
    }

    /// Its certificate, where it can be read.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        match self.entry(CERTIFICATE) {
            Entry::Bytes(_, bytes) => parse(&bytes),
            _ => None,
        }
    }

    /// Whether it surely holds no authorities.
    pub(crate) fn lacks_authorities(&self) -> bool {
        matches!(self.entry(AUTHORITIES), Entry::None)
    }

    /// The first of some entries that is there. What is written in clear beats the other, as in Kubernetes.
    fn entry(&self, names: [&str; 2]) -> Entry {
        for name in names {
            if let Some(text) = self.secret.string_data.get(name).filter(|text| !text.value.reveal().is_empty()) {
                let bytes = text.value.reveal();
                return if is_placeholder(bytes) {
                    Entry::Unknown
                } else {
                    Entry::Bytes(self.resource.location(text.key), bytes.as_bytes().to_vec())
                };
            }
            let Some(text) = self.secret.data.get(name).filter(|text| !text.value.reveal().is_empty()) else {
                continue;
            };
            return self.decoded(text.key, text.value.reveal());
        }
        Entry::None
    }

    fn decoded(&self, key: malha_syntax::Span, text: &str) -> Entry {
        if is_placeholder(text) {
            return Entry::Unknown;
        }
        let text: String = text.split_ascii_whitespace().collect();
        let place = self.resource.location(key);
        match BASE64_STANDARD.decode(text) {
            Ok(bytes) if std::str::from_utf8(&bytes).is_ok_and(is_placeholder) => Entry::Unknown,
            Ok(bytes) => Entry::Bytes(place, bytes),
            Err(_) => Entry::Broken(place),
        }
    }

    /// Its namespace and name.
    pub(crate) fn name(&self) -> (&'a SmolStr, &'a SmolStr) {
        (&self.resource.namespace, &self.resource.name)
    }
}

/// Whether a value is one that some program puts the real one in the place of: nothing of base64 or PEM has these.
fn is_placeholder(text: &str) -> bool {
    let is_pem = text.contains("-----BEGIN");
    text.contains(['<', '{', '[', '$']) || (!is_pem && text.contains([':', '(', '@', '_']))
}

/// The first certificate of a PEM text.
fn parse(pem: &[u8]) -> Option<Certificate> {
    let pem = Pem::iter_from_buffer(pem).filter_map(Result::ok).find(|part| part.label == "CERTIFICATE")?;
    let (_, certificate) = parse_x509_certificate(&pem.contents).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let has_names = names.as_ref().is_some_and(|extension| !extension.value.general_names.is_empty());
    let names = names.into_iter().flat_map(|extension| extension.value.general_names.iter().filter_map(name_text));
    let validity = certificate.validity();
    Some(Certificate {
        names: names.collect(),
        has_names,
        is_v3: certificate.version() == X509Version::V3,
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        ends: validity.not_after.to_string(),
        key: key::of_certificate(certificate.public_key()),
    })
}

impl Certificate {
    fn flaw(&self, now: Option<i64>) -> Option<Flaw> {
        if !self.is_v3 {
            return Some(Flaw::Old);
        }
        if !self.has_names {
            return Some(Flaw::Nameless);
        }
        let now = now?;
        if self.not_after < now {
            return Some(Flaw::Expired(self.ends.clone()));
        }
        (self.not_before > now).then_some(Flaw::Early)
    }

    /// Whether it is for a host, or for some hosts of a wildcard (RFC 6125: a wildcard stands for one label).
    pub(crate) fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| covers(name, host))
    }
}

fn covers(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    if let Some(suffix) = host.strip_prefix('*') {
        // Names of whole labels below the wildcard, wildcards among them.
        return suffix.is_empty() || name.ends_with(suffix);
    }
    match name.strip_prefix("*.") {
        Some(suffix) => host.split_once('.').is_some_and(|(_, rest)| rest == suffix),
        None => name == host,
    }
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
            let sixteen = || <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).to_string());
            four.or_else(|_| sixteen()).ok()
        }
        _ => None,
    }
}

/// The public part of the first private key of a PEM text, where it holds one.
fn public_part(pem: &[u8]) -> Result<PublicPart, Flaw> {
    let mut parts = Pem::iter_from_buffer(pem).filter_map(Result::ok);
    let part = parts.find(|part| part.label.ends_with("PRIVATE KEY")).ok_or(Flaw::NoKey)?;
    let text = String::from_utf8_lossy(pem);
    if part.label == "ENCRYPTED PRIVATE KEY" || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Flaw::Encrypted);
    }
    key::of_private_key(&part.label, &part.contents).ok_or(Flaw::NoKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cover_hosts() {
        for (name, host, expected) in [
            ("a.com", "A.com", true),
            ("*.a.com", "x.a.com", true),
            ("*.a.com", "x.y.a.com", false),
            ("*.a.com", "a.com", false),
            ("x.a.com", "*.a.com", true),
            ("*.a.com", "*.a.com", true),
            ("a.com", "*.a.com", false),
            ("a.com", "*", true),
            ("a.com", "b.com", false),
        ] {
            assert_eq!(covers(name, host), expected, "{name} {host}");
        }
    }

    #[test]
    fn a_pair_is_told_from_others() {
        let pair = |algorithm| rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let (one, two, rsa) =
            (pair(&rcgen::PKCS_ECDSA_P256_SHA256), pair(&rcgen::PKCS_ECDSA_P256_SHA256), pair(&rcgen::PKCS_RSA_SHA256));
        for own in [&one, &rsa] {
            let params = rcgen::CertificateParams::new(vec!["a.com".to_owned()]).expect("a name");
            let pem = params.self_signed(own).expect("a certificate").pem();
            let certificate = parse(pem.as_bytes()).expect("it is read");
            for other in [&one, &two, &rsa] {
                let public = public_part(other.serialize_pem().as_bytes()).expect("a key");
                let PublicPart::Known(public) = public else { panic!("its public part is in it") };
                assert_eq!(certificate.key.as_ref() == Some(&public), std::ptr::eq(own, other));
            }
        }
    }

    #[test]
    fn times_are_told_apart() {
        let mut params = rcgen::CertificateParams::new(vec!["a.com".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let pem = params.self_signed(&rcgen::KeyPair::generate().expect("a key")).expect("a certificate").pem();
        let certificate = parse(pem.as_bytes()).expect("it is read");
        assert_eq!(certificate.flaw(None), None);
        assert_eq!(certificate.flaw(Some(1_590_000_000)), None);
        assert_eq!(certificate.flaw(Some(1_500_000_000)), Some(Flaw::Early));
        assert!(matches!(certificate.flaw(Some(1_700_000_000)), Some(Flaw::Expired(_))));
    }
}
