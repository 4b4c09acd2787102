//! An access log line as text: Istio's default format (semantics C85), with the rule at its end.
//!
//! Every request has one, and it is written without `core::fmt`, by which it takes longer than the choice of its route.

use crate::{access_log::Entry, ends::Ends, time::Stamp};
use http::{HeaderValue, Method, Version};
use std::time::Duration;

/// Appends an entry's line, without its line feed.
pub(crate) fn write(entry: &Entry, stamp: &mut Stamp, lines: &mut Vec<u8>) {
    // As long as usual lines are.
    lines.reserve(512);
    let mut line = Line(lines);
    line.bytes(b"[").bytes(stamp.of(entry.start)).bytes(b"] \"");
    line.text(entry.method.as_ref().map_or("-", Method::as_str)).bytes(b" ");
    line.plain(entry.path.as_deref()).bytes(b" ").text(entry.version.map_or("-", version)).bytes(b"\" ");
    line.number(u64::from(entry.code)).bytes(b" ").text(&entry.flags.names()).bytes(b" ").text(entry.details);
    line.bytes(b" - \"").plain(entry.transport_failure.as_deref()).bytes(b"\" ");
    line.number(entry.received).bytes(b" ").number(entry.sent).bytes(b" ").milliseconds(entry.duration).bytes(b" ");
    match entry.upstream_time {
        Some(time) => line.milliseconds(time),
        None => line.bytes(b"-"),
    };
    for value in [&entry.forwarded_for, &entry.user_agent, &entry.request_id] {
        line.bytes(b" \"").header(value.as_ref()).bytes(b"\"");
    }
    let (upstream, client) = (entry.upstream.as_deref(), &entry.client.ends);
    line.bytes(b" \"").plain(entry.authority.as_deref()).bytes(b"\" \"").text(upstream.map_or("-", Ends::peer_text));
    line.bytes(b"\" ").text(entry.cluster.as_deref().unwrap_or("-"));
    line.bytes(b" ").text(upstream.map_or("-", Ends::local_text));
    line.bytes(b" ").text(client.local_text()).bytes(b" ");
    match entry.told_client {
        None => line.text(client.peer_text()),
        Some(_) => line.text(&entry.remote().to_string()),
    };
    line.bytes(b" ");
    line.plain(entry.server_name()).bytes(b" ").plain(entry.route_name.as_deref());
    line.bytes(b" \"").plain(entry.rule.as_deref()).bytes(b"\"");
}

/// A version as logs and headers write it.
pub(crate) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/3.0",
    }
}

/// A line that grows.
pub(crate) struct Line<'l>(pub(crate) &'l mut Vec<u8>);

impl Line<'_> {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    #[inline]
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn number(&mut self, number: u64) -> &mut Self {
        match u8::try_from(number) {
            Ok(digit) if digit < 10 => self.0.push(b'0' + digit),
            _ => self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        }
        self
    }

    fn milliseconds(&mut self, time: Duration) -> &mut Self {
        let whole = time.as_secs().saturating_mul(1000);
        self.number(whole.saturating_add(u64::from(time.subsec_millis())))
    }

    /// A header's value; bytes that are no UTF-8 are replaced, and a dash stands for none.
    fn header(&mut self, value: Option<&HeaderValue>) -> &mut Self {
        match value.map(HeaderValue::as_bytes) {
            None => self.bytes(b"-"),
            Some(bytes) if is_harmless(bytes) => self.bytes(bytes),
            Some(bytes) => self.escaped(&String::from_utf8_lossy(bytes)),
        }
    }

    /// Text that a client may have chosen. A dash stands for none.
    pub(crate) fn plain(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            None => self.bytes(b"-"),
            Some(text) if is_harmless(text.as_bytes()) => self.text(text),
            Some(text) => self.escaped(text),
        }
    }

    /// So that no line can be forged: quotes, backslashes and control characters are escaped.
    fn escaped(&mut self, mut rest: &str) -> &mut Self {
        let is_special = |character: char| character == '"' || character == '\\' || character.is_control();
        while let Some((at, special)) = rest.char_indices().find(|(_, character)| is_special(*character)) {
            let (plain, after) = rest.split_at(at);
            self.text(plain);
            for character in special.escape_default() {
                self.text(character.encode_utf8(&mut [0; 4]));
            }
            rest = after.get(special.len_utf8()..).unwrap_or_default();
        }
        self.text(rest)
    }
}

/// Whether nothing of it can be in need of an escape: all is ASCII that can be seen, or a space, and neither a quote nor
/// a backslash. Eight bytes are looked at together, the last eight perhaps once more.
fn is_harmless(bytes: &[u8]) -> bool {
    let (Some(last), (eights, _)) = (bytes.last_chunk::<8>(), bytes.as_chunks::<8>()) else {
        return bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
    };
    (eights.iter().fold(0, |found, eight| found | harm(*eight)) | harm(*last)) == 0
}

