//! The marks between nodes, which the events of granit-parser do not tell of.

/// The next `mark` in `text` from byte `at` on, if there are only blanks, comments, anchors, tags and other marks
/// before it.
pub(crate) fn indicator(text: &str, mut at: usize, mark: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    loop {
        match *bytes.get(at)? {
            byte if byte == mark => return Some(at),
            b' ' | b'\t' | b'\n' | b'\r' | b'?' | b':' => at += 1,
            b',' if mark != b':' => at += 1,
            b'#' => at += bytes.get(at..)?.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?,
            b'&' | b'!' => {
                let end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'[' | b']' | b'{' | b'}');
                at += bytes.get(at..)?.iter().position(end)?;
            }
            _ => return None,
        }
    }
}
