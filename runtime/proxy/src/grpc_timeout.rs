//! How long a gRPC client is willing to wait (semantics C44).

use crate::local_reply::is_grpc;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// More digits are none of gRPC's.
const MOST_DIGITS: usize = 8;

/// A request's limit: the route's, or that of its gRPC client where it is shorter or the route has none.
pub(crate) fn limit(headers: &HeaderMap, of_route: Option<Duration>) -> Option<Duration> {
    let said = is_grpc(headers).then(|| said(headers)).flatten();
    said.filter(|said| !said.is_zero()).into_iter().chain(of_route).min()
}

fn said(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(&GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > MOST_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    // In whole milliseconds, as Envoy counts.
    let milliseconds = match unit {
        "H" => number * 3_600_000,
        "M" => number * 60_000,
        "S" => number * 1000,
        "m" => number,
        "u" => (number + 500) / 1000,
        "n" => (number + 500_000) / 1_000_000,
        _ => return None,
    };
    Some(Duration::from_millis(milliseconds))
}

/// Tells a gRPC server how long it has, in milliseconds.
pub(crate) fn tell(headers: &mut HeaderMap, milliseconds: u64) {
    if !is_grpc(headers) {
        return;
    }
    let most = 10_u64.pow(u32::try_from(MOST_DIGITS).unwrap_or_default());
    let (number, unit) = [(1, "m"), (1000, "S"), (60_000, "M"), (3_600_000, "H")]
        .map(|(divisor, unit)| (milliseconds / divisor, unit))
        .into_iter()
        .find(|(number, _)| *number < most)
        .unwrap_or((most - 1, "H"));
    if let Ok(value) = HeaderValue::try_from(format!("{number}{unit}")) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &'static str, timeout: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static(timeout));
        headers
    }

    #[test]
    fn the_shorter_of_two() {
        let second = Some(Duration::from_secs(1));
        let grpc =
            |timeout, of_route| limit(&headers("application/grpc", timeout), of_route).map(|limit| limit.as_millis());
        assert_eq!(grpc("200m", second), Some(200));
        assert_eq!(grpc("3S", second), Some(1000), "C44: capped");
        assert_eq!(grpc("3S", None), Some(3000), "C44: without a limit of the route's");
        assert_eq!(
            [grpc("1H", None), grpc("2M", None), grpc("1600u", None), grpc("700000n", None)],
            [Some(3_600_000), Some(120_000), Some(2), Some(1)]
        );
        for nonsense in ["", "m", "1", "-1m", "1.5S", "123456789m", "5 m", "1x", "0m"] {
            assert_eq!(grpc(nonsense, second), Some(1000), "{nonsense}");
        }
        assert_eq!(limit(&headers("text/plain", "200m"), second), second, "it is nothing to others");
    }

    #[test]
    fn the_server_is_told() {
        let told = |milliseconds| {
            let mut headers = headers("application/grpc+proto", "1H");
            tell(&mut headers, milliseconds);
            headers[GRPC_TIMEOUT].to_str().unwrap().to_owned()
        };
        assert_eq!([told(250), told(99_999_999), told(100_000_000)], ["250m", "99999999m", "100000S"]);
    }
}
