//! Bytes that the APIs carry as base64.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// What [`Bytes::decode`] takes, but for line breaks.
const SYNTAX: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";

/// Bytes written as base64 text (`format: byte`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(inline, with = "String", extend("format" = "byte", "pattern" = SYNTAX))]
pub struct Bytes(pub Vec<u8>);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Bytes {
    /// Decodes standard base64 with its padding; `None` for anything else. Line breaks inside are passed over.
    pub fn decode(text: &str) -> Option<Self> {
        let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        if !text.len().is_multiple_of(4) {
            return None;
        }
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
        let mut chunks = text.chunks_exact(4).peekable();
        while let Some(chunk) = chunks.next() {
            let padding = chunk.iter().rev().take_while(|&&byte| byte == b'=').count();
            if padding > 2 || (padding > 0 && chunks.peek().is_some()) {
                return None;
            }
            let mut group: u32 = 0;
            for &byte in &chunk[..4 - padding] {
                let digit = ALPHABET.iter().position(|&letter| letter == byte)?;
                group = group << 6 | digit as u32;
            }
            group <<= 6 * padding as u32;
            bytes.extend_from_slice(&group.to_be_bytes()[1..4 - padding]);
        }
        Some(Bytes(bytes))
    }

    /// The base64 text.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(self.0.len().div_ceil(3) * 4);
        for chunk in self.0.chunks(3) {
            let group =
                chunk.iter().fold(0_u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
            for place in 0..4 {
                let digit = (group >> (18 - 6 * place) & 0x3f) as usize;
                text.push(if place > chunk.len() { '=' } else { char::from(ALPHABET[digit]) });
            }
        }
        text
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn decodes_and_encodes() {
        for (text, bytes) in [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("Zm9vYg==", b"foob")]
        {
            assert_eq!(Bytes::decode(text), Some(Bytes(bytes.to_vec())), "{text}");
            assert_eq!(Bytes(bytes.to_vec()).encode(), text);
        }
    }

    #[test]
    fn refuses_what_is_not_base64() {
        for text in ["Z", "Zg", "Zg=", "====", "Zg==Zg==", "Z===", "Zm9-", "é==="] {
            assert_eq!(Bytes::decode(text), None, "{text}");
        }
    }
}
