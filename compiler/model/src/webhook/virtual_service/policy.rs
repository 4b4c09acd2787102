//! What is refused of retries, faults and cross-origin policies.

use super::{Judge, Place, given};
use crate::{
    istio::virtual_service::{
        CorsPolicy, HttpFaultAbort, HttpFaultDelay, HttpFaultInjection, HttpRetry, Percent, StringMatch,
    },
    read::{list, shorten},
    rules::{INVALID_DURATION, INVALID_TEXT, MISSING_FIELD, OUT_OF_RANGE, UNKNOWN_ENUM_VALUE},
    webhook::{
        durations::{MILLISECOND, check_duration},
        headers::is_token,
    },
};
use malha_syntax::{Span, nearest};

/// The conditions of Envoy's that Istio lets a retry have.
const RETRY_CONDITIONS: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// The names of gRPC's statuses.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The methods that a cross-origin policy can allow.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];

const NANOSECONDS_OF_A_SECOND: i64 = 1_000_000_000;

/// Smallest share of requests, in percent, that Envoy can tell from none: it counts in millionths.
const SMALLEST_SHARE: f64 = 0.0001;

/// Judges the status code of a response that is made up here.
pub(super) fn judge_status(place: &Place<'_>, status: i64, span: Span, judge: &mut Judge<'_, '_>) {
    if !(200..=600).contains(&status) {
        let message = format!("{status} is no status to answer with: these lie between 200 and 599");
        judge.refuse(&OUT_OF_RANGE, place, span, message, "use a status between 200 and 599");
    }
}

/// Judges a share of requests, of which the `smallest` is the least that is more than nothing.
pub(super) fn judge_percent(place: &Place<'_>, percent: &Percent, smallest: f64, judge: &mut Judge<'_, '_>) {
    let Some(value) = &percent.value else { return };
    if value.value != 0.0 && !(smallest..=100.0).contains(&value.value) {
        let message = format!("{} is no share of requests in percent", value.value);
        let help = if value.value > 0.0 && value.value < smallest {
            format!("use 0, or {smallest} or more")
        } else {
            "use a number between 0 and 100".to_owned()
        };
        judge.refuse(&OUT_OF_RANGE, &place.key("value"), value.span, message, help);
    }
}

/// Judges retries.
pub(super) fn judge_retries(place: &Place<'_>, retries: &HttpRetry, judge: &mut Judge<'_, '_>) {
    let attempts = retries.attempts.as_ref();
    if let Some(attempts) = attempts.filter(|attempts| attempts.value < 0) {
        let message = format!("{} tries are fewer than none", attempts.value);
        let help = "use 0 to switch retries off";
        judge.refuse(&OUT_OF_RANGE, &place.key("attempts"), attempts.span, message, help);
    }
    let says_how = retries.per_try_timeout.is_some()
        || retries.retry_remote_localities.is_some()
        || given(retries.retry_on.as_ref()).is_some();
    if says_how && attempts.is_none_or(|attempts| attempts.value == 0) {
        let message = "there are no retries without `attempts`, and yet something is said of how they are done";
        let help = "set `attempts` to 1 or more, or leave the rest out";
        judge.refuse_at(&MISSING_FIELD, &place.key("attempts"), message, help);
    }
    for (field, duration) in [("perTryTimeout", &retries.per_try_timeout), ("backoff", &retries.backoff)] {
        check_duration(duration.as_ref(), format_args!("{}", place.key(field)), judge);
    }
    let Some(conditions) = given(retries.retry_on.as_ref()) else { return };
    let unknown = conditions.split(',').find(|it| !RETRY_CONDITIONS.contains(it) && !is_status_with_text(it));
    if let Some(unknown) = unknown {
        let message = format!("\"{}\" is no condition for a retry", shorten(unknown));
        let help = if unknown != unknown.trim() {
            "separate conditions by commas alone, without spaces".to_owned()
        } else if let Some(meant) = nearest(unknown, RETRY_CONDITIONS) {
            format!("did you mean `{meant}`?")
        } else {
            format!("use {}, or a status code", list(&RETRY_CONDITIONS, "or"))
        };
        judge.refuse(&UNKNOWN_ENUM_VALUE, &place.key("retryOn"), conditions.span, message, help);
    }
}

/// Whether `text` is a status code for which Go has a text.
fn is_status_with_text(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|status| {
        matches!(
            status,
            100..=103
                | 200..=208
                | 226
                | 300..=305
                | 307..=308
                | 400..=418
                | 421..=426
                | 428..=429
                | 431
                | 451
                | 500..=508
                | 510..=511
        )
    })
}

