//! An access log line as text: Istio's default format (semantics C85), with the rule at its end.
//!
//! Every request has one, and it is written without `core::fmt`, by which it takes longer than the choice of its route.

use crate::{access_log::Entry, time::Iso};
use http::{HeaderValue, Method, Version};
use std::{
    fmt::Write,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// Appends an entry's line, without its line feed.
pub(crate) fn write(entry: &Entry, lines: &mut String) {
    // As long as usual lines are.
    lines.reserve(400);
    let mut line = Line(lines);
    line.text("[").time(entry.start).text("] \"");
    line.text(entry.method.as_ref().map_or("-", Method::as_str)).text(" ");
    line.plain(entry.path.as_deref()).text(" ").text(entry.version.map_or("-", version)).text("\" ");
    line.number(u64::from(entry.code)).text(" ").text(&entry.flags.names()).text(" ").text(entry.details);
    line.text(" - \"").plain(entry.transport_failure.as_deref()).text("\" ");
    line.number(entry.received).text(" ").number(entry.sent).text(" ").milliseconds(entry.duration).text(" ");
    match entry.upstream_time {
        Some(time) => line.milliseconds(time),
        None => line.text("-"),
    };
    for value in [&entry.forwarded_for, &entry.user_agent, &entry.request_id] {
        line.text(" \"").header(value.as_ref()).text("\"");
    }
    line.text(" \"").plain(entry.authority.as_deref()).text("\" \"").address(entry.upstream).text("\" ");
    line.text(entry.cluster.as_deref().unwrap_or("-")).text(" ").address(entry.upstream_local).text(" ");
    line.address(Some(entry.local)).text(" ").address(Some(entry.remote)).text(" ");
    line.plain(entry.server_name.as_deref()).text(" ").plain(entry.route_name.as_deref()).text(" \"");
    line.plain(entry.rule.as_deref()).text("\"");
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
struct Line<'l>(&'l mut String);

impl Line<'_> {
    fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.text(itoa::Buffer::new().format(number))
    }

    fn milliseconds(&mut self, time: Duration) -> &mut Self {
        self.number(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    fn time(&mut self, time: SystemTime) -> &mut Self {
        let mut text = [0; Iso::LENGTH];
        self.text(Iso(time).write(&mut text))
    }

    /// A dash for none.
    fn address(&mut self, address: Option<SocketAddr>) -> &mut Self {
        match address {
            None => return self.text("-"),
            Some(SocketAddr::V4(address)) => {
                let [a, b, c, d] = address.ip().octets();
                for (part, after) in [(a, "."), (b, "."), (c, "."), (d, ":")] {
                    self.number(u64::from(part)).text(after);
                }
                self.number(u64::from(address.port()));
            }
            // Text takes whatever comes.
            Some(address) => _ = write!(self.0, "{address}"),
        }
        self
    }

    /// A header's value; bytes that are no UTF-8 are replaced, and a dash stands for none.
    fn header(&mut self, value: Option<&HeaderValue>) -> &mut Self {
        match value.map(|value| value.to_str().map_err(|_| value.as_bytes())) {
            None => self.text("-"),
            Some(Ok(text)) => self.plain(Some(text)),
            Some(Err(bytes)) => self.plain(Some(&String::from_utf8_lossy(bytes))),
        }
    }

    /// Text that a client may have chosen, so that no line can be forged: quotes, backslashes and control characters are
    /// escaped. A dash stands for none.
    fn plain(&mut self, text: Option<&str>) -> &mut Self {
        let Some(mut rest) = text else { return self.text("-") };
        if is_harmless(rest.as_bytes()) {
            return self.text(rest);
        }
        let is_special = |character: char| character == '"' || character == '\\' || character.is_control();
        while let Some((at, special)) = rest.char_indices().find(|(_, character)| is_special(*character)) {
            let (plain, after) = rest.split_at(at);
            self.text(plain);
            self.0.extend(special.escape_default());
            rest = after.get(special.len_utf8()..).unwrap_or_default();
        }
        self.text(rest)
    }
}

/// Whether nothing of it can be in need of an escape. All of it is looked at, since a loop that stops at the first find
/// takes longer for what there mostly is.
fn is_harmless(bytes: &[u8]) -> bool {
    let harm = |byte: u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
    !bytes.iter().fold(false, |harmful, byte| harmful | harm(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{Ipv4Addr, Ipv6Addr},
        time::UNIX_EPOCH,
    };

    fn here(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn line(entry: &Entry) -> String {
        let mut line = String::new();
        write(entry, &mut line);
        line
    }

    #[test]
    fn a_line_has_istios_fields_in_istios_order_and_the_rule() {
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
            upstream: Some(here(9001)),
            cluster: Some("outbound|80||a.default.svc.cluster.local".into()),
            server_name: Some("x.com".into()),
            rule: Some("default/v http[0] a.yaml:3".into()),
            ..Entry::new(here(8080), here(5000))
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
        let entry = Entry { start: UNIX_EPOCH, received: 3, sent: 5, ..Entry::new(here(5432), here(5000)) };
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
            let mut text = String::new();
            Line(&mut text).plain(Some(said));
            assert_eq!(text, written, "{said:?}");
        }
        let mut text = String::new();
        Line(&mut text).header(HeaderValue::from_bytes(b"\xff\"").ok().as_ref()).header(None);
        assert_eq!(text, "\u{fffd}\\\"-");
    }

    #[test]
    fn addresses_are_written_as_ever() {
        for address in
            [here(1), here(65_535), SocketAddr::from(([255, 0, 10, 99], 80)), (Ipv6Addr::LOCALHOST, 80).into()]
        {
            let mut text = String::new();
            Line(&mut text).address(Some(address));
            assert_eq!(text, address.to_string());
        }
    }

    #[test]
    fn versions_are_written_as_ever() {
        for known in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3] {
            assert_eq!(version(known), format!("{known:?}"));
        }
    }
}
