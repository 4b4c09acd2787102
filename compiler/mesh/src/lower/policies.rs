//! What a rule adds on the way: retries, faults, mirrors' shares, CORS (semantics C.7 to C.10).

use super::{Refusal, http_match};
use crate::config::MeshConfig;
use crate::program::{Abort, Cors, Delay, Retries};
use malha_algebra::ValueTest;
use malha_model::Duration;
use malha_model::istio::virtual_service::{
    CorsPolicy, HttpFaultInjection, HttpRetry, HttpRoute, Percent, StringMatch, UnmatchedPreflights,
};
use malha_syntax::{Location, SourceId};
use smol_str::SmolStr;

/// The condition that the status codes of a policy are given for.
const CODES: &str = "retriable-status-codes";

/// Parts per million that make all of it.
const ALL: u32 = 1_000_000;

/// The retries in force: the rule's over the mesh's defaults (semantics C47 to C50).
///
/// `is_hashed`: the one destination is chosen by hash, so that retries do not avoid the host that the hash chose
/// (semantics C57).
pub(super) fn retries(policy: Option<&HttpRetry>, config: &MeshConfig, is_hashed: bool) -> Option<Retries> {
    let mut retries = default_retries(config, is_hashed);
    let Some(policy) = policy else { return retries.filter(|retries| retries.attempts > 0) };
    let attempts = policy.attempts.as_ref().and_then(|attempts| u32::try_from(attempts.value).ok()).unwrap_or(0);
    if attempts == 0 {
        return None;
    }
    let retries = retries.get_or_insert_default();
    retries.attempts = attempts;
    if let Some(conditions) = policy.retry_on.as_ref().filter(|conditions| !conditions.is_empty()) {
        (retries.conditions, retries.status_codes) = retry_on(conditions);
    }
    if let Some(limit) = &policy.per_try_timeout {
        retries.per_try_timeout = Some(limit.to_std());
    }
    if let Some(remote) = &policy.retry_remote_localities {
        retries.remote_localities = remote.value;
    }
    if let Some(avoid) = &policy.retry_ignore_previous_hosts {
        retries.avoid_previous_hosts = avoid.value;
    }
    if let Some(backoff) = &policy.backoff {
        retries.backoff = Some(backoff.to_std());
    }
    Some(std::mem::take(retries))
}

/// What holds where nothing is said (semantics C47): Istio's own default, or the MeshConfig's.
fn default_retries(config: &MeshConfig, is_hashed: bool) -> Option<Retries> {
    const CONDITIONS: [&str; 5] = ["connect-failure", "refused-stream", "unavailable", "cancelled", CODES];
    let retried_503 = config.istio.major == 1 && config.istio.minor < 24;
    let mut retries = Retries {
        attempts: 2,
        conditions: CONDITIONS.map(SmolStr::new_static).to_vec(),
        status_codes: if retried_503 { vec![503] } else { Vec::new() },
        avoid_previous_hosts: !is_hashed,
        ..Retries::default()
    };
    let Some(policy) = &config.default_http_retry_policy else { return Some(retries) };
    retries.attempts = policy.get("attempts").and_then(serde_json::Value::as_u64)?.try_into().ok()?;
    let text = |field: &str| policy.get(field).and_then(serde_json::Value::as_str);
    if let Some(conditions) = text("retryOn").filter(|conditions| !conditions.is_empty()) {
        (retries.conditions, retries.status_codes) = retry_on(conditions);
    }
    let duration = |field: &str| text(field).and_then(Duration::parse).map(Duration::to_std);
    retries.per_try_timeout = duration("perTryTimeout");
    retries.backoff = duration("backoff");
    Some(retries)
}

/// Condition names and status codes; any code adds `retriable-status-codes` (semantics C50).
fn retry_on(list: &str) -> (Vec<SmolStr>, Vec<u16>) {
    let mut conditions: Vec<SmolStr> = Vec::new();
    let mut codes = Vec::new();
    for token in list.split(',').map(str::trim).filter(|token| !token.is_empty()) {
        // Most are names, of which none begins like a number.
        let code = if token.starts_with(|first: char| first.is_ascii_alphabetic()) { None } else { token.parse().ok() };
        match code {
            Some(code) => codes.push(code),
            None => conditions.push(token.into()),
        }
    }
    if !codes.is_empty() && !conditions.iter().any(|condition| condition == CODES) {
        conditions.push(CODES.into());
    }
    (conditions, codes)
}

