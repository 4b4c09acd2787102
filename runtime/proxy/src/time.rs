//! Times as text, without a calendar library, and durations from it.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A time as Envoy's `%START_TIME%` writes it: `2026-08-01T10:20:30.456Z`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Iso(pub(crate) SystemTime);

impl Iso {
    /// Bytes of its text, of years before 10000.
    pub(crate) const LENGTH: usize = 24;

    /// Its text, written where there is room for it.
    pub(crate) fn write(self, text: &mut [u8; Iso::LENGTH]) -> &str {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let seconds = since.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        *text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, seconds / 3600 % 24),
            (14..16, seconds / 60 % 60),
            (17..19, seconds % 60),
            (20..23, u64::from(since.subsec_millis())),
        ];
        for (place, mut number) in parts {
            for digit in text[place].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        // Digits and signs.
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; Iso::LENGTH]))
    }
}

/// Writes one time after the other as [`Iso`] does. Most are of the same second as the one before, and of those only the
/// milliseconds are worked out.
#[derive(Debug)]
pub(crate) struct Stamp {
    /// Since the epoch.
    second: u64,
    text: [u8; Iso::LENGTH],
}

impl Default for Stamp {
    fn default() -> Self {
        let mut text = [0; Iso::LENGTH];
        Iso(UNIX_EPOCH).write(&mut text);
        Stamp { second: 0, text }
    }
}

impl Stamp {
    /// The text of a time.
    pub(crate) fn of(&mut self, time: SystemTime) -> &[u8; Iso::LENGTH] {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if since.as_secs() == self.second {
            let milliseconds = since.subsec_millis();
            for (place, unit) in [(20, 100), (21, 10), (22, 1)] {
                self.text[place] = b'0' + (milliseconds / unit % 10) as u8;
            }
        } else {
            self.second = since.as_secs();
            Iso(time).write(&mut self.text);
        }
        &self.text
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Gregorian; an era is 400 years from 1 March of year 0).
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// A duration as files write it: `1h`, `1m30s`, `0.5s`, `200ms`.
pub(crate) fn written_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (digits, unit) = rest.split_at(number);
        let end = unit.find(|character: char| character.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let seconds = digits.parse::<f64>().ok()? * scale;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        let at = |seconds| Iso(UNIX_EPOCH + Duration::from_millis(seconds)).to_string();
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400_007), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(1_735_689_599_999), "2024-12-31T23:59:59.999Z");
    }

    #[test]
    fn one_time_after_the_other_is_written_as_each_alone() {
        let mut stamp = Stamp::default();
        for milliseconds in [0, 7, 999, 1_000, 1_735_689_599_999, 1_735_689_599_120, 1_735_689_600_000, 999] {
            let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(stamp.of(time), Iso(time).to_string().as_bytes());
        }
    }

    #[test]
    fn durations_as_files_write_them() {
        for (text, milliseconds) in [("1h", Some(3_600_000)), ("1m30s", Some(90_000)), ("0.5s", Some(500)), ("7", None)]
        {
            assert_eq!(written_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}