/// Judges faults.
pub(super) fn judge_fault(place: &Place<'_>, fault: &HttpFaultInjection, judge: &mut Judge<'_, '_>) {
    if fault.abort.is_none() && fault.delay.is_none() {
        let message = "this `fault` puts nothing in: it is empty";
        judge.refuse_at(&MISSING_FIELD, place, message, "add `delay` or `abort`, or leave it out");
    }
    if let Some(abort) = &fault.abort {
        judge_abort(&place.key("abort"), abort, judge);
    }
    if let Some(delay) = &fault.delay {
        judge_delay(&place.key("delay"), delay, judge);
    }
}

fn judge_abort(place: &Place<'_>, abort: &HttpFaultAbort, judge: &mut Judge<'_, '_>) {
    if let Some(percentage) = &abort.percentage {
        judge_percent(&place.key("percentage"), percentage, SMALLEST_SHARE, judge);
    }
    if let Some(status) = &abort.http_status {
        judge_status(&place.key("httpStatus"), i64::from(status.value), status.span, judge);
    }
    if let Some(status) = abort.grpc_status.as_ref().filter(|status| !GRPC_STATUSES.contains(&status.as_str())) {
        let message = format!("\"{}\" is no status of gRPC", shorten(status));
        let help = match nearest(status, GRPC_STATUSES) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("use {}", list(&GRPC_STATUSES, "or")),
        };
        judge.refuse(&UNKNOWN_ENUM_VALUE, &place.key("grpcStatus"), status.span, message, help);
    }
    if let Some(error) = &abort.http2_error {
        let message = "Istio refuses `http2Error`: it cannot put errors of HTTP/2 in";
        judge.refuse(&INVALID_TEXT, &place.key("http2Error"), error.span, message, "use `httpStatus` or `grpcStatus`");
    }
}

fn judge_delay(place: &Place<'_>, delay: &HttpFaultDelay, judge: &mut Judge<'_, '_>) {
    if let Some(percentage) = &delay.percentage {
        judge_percent(&place.key("percentage"), percentage, SMALLEST_SHARE, judge);
    }
    check_duration(delay.fixed_delay.as_ref(), format_args!("{}", place.key("fixedDelay")), judge);
    if let Some(exponential) = &delay.exponential_delay {
        let message = "Istio refuses `exponentialDelay`: it has no such delays yet";
        judge.refuse(&INVALID_DURATION, &place.key("exponentialDelay"), exponential.span, message, "use `fixedDelay`");
    }
}

/// Judges a cross-origin policy.
pub(super) fn judge_cors(place: &Place<'_>, policy: &CorsPolicy, judge: &mut Judge<'_, '_>) {
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        // An empty expression has its finding from reading.
        let says_nothing = match &origin.value {
            StringMatch::Any => true,
            StringMatch::Exact(text) | StringMatch::Prefix(text) => text.is_empty(),
            StringMatch::Regex(_) => false,
        };
        if says_nothing {
            let message = "this origin is empty, and there is no origin without a name";
            let help = "write `exact`, `prefix` or `regex` with a text, as `exact: https://example.com`";
            judge.refuse(&INVALID_TEXT, &place.key("allowOrigins").item(index), origin.span, message, help);
        }
    }
    for (index, method) in policy.allow_methods.iter().enumerate() {
        if METHODS.contains(&method.as_str()) {
            continue;
        }
        let message = format!("\"{}\" is no method that a policy can allow", shorten(method));
        let help = format!("use {} in capitals", list(&METHODS, "or"));
        judge.refuse(&UNKNOWN_ENUM_VALUE, &place.key("allowMethods").item(index), method.span, message, help);
    }
    for (field, names) in [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)] {
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !is_token(name)) {
            let message = format!("\"{}\" is no name of a header: HTTP has no header of that name", shorten(name));
            let help = "use letters, digits and hyphens, or `*` for all";
            judge.refuse(&INVALID_TEXT, &place.key(field).item(index), name.span, message, help);
        }
    }
    if let Some(age) = &policy.max_age {
        let place = place.key("maxAge");
        check_duration(Some(age), format_args!("{place}"), judge);
        if age.nanoseconds() % NANOSECONDS_OF_A_SECOND != 0 && age.nanoseconds() % MILLISECOND == 0 {
            let message = format!("{} is no whole number of seconds, and browsers are told no finer time", age.value);
            judge.refuse(&INVALID_DURATION, &place, age.span, message, "round it to seconds");
        }
    }
}
