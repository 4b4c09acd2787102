//! One line for each request, in Istio's default text format (semantics C85) with the rule at its end.

use crate::{flags::Flags, time};
use http::Version;
use std::{
    fmt::{self, Write as _},
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    time::{Duration, SystemTime},
};

/// Where access log lines go.
#[derive(Clone)]
pub struct AccessLog {
    sink: Sink,
    lost: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Sink {
    Writer(SyncSender<String>),
    Call(Arc<dyn Fn(&str) + Send + Sync>),
}

/// Lines waiting for a slow writer; further ones are lost and counted, since requests do not wait for their log.
const WAITING_LINES: usize = 4096;

impl AccessLog {
    /// Lines are written by a thread of their own, each with its line feed. The thread ends with the last clone.
    pub fn to_writer(mut writer: impl Write + Send + 'static) -> Self {
        let (sender, lines) = sync_channel::<String>(WAITING_LINES);
        std::thread::spawn(move || {
            while let Ok(line) = lines.recv() {
                let mut result = writeln!(writer, "{line}");
                for line in lines.try_iter() {
                    result = result.and_then(|()| writeln!(writer, "{line}"));
                }
                if result.and_then(|()| writer.flush()).is_err() {
                    return;
                }
            }
        });
        AccessLog { sink: Sink::Writer(sender), lost: Arc::default() }
    }

    /// Each line, without its line feed, is given to a function, on the worker's thread: it must not block.
    pub fn to_function(line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        AccessLog { sink: Sink::Call(Arc::new(line)), lost: Arc::default() }
    }

    /// Lines that a slow or broken writer did not take.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, entry: &Entry) {
        let line = entry.to_string();
        match &self.sink {
            Sink::Call(call) => call(&line),
            Sink::Writer(sender) => {
                if sender.try_send(line).is_err() {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessLog")
    }
}

/// What is known of a request when it ends.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) start: SystemTime,
    pub(crate) method: String,
    /// As asked for, before any rewrite.
    pub(crate) path: String,
    pub(crate) version: Version,
    /// 0 where no answer was sent.
    pub(crate) code: u16,
    pub(crate) flags: Flags,
    /// Why the answer is what it is, in Envoy's words.
    pub(crate) details: &'static str,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) duration: Duration,
    pub(crate) upstream_time: Option<Duration>,
    pub(crate) forwarded_for: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) upstream_local: Option<SocketAddr>,
    pub(crate) cluster: Option<String>,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) route_name: Option<String>,
    /// Where the rule is, as `default/shop http[1].match[0] path/file.yaml:12`.
    pub(crate) rule: Option<String>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] \"{} {} ", time::iso(self.start), Plain(&self.method), Plain(&self.path))?;
        write!(f, "{:?}\" {} {} {} - \"-\" ", self.version, self.code, self.flags, self.details)?;
        write!(f, "{} {} {} ", self.received, self.sent, self.duration.as_millis())?;
        dash(f, self.upstream_time.map(|time| time.as_millis()).as_ref())?;
        for value in [&self.forwarded_for, &self.user_agent, &self.request_id, &self.authority] {
            write!(f, " \"{}\"", Plain(value.as_deref().unwrap_or("-")))?;
        }
        f.write_str(" \"")?;
        dash(f, self.upstream.as_ref())?;
        write!(f, "\" {} ", self.cluster.as_deref().unwrap_or("-"))?;
        dash(f, self.upstream_local.as_ref())?;
        write!(f, " {} {} - {}", self.local, self.remote, Plain(self.route_name.as_deref().unwrap_or("-")))?;
        write!(f, " \"{}\"", Plain(self.rule.as_deref().unwrap_or("-")))
    }
}

fn dash(f: &mut fmt::Formatter<'_>, value: Option<&impl fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => value.fmt(f),
        None => f.write_str("-"),
    }
}

/// Bytes that a client chose, so that no line can be forged: quotes, backslashes and control characters are escaped.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character == '"' || character == '\\' || character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, time::UNIX_EPOCH};

    #[test]
    fn a_line_has_istios_fields_in_istios_order_and_the_rule() {
        let entry = Entry {
            start: UNIX_EPOCH,
            method: "GET".into(),
            path: "/a?b=\"\n".into(),
            version: Version::HTTP_11,
            code: 200,
            flags: Flags::default(),
            details: "via_upstream",
            received: 0,
            sent: 12,
            duration: Duration::from_millis(7),
            upstream_time: Some(Duration::from_millis(6)),
            forwarded_for: Some("127.0.0.1".into()),
            user_agent: None,
            request_id: Some("id".into()),
            authority: Some("x.com".into()),
            upstream: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9001))),
            upstream_local: None,
            cluster: Some("outbound|80||a.default.svc.cluster.local".into()),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            route_name: None,
            rule: Some("default/v http[0] a.yaml:3".into()),
        };
        assert_eq!(
            entry.to_string(),
            "[1970-01-01T00:00:00.000Z] \"GET /a?b=\\\"\\n HTTP/1.1\" 200 - via_upstream - \"-\" 0 12 7 6 \
             \"127.0.0.1\" \"-\" \"id\" \"x.com\" \"127.0.0.1:9001\" outbound|80||a.default.svc.cluster.local - \
             127.0.0.1:8080 127.0.0.1:5000 - - \"default/v http[0] a.yaml:3\""
        );
    }

    #[test]
    fn a_writer_gets_whole_lines() {
        let (reader, writer) = std::io::pipe().unwrap();
        let log = AccessLog::to_writer(writer);
        let Sink::Writer(sender) = &log.sink else { panic!("a writer") };
        sender.send("one".into()).unwrap();
        sender.send("two".into()).unwrap();
        drop(log);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "one\ntwo\n");
    }
}
