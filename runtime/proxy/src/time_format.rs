//! Times as a format of `%START_TIME(...)%` writes them: strftime's letters as Envoy takes them, in UTC.

use crate::time::civil;
use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// From Thursday on, as the first day of 1970 was.
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// A time, taken apart.
struct Parts {
    since: Duration,
    year: u64,
    month: u64,
    day: u64,
    /// Counted from 0.
    day_of_year: u64,
}

impl Parts {
    fn of(time: SystemTime) -> Parts {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let days = since.as_secs() / 86_400;
        let (year, month, day) = civil(days);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let before = lengths.iter().zip(1..month).map(|(length, _)| length).sum::<u64>();
        Parts { since, year, month, day, day_of_year: before + day - 1 }
    }

    fn hour(&self) -> u64 {
        self.since.as_secs() / 3600 % 24
    }

    fn minute(&self) -> u64 {
        self.since.as_secs() / 60 % 60
    }

    fn second(&self) -> u64 {
        self.since.as_secs() % 60
    }

    fn month_name(&self) -> &'static str {
        MONTHS.iter().zip(1..).find(|(_, month)| *month == self.month).map_or("", |(name, _)| name)
    }

    fn day_name(&self) -> &'static str {
        DAYS.iter().zip(0..).find(|(_, day)| *day == self.since.as_secs() / 86_400 % 7).map_or("", |(name, _)| name)
    }

    /// So many digits of the second's fraction.
    fn fraction(&self, digits: usize) -> String {
        format!("{:09}", self.since.subsec_nanos()).get(..digits).unwrap_or_default().to_owned()
    }

    /// Appends what one letter stands for; false: it stands for nothing.
    fn letter(&self, letter: char, out: &mut String) -> bool {
        let several = match letter {
            'F' => "%Y-%m-%d",
            'T' => "%H:%M:%S",
            'R' => "%H:%M",
            'D' => "%m/%d/%y",
            'c' => "%a %b %e %H:%M:%S %Y",
            _ => "",
        };
        if !several.is_empty() {
            self.letters(several, out);
            return true;
        }
        let twelve = (self.hour() + 11) % 12 + 1;
        let short = |name: &'static str| name.get(..3).unwrap_or_default();
        let _ = match letter {
            'Y' => write!(out, "{}", self.year),
            'C' => write!(out, "{:02}", self.year / 100),
            'y' => write!(out, "{:02}", self.year % 100),
            'm' => write!(out, "{:02}", self.month),
            'd' => write!(out, "{:02}", self.day),
            'e' => write!(out, "{:2}", self.day),
            'j' => write!(out, "{:03}", self.day_of_year + 1),
            'H' => write!(out, "{:02}", self.hour()),
            'I' => write!(out, "{twelve:02}"),
            'M' => write!(out, "{:02}", self.minute()),
            'S' => write!(out, "{:02}", self.second()),
            'p' => write!(out, "{}", if self.hour() < 12 { "AM" } else { "PM" }),
            'b' | 'h' => write!(out, "{}", short(self.month_name())),
            'B' => write!(out, "{}", self.month_name()),
            'a' => write!(out, "{}", short(self.day_name())),
            'A' => write!(out, "{}", self.day_name()),
            'z' => write!(out, "+0000"),
            'Z' => write!(out, "UTC"),
            's' => write!(out, "{}", self.since.as_secs()),
            'f' => write!(out, "{}", self.fraction(9)),
            't' => write!(out, "\t"),
            '%' => write!(out, "%"),
            _ => return false,
        };
        true
    }

    /// Appends a format, with what its letters stand for.
    fn letters(&self, format: &str, out: &mut String) {
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            let mut characters = after.chars();
            let (first, second) = (characters.next(), characters.clone().next());
            rest = characters.as_str();
            match (first, second) {
                // So many digits of a fraction, as `%3f`.
                (Some(digits @ '1'..='9'), Some('f')) => {
                    out.push_str(&self.fraction(digits.to_digit(10).unwrap_or_default() as usize));
                    rest = rest.get(1..).unwrap_or_default();
                }
                (Some(letter), _) => {
                    if !self.letter(letter, out) {
                        out.extend(['%', letter]);
                    }
                }
                (None, _) => out.push('%'),
            }
        }
        out.push_str(rest);
    }
}

/// A time in this format. Letters that stand for nothing stay as they are.
pub(crate) fn formatted(time: SystemTime, format: &str) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    Parts::of(time).letters(format, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_strftime() {
        let time = UNIX_EPOCH + Duration::from_nanos(1_709_211_845_123_456_789);
        for (format, text) in [
            ("%Y/%m/%dT%H:%M:%S%z %s", "2024/02/29T13:04:05+0000 1709211845"),
            ("%Y-%m-%dT%H:%M:%S.%3fZ", "2024-02-29T13:04:05.123Z"),
            ("%s%3f|%9f|%f|%1f", "1709211845123|123456789|123456789|1"),
            ("%a, %d %b %Y %I:%M %p", "Thu, 29 Feb 2024 01:04 PM"),
            ("%A %B %j %y %C %e", "Thursday February 060 24 20 29"),
            ("%F %T %R %D %Z %%", "2024-02-29 13:04:05 13:04 02/29/24 UTC %"),
            ("%c", "Thu Feb 29 13:04:05 2024"),
            ("", ""),
            ("plain", "plain"),
            ("%", "%"),
            ("%Q%3x", "%Q%3x"),
            ("%é", "%é"),
        ] {
            assert_eq!(formatted(time, format), text, "{format}");
        }
        let at = |seconds: u64, format| formatted(UNIX_EPOCH + Duration::from_secs(seconds), format);
        assert_eq!(at(0, "%a %b %e %I%p"), "Thu Jan  1 12AM");
        assert_eq!(at(1_735_689_599, "%A %j %H"), "Tuesday 366 23");
    }
}
