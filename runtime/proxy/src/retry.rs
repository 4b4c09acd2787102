//! When a try is followed by another, and after how long (semantics C.7).

use crate::{local_reply::GRPC_STATUS, random::Random};
use http::{HeaderMap, HeaderName, StatusCode};
use malha_table::view::Retries;
use std::time::Duration;

const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");

/// A route's retry policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// Tries after the first (C48).
    pub(crate) attempts: u32,
    /// Limit of each try (C55).
    pub(crate) per_try_timeout: Option<Duration>,
    pub(crate) conditions: Conditions,
    /// Of `retriable-status-codes`.
    pub(crate) status_codes: Vec<u16>,
    /// Base of the back-off; 25 ms where none is given (C56).
    pub(crate) backoff: Option<Duration>,
    /// Hosts already tried are avoided (C57).
    pub(crate) avoid_previous_hosts: bool,
    /// Priorities that were tried twice are left (C58).
    pub(crate) remote_localities: bool,
}

/// A set of retry conditions (C51).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions(u16);

impl Conditions {
    const SERVER_ERROR: Conditions = Conditions(1);
    const GATEWAY_ERROR: Conditions = Conditions(1 << 1);
    const RESET: Conditions = Conditions(1 << 2);
    const RESET_BEFORE_REQUEST: Conditions = Conditions(1 << 3);
    const CONNECT_FAILURE: Conditions = Conditions(1 << 4);
    const RETRIABLE_4XX: Conditions = Conditions(1 << 5);
    const RETRIABLE_STATUS_CODES: Conditions = Conditions(1 << 6);
    const RATE_LIMITED: Conditions = Conditions(1 << 7);
    const CANCELLED: Conditions = Conditions(1 << 8);
    const DEADLINE_EXCEEDED: Conditions = Conditions(1 << 9);
    const INTERNAL: Conditions = Conditions(1 << 10);
    const RESOURCE_EXHAUSTED: Conditions = Conditions(1 << 11);
    const UNAVAILABLE: Conditions = Conditions(1 << 12);
    const REFUSED_STREAM: Conditions = Conditions(1 << 13);

    /// By name. Conditions that cannot hold here are passed over: `http3-post-connect-failure` is about another protocol,
    /// `retriable-headers` about headers that Istio cannot name.
    pub(crate) fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Conditions {
        names.into_iter().fold(Conditions::default(), |all, name| {
            let condition = match name {
                "5xx" => Conditions::SERVER_ERROR,
                "gateway-error" => Conditions::GATEWAY_ERROR,
                "reset" => Conditions::RESET,
                "reset-before-request" => Conditions::RESET_BEFORE_REQUEST,
                "connect-failure" => Conditions::CONNECT_FAILURE,
                "retriable-4xx" => Conditions::RETRIABLE_4XX,
                "retriable-status-codes" => Conditions::RETRIABLE_STATUS_CODES,
                "envoy-ratelimited" => Conditions::RATE_LIMITED,
                "cancelled" => Conditions::CANCELLED,
                "deadline-exceeded" => Conditions::DEADLINE_EXCEEDED,
                "internal" => Conditions::INTERNAL,
                "resource-exhausted" => Conditions::RESOURCE_EXHAUSTED,
                "unavailable" => Conditions::UNAVAILABLE,
                "refused-stream" => Conditions::REFUSED_STREAM,
                _ => Conditions::default(),
            };
            Conditions(all.0 | condition.0)
        })
    }

    fn holds(self, any_of: Conditions) -> bool {
        self.0 & any_of.0 != 0
    }

    fn or(self, other: Conditions) -> Conditions {
        Conditions(self.0 | other.0)
    }
}

