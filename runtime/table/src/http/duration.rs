//! Durations as decisions write them.

use std::time::Duration;

/// One number and one unit, as `10s`, `3600s`, `2.5s`, `250ms`: seconds, or a smaller unit below one second; `0s` for
/// nothing. One unit alone, so that any reader of the JSON can read it.
pub fn duration_text(duration: Duration) -> String {
    let nanos = duration.subsec_nanos();
    if duration.as_secs() > 0 || nanos == 0 {
        return decimal(duration.as_secs(), nanos, 1_000_000_000) + "s";
    }
    let (divisor, unit) = match nanos {
        1_000_000.. => (1_000_000, "ms"),
        1_000.. => (1_000, "us"),
        _ => (1, "ns"),
    };
    decimal(u64::from(nanos / divisor), nanos % divisor, divisor) + unit
}

/// `whole`, and `rest` parts of `scale`, as a decimal fraction without trailing zeros.
fn decimal(whole: u64, rest: u32, scale: u32) -> String {
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
    fn one_number_and_one_unit() {
        for (duration, text) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(10), "10s"),
            (Duration::from_millis(2500), "2.5s"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_micros(1500), "1.5ms"),
            (Duration::from_micros(7), "7us"),
            (Duration::from_nanos(3), "3ns"),
            (Duration::from_secs(90), "90s"),
            (Duration::from_hours(24), "86400s"),
        ] {
            assert_eq!(duration_text(duration), text);
        }
    }
}
