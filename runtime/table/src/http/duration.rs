//! Durations as decisions write them.

use std::{fmt::Write, time::Duration};

/// `10s`, `1h30m0s`, `2.5s`, `250ms`: hours, minutes and seconds, or one smaller unit; `0s` for nothing.
pub fn duration_text(duration: Duration) -> String {
    let nanos = duration.subsec_nanos();
    let seconds = duration.as_secs();
    if seconds == 0 && nanos > 0 {
        let (divisor, unit) = match nanos {
            1_000_000.. => (1_000_000, "ms"),
            1_000.. => (1_000, "µs"),
            _ => (1, "ns"),
        };
        return format!("{}{unit}", decimal(nanos / divisor, nanos % divisor, divisor));
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    // Writing to a String does not fail.
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{}s", decimal(seconds as u32, nanos, 1_000_000_000));
    text
}

/// `whole` and `rest` parts of `scale`, as a decimal fraction without trailing zeros.
fn decimal(whole: u32, rest: u32, scale: u32) -> String {
    if rest == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        for (duration, text) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(10), "10s"),
            (Duration::from_millis(2500), "2.5s"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_micros(1500), "1.5ms"),
            (Duration::from_micros(7), "7µs"),
            (Duration::from_nanos(3), "3ns"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_secs(86_400), "24h0m0s"),
            (Duration::from_secs(3661), "1h1m1s"),
        ] {
            assert_eq!(duration_text(duration), text);
        }
    }
}
