//! One line for each request and each connection of plain bytes (semantics C85): in Istio's default formats, text with the
//! rule at its end or JSON with the rule as a key of its own, or in the format that the mesh says.

use crate::{
    connection::Client,
    ends::Ends,
    flags::Flags,
    json_line::JsonLine,
    line_format::LineFormat,
    logged::{Kept, Logged},
    text_line,
    time::Stamp,
};
use http::{HeaderValue, Method, Version};
use std::{
    borrow::Cow,
    fmt,
    io::Write,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant, SystemTime},
};

/// Where access log lines go, and how they are written.
#[derive(Clone)]
pub struct AccessLog {
    sink: Sink,
    format: LogFormat,
    /// In place of that, where there is one.
    lines: Option<Arc<LineFormat>>,
    lost: Arc<AtomicU64>,
}

/// How access log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Istio's default text format, with the rule at its end.
    #[default]
    Text,
    /// One object of JSON, with the keys of Istio's default JSON format, and `malha_rule`.
    Json,
}

#[derive(Clone)]
enum Sink {
    Writer(SyncSender<Handed>),
    Call(Arc<dyn Fn(&str) + Send + Sync>),
}

/// What is handed to a writer.
enum Handed {
    /// So many whole ones, each with its line feed.
    Lines(Vec<u8>, u64),
    /// Whoever sent it wants to know that all before it is written.
    Asks(SyncSender<()>),
}

/// So often workers may hand on lines before a slow writer takes them; further ones are lost and counted, since requests
/// do not wait for their log.
const WAITING: usize = 64;

impl AccessLog {
    /// Lines are written by a thread of their own, each with its line feed. The thread ends with the last clone.
    pub fn to_writer(mut writer: impl Write + Send + 'static) -> Self {
        let (sender, handed) = sync_channel::<Handed>(WAITING);
        let log =
            AccessLog { sink: Sink::Writer(sender), format: LogFormat::default(), lines: None, lost: Arc::default() };
        let lost = Arc::clone(&log.lost);
        std::thread::spawn(move || {
            let mut works = true;
            while let Ok(one) = handed.recv() {
                match one {
                    Handed::Lines(lines, count) => {
                        works = works && writer.write_all(&lines).and_then(|()| writer.flush()).is_ok();
                        if !works {
                            lost.fetch_add(count, Ordering::Relaxed);
                        }
                    }
                    // Whoever asked may have stopped waiting.
                    Handed::Asks(asker) => _ = asker.try_send(()),
                }
            }
        });
        log
    }

    /// Each line, without its line feed, is given to a function, on the worker's thread: it must not block.
    pub fn to_function(line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        AccessLog { sink: Sink::Call(Arc::new(line)), format: LogFormat::default(), lines: None, lost: Arc::default() }
    }

    /// The same, with its lines in another format.
    #[must_use]
    pub fn in_format(self, format: LogFormat) -> Self {
        AccessLog { format, ..self }
    }

    /// The same, with lines as a mesh says.
    #[must_use]
    pub fn in_lines(self, lines: LineFormat) -> Self {
        AccessLog { lines: Some(Arc::new(lines)), ..self }
    }

    /// The format that a mesh says, if one does.
    pub(crate) fn lines(&self) -> Option<&LineFormat> {
        self.lines.as_deref()
    }

    /// Lines that a slow or broken writer did not take.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Appends an entry's line, without its line feed.
    pub(crate) fn format(&self, entry: &Entry, stamp: &mut Stamp, lines: &mut Vec<u8>) {
        if let Some(format) = &self.lines {
            return format.write(&Logged(entry), lines);
        }
        match self.format {
            LogFormat::Text => text_line::write(entry, stamp, lines),
            // Memory takes whatever comes.
            LogFormat::Json => _ = write!(lines, "{}", JsonLine::of(entry)),
        }
    }

    /// The function that takes lines one by one, if they go to one.
    pub(crate) fn function(&self) -> Option<&(dyn Fn(&str) + Send + Sync)> {
        match &self.sink {
            Sink::Call(call) => Some(&**call),
            Sink::Writer(_) => None,
        }
    }