/// Not 0 where one of the bytes may do harm: it is above 0x7e, below 0x20, a quote or a backslash.
fn harm(eight: [u8; 8]) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(eight);
    // The highest bit of a byte is borrowed by what is taken from it, if that is more than there is.
    let below = |word: u64, least: u64| word.wrapping_sub(EACH * least) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (word | below(word, 0x20) | is(0x7f) | is(b'"') | is(b'\\')) & (EACH << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Client, ClientTls};
    use std::{
        net::{Ipv4Addr, SocketAddr},
        rc::Rc,
        time::UNIX_EPOCH,
    };

    fn here(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn client(local: u16, tls: Option<ClientTls>) -> Rc<Client> {
        Rc::new(Client::new(here(5000), here(local), tls))
    }

    fn line(entry: &Entry) -> String {
        let mut line = Vec::new();
        write(entry, &mut Stamp::default(), &mut line);
        String::from_utf8(line).expect("text")
    }

    #[test]
    fn a_line_has_istios_fields_in_istios_order_and_the_rule() {
        let tls = ClientTls { server_name: Some("x.com".into()), certificate: None };
        let entry = Entry {
            start: UNIX_EPOCH,
            method: Some(Method::GET),
            path: Some("/a?b=\"\n".into()),
            version: Some(Version::HTTP_11),
            code: 200,
            details: "via_upstream",
            sent: 12,
            duration: Duration::from_millis(7),
            upstream_time: Some(Duration::from_millis(6)),
            forwarded_for: Some(HeaderValue::from_static("127.0.0.1")),
            request_id: Some(HeaderValue::from_static("id")),
            authority: Some("x.com".into()),
            upstream: Some(Ends::new(Some(here(9001)), None)),
            cluster: Some("outbound|80||a.default.svc.cluster.local".into()),
            rule: Some("default/v http[0] a.yaml:3".into()),
            ..Entry::new(client(8080, Some(tls)))
        };
        assert_eq!(
            line(&entry),
            "[1970-01-01T00:00:00.000Z] \"GET /a?b=\\\"\\n HTTP/1.1\" 200 - via_upstream - \"-\" 0 12 7 6 \
             \"127.0.0.1\" \"-\" \"id\" \"x.com\" \"127.0.0.1:9001\" outbound|80||a.default.svc.cluster.local - \
             127.0.0.1:8080 127.0.0.1:5000 x.com - \"default/v http[0] a.yaml:3\""
        );
    }

    #[test]
    fn a_connection_of_bytes_has_dashes_where_a_request_has_words() {
        let entry = Entry { start: UNIX_EPOCH, received: 3, sent: 5, ..Entry::new(client(5432, None)) };
        assert_eq!(
            line(&entry),
            "[1970-01-01T00:00:00.000Z] \"- - -\" 0 - - - \"-\" 3 5 0 - \"-\" \"-\" \"-\" \"-\" \"-\" - - \
             127.0.0.1:5432 127.0.0.1:5000 - - \"-\""
        );
    }

    #[test]
    fn what_a_client_says_forges_nothing() {
        for (said, written) in [
            ("", ""),
            ("a b~", "a b~"),
            ("a\"b\\c", "a\\\"b\\\\c"),
            ("\r\n\t\u{7f}\u{1}", "\\r\\n\\t\\u{7f}\\u{1}"),
            ("é\u{85}ü", "é\\u{85}ü"),
        ] {
            let mut text = Vec::new();
            Line(&mut text).plain(Some(said));
            assert_eq!(text, written.as_bytes(), "{said:?}");
        }
        let mut text = Vec::new();
        Line(&mut text).header(HeaderValue::from_bytes(b"\xff\"").ok().as_ref()).header(None);
        assert_eq!(text, "\u{fffd}\\\"-".as_bytes());
    }

    #[test]
    fn harm_is_seen_wherever_it_is() {
        for byte in 0..=u8::MAX {
            let harmless = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            for (length, at) in [(1, 0), (7, 6), (8, 0), (8, 7), (9, 8), (16, 8), (23, 15), (23, 22)] {
                let mut text = vec![b'~'; length];
                text[at] = byte;
                assert_eq!(is_harmless(&text), harmless, "{byte:#x} at {at} of {length}");
            }
        }
        assert!(is_harmless(b""));
    }

    #[test]
    fn versions_are_written_as_ever() {
        for known in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3] {
            assert_eq!(version(known), format!("{known:?}"));
        }
    }
}
