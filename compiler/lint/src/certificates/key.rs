//! Public parts of keys: of a certificate, and of the private key that should belong to it.

use x509_parser::{public_key::PublicKey as Parsed, x509::SubjectPublicKeyInfo};

/// The public part of a key pair, as far as two of them can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// The modulus, without leading zeros.
    Rsa(Vec<u8>),
    /// The point on the curve.
    Ec(Vec<u8>),
}

/// The key of a certificate; none if it is of another kind.
pub(super) fn of_certificate(info: &SubjectPublicKeyInfo<'_>) -> Option<PublicKey> {
    match info.parsed().ok()? {
        Parsed::RSA(key) => Some(PublicKey::Rsa(unsigned(key.modulus))),
        Parsed::EC(point) => Some(PublicKey::Ec(point.data().to_vec())),
        _ => None,
    }
}

/// RSA and keys on curves, by their names in DER (PKCS #1; SEC 1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// `[1]` with an object inside: the public key in a private key of SEC 1.
const PUBLIC: u8 = 0xa1;

/// What a private key tells of its public part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicPart {
    /// It holds it.
    Known(PublicKey),
    /// It holds none, or is of another kind.
    Unknown,
}

/// The public part of a private key; none if it is no private key. `label` is that of its PEM.
pub(super) fn of_private_key(label: &str, der: &[u8]) -> Option<PublicPart> {
    match label {
        "RSA PRIVATE KEY" => rsa(der),
        "EC PRIVATE KEY" => ec(der),
        "PRIVATE KEY" => pkcs8(der),
        _ => None,
    }
}

/// RFC 5208: version, algorithm, and the key of that algorithm.
fn pkcs8(der: &[u8]) -> Option<PublicPart> {
    let body = expect(der, SEQUENCE)?.0;
    let (_, rest) = expect(body, INTEGER)?;
    let (algorithm, rest) = expect(rest, SEQUENCE)?;
    let (key, _) = expect(rest, OCTET_STRING)?;
    let (name, _) = expect(algorithm, 0x06)?;
    match name {
        RSA => rsa(key),
        EC => ec(key),
        _ => Some(PublicPart::Unknown),
    }
}

/// RFC 8017: version, modulus, and more.
fn rsa(der: &[u8]) -> Option<PublicPart> {
    let body = expect(der, SEQUENCE)?.0;
    let (_, rest) = expect(body, INTEGER)?;
    let (modulus, _) = expect(rest, INTEGER)?;
    Some(PublicPart::Known(PublicKey::Rsa(unsigned(modulus))))
}

/// RFC 5915: version, private key, and perhaps the curve and the public key.
fn ec(der: &[u8]) -> Option<PublicPart> {
    let body = expect(der, SEQUENCE)?.0;
    let (_, rest) = expect(body, INTEGER)?;
    let (_, mut rest) = expect(rest, OCTET_STRING)?;
    while !rest.is_empty() {
        let (tag, content, after) = object(rest)?;
        if tag == PUBLIC {
            let (bits, _) = expect(content, BIT_STRING)?;
            // The first byte counts the bits of the last one that are not used.
            return bits.split_first().map(|(_, point)| PublicPart::Known(PublicKey::Ec(point.to_vec())));
        }
        rest = after;
    }
    Some(PublicPart::Unknown)
}

fn unsigned(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default().to_vec()
}

/// The content of the first object, which must have this tag, and what follows it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = object(der)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the first object of a DER text, and what follows it.
fn object(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_keys_are_told_from_others() {
        assert_eq!(of_private_key("PRIVATE KEY", &[]), None);
        assert_eq!(of_private_key("EC PRIVATE KEY", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(of_private_key("CERTIFICATE", &[0x30, 0]), None);
        // An Ed25519 key of PKCS #8: its public part is not in it.
        let ed25519 =
            [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &[7; 32]].concat();
        assert_eq!(of_private_key("PRIVATE KEY", &ed25519), Some(PublicPart::Unknown));
    }
}