/// How a try ended without response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection: refused, unreachable.
    Connect,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// The connection ended before anything of the request was written.
    ResetBeforeRequest,
    /// The connection ended before response headers.
    Reset,
    /// The upstream reset the request's stream of HTTP/2.
    RemoteReset,
    /// The same, and it says that it did nothing with it.
    Refused,
    /// What came was no HTTP response.
    Protocol,
    /// The try took longer than its limit.
    PerTryTimeout,
    /// The endpoint speaks HTTP/2, which cannot say what the client asks for: nothing was sent.
    Unspeakable,
    /// The cluster may use no more (semantics D.6).
    Overflow,
    /// The endpoint is this proxy itself: the request would go round for ever.
    OwnAddress,
}

impl Policy {
    /// One try.
    pub(crate) const NONE: &'static Policy = &Policy {
        attempts: 0,
        per_try_timeout: None,
        conditions: Conditions(0),
        status_codes: Vec::new(),
        backoff: None,
        avoid_previous_hosts: false,
        remote_localities: false,
    };

    /// As a table has it.
    pub(crate) fn of(retries: &Retries<'_>) -> Policy {
        Policy {
            attempts: retries.attempts(),
            per_try_timeout: retries.per_try_timeout().filter(|limit| !limit.is_zero()),
            conditions: Conditions::from_names(retries.conditions()),
            status_codes: retries.status_codes().collect(),
            backoff: retries.backoff(),
            avoid_previous_hosts: retries.avoids_previous_hosts(),
            remote_localities: retries.tries_remote_localities(),
        }
    }

    /// Whether a response is thrown away for another try.
    pub(crate) fn retries_response(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let if_rate_limited = self.conditions.holds(Conditions::RATE_LIMITED);
        let otherwise = self.retries_usual_response(status, headers);
        if if_rate_limited == otherwise || !headers.contains_key(RATE_LIMITED) { otherwise } else { if_rate_limited }
    }

    /// The same for one that says nothing of a limit of rates.
    fn retries_usual_response(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let code = status.as_u16();
        let by_status = match code {
            502..=504 => Conditions::SERVER_ERROR.or(Conditions::GATEWAY_ERROR),
            500..=599 => Conditions::SERVER_ERROR,
            409 => Conditions::RETRIABLE_4XX,
            _ => Conditions::default(),
        };
        // Few names are compared sooner than one is hashed, and most answers have few.
        let has_grpc_status = headers.keys().any(|name| *name == GRPC_STATUS);
        let by_grpc = match has_grpc_status.then(|| headers.get(GRPC_STATUS)).flatten().map(http::HeaderValue::as_bytes)
        {
            Some(b"1") => Conditions::CANCELLED,
            Some(b"4") => Conditions::DEADLINE_EXCEEDED,
            Some(b"8") => Conditions::RESOURCE_EXHAUSTED,
            Some(b"13") => Conditions::INTERNAL,
            Some(b"14") => Conditions::UNAVAILABLE,
            _ => Conditions::default(),
        };
        self.conditions.holds(by_status.or(by_grpc))
            || self.conditions.holds(Conditions::RETRIABLE_STATUS_CODES) && self.status_codes.contains(&code)
    }

    /// Whether a try that failed is followed by another.
    pub(crate) fn retries_failure(&self, failure: Failure) -> bool {
        let always = Conditions::SERVER_ERROR.or(Conditions::GATEWAY_ERROR).or(Conditions::RESET);
        let specific = match failure {
            Failure::Connect | Failure::ConnectTimeout => {
                Conditions::CONNECT_FAILURE.or(Conditions::RESET_BEFORE_REQUEST)
            }
            Failure::Overflow | Failure::OwnAddress | Failure::Unspeakable => return false,
            Failure::ResetBeforeRequest => Conditions::RESET_BEFORE_REQUEST,
            Failure::Refused => Conditions::REFUSED_STREAM,
            Failure::Reset | Failure::RemoteReset | Failure::Protocol | Failure::PerTryTimeout => Conditions::default(),
        };
        self.conditions.holds(always.or(specific))
    }

    /// How long to wait before retry `number`, counted from 1: uniform in [0, min(base × (2^number − 1), 10 × base)]
    /// (C56).
    pub(crate) fn backoff(&self, number: u32, random: &Random) -> Duration {
        let base = self.backoff.unwrap_or(Duration::from_millis(25));
        let factor = 1_u32.checked_shl(number).map_or(10, |power| (power - 1).min(10));
        let most = u64::try_from((base * factor).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random.below(most.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn policy(names: &str) -> Policy {
        Policy { conditions: Conditions::from_names(names.split(',')), ..Policy::default() }
    }

    fn retries(names: &str, code: u16, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|&(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        policy(names).retries_response(StatusCode::from_u16(code).unwrap(), &headers)
    }

    #[test]
    fn conditions_on_responses() {
        for (names, code, expected) in [
            ("5xx", 500, true),
            ("5xx", 599, true),
            ("5xx", 409, false),
            ("gateway-error", 500, false),
            ("gateway-error", 502, true),
            ("gateway-error", 504, true),
            ("gateway-error", 505, false),
            ("retriable-4xx", 409, true),
            ("retriable-4xx", 404, false),
            ("reset,connect-failure,refused-stream,reset-before-request", 503, false),
        ] {
            assert_eq!(retries(names, code, &[]), expected, "{names} {code}");
        }
    }

    #[test]
    fn the_default_policy_leaves_a_plain_503_alone() {
        let names = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
        assert!(!retries(names, 503, &[]));
        assert!(retries(names, 200, &[("grpc-status", "14")]));
        assert!(retries(names, 200, &[("grpc-status", "1")]));
        assert!(!retries(names, 200, &[("grpc-status", "13")]));
        assert!(policy(names).retries_failure(Failure::Connect));
        assert!(!policy(names).retries_failure(Failure::Reset));
    }

    #[test]
    fn listed_codes_count_only_with_their_condition() {
        let mut listed = policy("retriable-status-codes");
        listed.status_codes = vec![418];
        assert!(listed.retries_response(StatusCode::IM_A_TEAPOT, &HeaderMap::new()));
        listed.conditions = Conditions::default();
        assert!(!listed.retries_response(StatusCode::IM_A_TEAPOT, &HeaderMap::new()));
    }

    #[test]
    fn a_rate_limited_answer_is_for_its_own_condition() {
        assert!(!retries("5xx", 503, &[("x-envoy-ratelimited", "true")]));
        assert!(retries("envoy-ratelimited", 429, &[("x-envoy-ratelimited", "true")]));
    }

    #[test]
    fn conditions_on_failures() {
        use Failure::{Connect, ConnectTimeout, PerTryTimeout, Protocol, Reset, ResetBeforeRequest};
        let all = [Connect, ConnectTimeout, ResetBeforeRequest, Reset, Protocol, PerTryTimeout];
        let retried = |names| all.map(|failure| policy(names).retries_failure(failure));
        assert_eq!(retried("5xx"), [true; 6]);
        assert_eq!(retried("gateway-error"), [true; 6]);
        assert_eq!(retried("reset"), [true; 6]);
        assert_eq!(retried("connect-failure"), [true, true, false, false, false, false]);
        assert_eq!(retried("reset-before-request"), [true, true, true, false, false, false]);
        assert_eq!(retried("retriable-4xx,retriable-status-codes"), [false; 6]);
    }

    #[test]
    fn back_off_grows_to_ten_times_its_base() {
        let random = Random::new(11, 0);
        let policy = Policy { backoff: Some(Duration::from_millis(2)), ..Policy::default() };
        for (number, most) in [(1, 2), (2, 6), (3, 14), (4, 20), (40, 20)] {
            let longest = (0..500).map(|_| policy.backoff(number, &random)).max().unwrap();
            assert!(longest <= Duration::from_millis(most), "{number}: {longest:?}");
            assert!(longest > Duration::from_millis(most) * 8 / 10, "{number}: {longest:?}");
        }
    }
}