    /// Hands so many whole lines to the writer.
    pub(crate) fn hand_on(&self, lines: Vec<u8>, count: u64) {
        if let Sink::Writer(sender) = &self.sink
            && sender.try_send(Handed::Lines(lines, count)).is_err()
        {
            self.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Waits until the writer has written what it was handed, or has had its time.
    pub(crate) fn wait(&self, limit: Duration) {
        let Sink::Writer(sender) = &self.sink else { return };
        let (asker, answer) = sync_channel(1);
        let until = Instant::now() + limit;
        let mut asks = Handed::Asks(asker);
        while let Err(TrySendError::Full(again)) = sender.try_send(asks) {
            if Instant::now() >= until {
                return;
            }
            asks = again;
            std::thread::sleep(Duration::from_millis(1));
        }
        // One that is too slow, or gone, is waited for no longer.
        let _ = answer.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessLog")
    }
}

/// What is known of a request, or of a connection of plain bytes, when it ends. Where nobody asks for words, what would
/// have to be copied is left out.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) start: SystemTime,
    /// Of a request.
    pub(crate) method: Option<Method>,
    /// As asked for, before any rewrite.
    pub(crate) path: Option<Rc<str>>,
    /// Of a request.
    pub(crate) version: Option<Version>,
    /// 0 where no answer was sent.
    pub(crate) code: u16,
    pub(crate) flags: Flags,
    /// Why the answer is what it is, in Envoy's words; `-` where there is nothing to say.
    pub(crate) details: &'static str,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) duration: Duration,
    pub(crate) upstream_time: Option<Duration>,
    pub(crate) forwarded_for: Option<HeaderValue>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) request_id: Option<HeaderValue>,
    pub(crate) authority: Option<Rc<str>>,
    pub(crate) upstream: Option<Rc<Ends>>,
    /// Why the last try had no connection (semantics D57).
    pub(crate) transport_failure: Option<Arc<str>>,
    pub(crate) cluster: Option<Arc<str>>,
    pub(crate) client: Rc<Client>,
    /// Whom trusted proxies name in its place.
    pub(crate) told_client: Option<IpAddr>,
    pub(crate) route_name: Option<String>,
    /// Where the rule is, as `default/shop http[1].match[0] path/file.yaml:12`.
    pub(crate) rule: Option<Arc<str>>,
    /// Where the format of lines asks for more.
    pub(crate) kept: Option<Box<Kept>>,
}

impl Entry {
    /// Of what begins now.
    pub(crate) fn new(client: Rc<Client>) -> Self {
        Entry {
            start: SystemTime::now(),
            method: None,
            path: None,
            version: None,
            code: 0,
            flags: Flags::default(),
            details: NO_DETAILS,
            received: 0,
            sent: 0,
            duration: Duration::ZERO,
            upstream_time: None,
            forwarded_for: None,
            user_agent: None,
            request_id: None,
            authority: None,
            upstream: None,
            transport_failure: None,
            cluster: None,
            client,
            told_client: None,
            route_name: None,
            rule: None,
            kept: None,
        }
    }

    /// Whose it is; of the port of whom proxies name nothing is known.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.told_client.map_or(self.client.peer, |client| SocketAddr::new(client, 0))
    }

    /// What a client of TLS asked for.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.client.tls.as_ref()?.server_name.as_deref()
    }
}

/// Stands for details that there are none of.
pub(crate) const NO_DETAILS: &str = "-";

/// A header's value as text; bytes that are no UTF-8 are replaced.
pub(crate) fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_gets_whole_lines() {
        let (reader, writer) = std::io::pipe().unwrap();
        let log = AccessLog::to_writer(writer);
        let Sink::Writer(sender) = &log.sink else { panic!("a writer") };
        assert!(sender.try_send(Handed::Lines(b"one\n".into(), 1)).is_ok());
        log.hand_on(b"two\n".into(), 1);
        log.wait(Duration::from_secs(10));
        drop(log);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "one\ntwo\n");
    }
}
