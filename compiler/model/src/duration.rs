//! Durations as Istio's APIs write them.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::{fmt, time};

/// What [`Duration::parse`] takes, but for its range.
const SYNTAX: &str = r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// A span of time in nanoseconds, written as `10s`, `1.5h` or `1m30s`.
///
/// The syntax and the range are those of Go's `time.ParseDuration`, which reads these fields both in the schema's rules
/// (`duration(self) >= duration('1ms')`) and in Istio. It may be negative where no rule forbids that (a cookie's `ttl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(inline, with = "String", extend("pattern" = SYNTAX))]
pub struct Duration {
    nanoseconds: i64,
}

impl Duration {
    /// A duration of so many nanoseconds.
    pub const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Duration { nanoseconds }
    }

    /// A duration of so many whole milliseconds.
    pub const fn from_milliseconds(milliseconds: i32) -> Self {
        Duration { nanoseconds: milliseconds as i64 * 1_000_000 }
    }

    /// In nanoseconds.
    pub fn nanoseconds(self) -> i64 {
        self.nanoseconds
    }

    /// As the standard library has it; a negative duration becomes zero.
    pub fn to_std(self) -> time::Duration {
        time::Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }

    /// Reads `text`: an optional sign, then `0` or numbers with units (`ns`, `us`, `µs`, `ms`, `s`, `m`, `h`), which
    /// may have fractions. `None` for anything else and for more than about 292 years.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, mut rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Some(Duration::default());
        }
        if rest.is_empty() {
            return None;
        }
        // A hundred thousand digits are still one number: saturation, not wrapping, keeps the sum honest.
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let whole_length = digits(rest);
            let (whole, tail) = rest.split_at(whole_length);
            let (fraction, tail) = match tail.strip_prefix('.') {
                Some(tail) => tail.split_at(digits(tail)),
                None => ("", tail),
            };
            if whole.is_empty() && fraction.is_empty() {
                return None;
            }
            let unit_length = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_length);
            let unit = unit_nanoseconds(unit)?;
            let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
            let nanoseconds = whole.checked_mul(unit)?.checked_add(fraction_of(fraction, unit))?;
            total = total.checked_add(nanoseconds)?;
            if total > 1 << 63 {
                return None;
            }
            rest = tail;
        }
        let nanoseconds = if negative { 0_i64.checked_sub_unsigned(total)? } else { i64::try_from(total).ok()? };
        Some(Duration { nanoseconds })
    }
}

/// How many of the first bytes are digits.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn unit_nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter mu are two characters that look the same.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The nanoseconds in `0.digits` of a unit, in floating point as Go has it. Digits that no longer fit count for nothing.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "it is less than a unit, and not negative")]
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let mut numerator: u64 = 0;
    let mut denominator: f64 = 1.0;
    for digit in digits.bytes() {
        let Some(more) = numerator.checked_mul(10).and_then(|it| it.checked_add(u64::from(digit - b'0'))) else {
            break;
        };
        if more > i64::MAX as u64 {
            break;
        }
        numerator = more;
        denominator *= 10.0;
    }
    (numerator as f64 * (unit as f64 / denominator)) as u64
}

impl fmt::Display for Duration {
    /// In seconds with as many decimals as it takes, as protobuf's JSON has it: `10s`, `0.5s`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanoseconds < 0 { "-" } else { "" };
        let magnitude = self.nanoseconds.unsigned_abs();
        let (seconds, fraction) = (magnitude / 1_000_000_000, magnitude % 1_000_000_000);
        if fraction == 0 {
            return write!(formatter, "{sign}{seconds}s");
        }
        let decimals = format!("{fraction:09}");
        write!(formatter, "{sign}{seconds}.{}s", decimals.trim_end_matches('0'))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0", 0),
            ("10s", 10_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1m30s", 90_000_000_000),
            (".5ms", 500_000),
            ("1.s", 1_000_000_000),
            ("+1us", 1_000),
            ("1\u{b5}s1\u{3bc}s", 2_000),
            ("-1s", -1_000_000_000),
            ("0.3333333333333333333333h", 1_200_000_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(Duration::parse(text), Some(Duration::from_nanoseconds(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "-",
            "10",
            "s",
            ".s",
            "1 s",
            "1d",
            "1s ",
            "abc",
            "9223372036854775808ns",
            "3000000h",
            "1e3s",
            "--1s",
            "00",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }

    #[test]
    fn prints_seconds() {
        for (text, printed) in [("10s", "10s"), ("1ms", "0.001s"), ("-1.5s", "-1.5s"), ("1h", "3600s"), ("0", "0s")] {
            assert_eq!(Duration::parse(text).map(|duration| duration.to_string()).as_deref(), Some(printed));
        }
    }
}
