//! How the text of a source is written as bytes.

/// The encoding of a source, its byte order mark included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a mark.
    #[default]
    Utf8,
    /// UTF-8 that begins with a mark.
    Utf8WithMark,
    /// UTF-16, the lower byte first, with a mark.
    Utf16LittleEndian,
    /// UTF-16, the upper byte first, with a mark.
    Utf16BigEndian,
}

impl Encoding {
    /// The bytes of `text`: what [`Source::decode`](crate::Source::decode) made the text of, if all of it was text.
    pub fn encode(self, text: &str) -> Vec<u8> {
        let mut bytes = self.mark().to_vec();
        match self {
            Encoding::Utf8 | Encoding::Utf8WithMark => bytes.extend_from_slice(text.as_bytes()),
            Encoding::Utf16LittleEndian => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            Encoding::Utf16BigEndian => bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
        }
        bytes
    }

    /// What such a source begins with.
    fn mark(self) -> &'static [u8] {
        match self {
            Encoding::Utf8 => &[],
            Encoding::Utf8WithMark => &[0xEF, 0xBB, 0xBF],
            Encoding::Utf16LittleEndian => &[0xFF, 0xFE],
            Encoding::Utf16BigEndian => &[0xFE, 0xFF],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    #[test]
    fn what_is_decoded_is_encoded_as_it_was() {
        let text = "a: \u{1F980} é\r\nb: x\n";
        let all = [Encoding::Utf8, Encoding::Utf8WithMark, Encoding::Utf16LittleEndian, Encoding::Utf16BigEndian];
        for encoding in all {
            let bytes = encoding.encode(text);
            let (source, findings) = Source::decode("a.yaml", bytes.as_slice());
            assert_eq!((source.text.as_str(), source.encoding), (text, encoding));
            assert!(findings.is_empty());
            assert_eq!(source.encoding.encode(&source.text), bytes);
        }
    }

    #[test]
    fn what_is_no_text_is_not_encoded_as_it_was() {
        for bytes in [&b"a: \xFF\n"[..], b"\xFF\xFEa\0\0\xD8", b"\xFE\xFF\0a\0"] {
            let (source, _) = Source::decode("a.yaml", bytes);
            assert_ne!(source.encoding.encode(&source.text), bytes);
        }
    }
}