/// Delay and abort; one without a share never happens (semantics C65).
pub(super) fn faults(fault: Option<&HttpFaultInjection>) -> (Option<Delay>, Option<Abort>) {
    let Some(fault) = fault else { return (None, None) };
    let delay = fault.delay.as_ref().and_then(|delay| {
        let per_million = match (&delay.percentage, &delay.percent) {
            (Some(percentage), _) => per_million(percentage),
            (None, Some(percent)) => u32::try_from(percent.value).unwrap_or(0).min(100) * (ALL / 100),
            (None, None) => 0,
        };
        let duration = delay.fixed_delay.as_ref()?.to_std();
        (per_million > 0).then_some(Delay { duration, per_million })
    });
    let abort = fault.abort.as_ref().and_then(|abort| {
        let per_million = abort.percentage.as_ref().map_or(0, |percentage| per_million(percentage));
        let status = abort.http_status.as_ref().and_then(|status| u16::try_from(status.value).ok());
        let grpc_status = abort.grpc_status.as_ref().map(|status| status.value.clone());
        (per_million > 0).then_some(Abort { status, grpc_status, per_million })
    });
    (delay, abort)
}

/// The share of the requests that `mirror` copies: all, unless said otherwise (semantics C71).
pub(super) fn mirror_share(route: &HttpRoute) -> u32 {
    if let Some(percentage) = &route.mirror_percentage {
        return per_million(percentage);
    }
    let percent = route.mirror_percent.as_ref().or(route.mirror_percent_snake_case.as_ref());
    percent.map_or(ALL, |percent| percent.value.min(100) * (ALL / 100))
}

/// The share of one of `mirrors`.
pub(super) fn share(percentage: Option<&Percent>) -> u32 {
    percentage.map_or(ALL, per_million)
}

/// A percentage in parts per million, what is finer cut off (semantics C65).
fn per_million(percentage: &Percent) -> u32 {
    let value = percentage.value.as_ref().map_or(0.0, |value| value.value).clamp(0.0, 100.0);
    // In range by the line above.
    #[allow(clippy::cast_sign_loss)]
    let parts = (value * 10_000.0) as u32;
    parts
}

/// The CORS policy (semantics C.10).
pub(super) fn cors(policy: &CorsPolicy, source: SourceId, refusals: &mut Vec<Refusal>) -> Cors {
    let texts = |list: &[malha_model::Spanned<SmolStr>]| list.iter().map(|text| text.value.clone()).collect();
    let allow_origins = if policy.allow_origins.is_empty() {
        policy.allow_origin.iter().map(|origin| ValueTest::Exact(origin.value.clone())).collect()
    } else {
        let origins = policy.allow_origins.iter().filter_map(|origin| match &origin.value {
            StringMatch::Any => None,
            StringMatch::Exact(text) => Some(ValueTest::Exact(text.value.clone())),
            StringMatch::Prefix(text) => Some(ValueTest::Prefix(text.value.clone())),
            StringMatch::Regex(text) => {
                let location = Location { source, span: text.span };
                http_match::pattern(text, location, refusals).map(ValueTest::Regex)
            }
        });
        origins.collect()
    };
    Cors {
        allow_origins,
        allow_methods: texts(&policy.allow_methods),
        allow_headers: texts(&policy.allow_headers),
        expose_headers: texts(&policy.expose_headers),
        max_age: policy.max_age.as_ref().map(|age| std::time::Duration::from_secs(age.to_std().as_secs())),
        allow_credentials: policy.allow_credentials.as_ref().map(|allow| allow.value),
        ignore_unmatched_preflights: policy
            .unmatched_preflights
            .as_ref()
            .is_some_and(|what| what.value == UnmatchedPreflights::Ignore),
    }
}
