//! What a stand-in answers, as a function of who it is and what it is asked.

use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{collections::HashMap, time::Duration};

/// Who a stand-in stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Identity {
    /// Label `app`, or the workload's name.
    pub app: String,
    /// Label `version`, if there is one.
    pub version: Option<String>,
    /// Namespace.
    pub namespace: String,
    /// Name of the workload; for what is outside the mesh, its host.
    pub workload: String,
}

/// What a request makes a stand-in do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Task {
    /// Answer with this status.
    Answer(u16),
    /// Wait, then answer with this status; so many times, if that is said.
    Wait { status: u16, wait: Duration, times: Option<u32> },
    /// Call others, then answer with what they said.
    Call,
}

/// Longest wait that is granted.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Most queries whose number of answers is remembered.
const REMEMBERED: usize = 4096;

/// Reads a request's path and query.
pub(super) fn task(path: &str, query: Option<&str>) -> Task {
    match path {
        "/" | "/healthz" => Task::Answer(200),
        "/s" => Task::Call,
        "/r" => {
            let parameter = |name: &str| {
                let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
                pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
            };
            let status = parameter("code").and_then(|code| code.parse().ok());
            let wait = parameter("wait").and_then(|wait| wait.parse().ok());
            Task::Wait {
                status: status.filter(|status| (200..=599).contains(status)).unwrap_or(200),
                wait: wait
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .unwrap_or_default()
                    .min(LONGEST_WAIT),
                times: parameter("times").and_then(|times| times.parse().ok()),
            }
        }
        _ => Task::Answer(404),
    }
}

/// How often each `/r` query has been answered.
#[derive(Default)]
pub(super) struct Answered(HashMap<String, u32>);

impl Answered {
    /// Counts an answer to `query`; says whether it is among the first `times`.
    pub(super) fn is_among_first(&mut self, query: &str, times: u32) -> bool {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(query) {
            self.0.clear();
        }
        let answered = self.0.entry(query.to_owned()).or_default();
        *answered = answered.saturating_add(1);
        *answered <= times
    }
}

/// The body of an answer.
pub(super) fn body<'h>(
    identity: &Identity,
    method: &str,
    path: &str,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    calls: Option<Vec<Value>>,
) -> Value {
    let mut lines: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let value = Value::String(String::from_utf8_lossy(value).into_owned());
        match lines.get_mut(name) {
            None => {
                lines.insert(name.to_owned(), value);
            }
            Some(Value::Array(several)) => several.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    let mut body = json!({
        "app": identity.app,
        "version": identity.version,
        "namespace": identity.namespace,
        "workload": identity.workload,
        "method": method,
        "path": path,
        "headers": lines,
    });
    if let (Some(calls), Some(body)) = (calls, body.as_object_mut()) {
        body.insert("calls".to_owned(), Value::Array(calls));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tasks() {
        assert_eq!(task("/", None), Task::Answer(200));
        assert_eq!(task("/healthz", None), Task::Answer(200));
        assert_eq!(task("/anything", None), Task::Answer(404));
        assert_eq!(task("/s", None), Task::Call);
        let wait = |status, seconds, times| Task::Wait { status, wait: Duration::from_secs_f64(seconds), times };
        assert_eq!(task("/r", None), wait(200, 0.0, None));
        assert_eq!(task("/r", Some("code=503&wait=1.5&times=3")), wait(503, 1.5, Some(3)));
        assert_eq!(task("/r", Some("code=99999&wait=-1&times=x")), wait(200, 0.0, None));
        assert_eq!(task("/r", Some("wait=1e300")), wait(200, 0.0, None));
    }

    #[test]
    fn a_status_may_last_a_number_of_times() {
        let mut answered = Answered::default();
        let told: Vec<_> = (0..3).map(|_| answered.is_among_first("code=503&times=2", 2)).collect();
        assert_eq!(told, [true, true, false]);
        assert!(answered.is_among_first("code=500&times=2", 2));
    }

    #[test]
    fn repeated_headers_are_lists() {
        let identity = Identity {
            app: "orders".to_owned(),
            version: None,
            namespace: "default".to_owned(),
            workload: "orders-v1".to_owned(),
        };
        let headers = [("a", &b"1"[..]), ("b", b"2"), ("a", b"3"), ("a", b"4")];
        let body = body(&identity, "GET", "/", headers.into_iter(), None);
        assert_eq!(body["headers"], json!({"a": ["1", "3", "4"], "b": "2"}));
        assert_eq!(body["version"], Value::Null);
    }
}
