//! Durations as the webhook takes them: whole milliseconds.

use super::Judge;
use crate::{Duration, Spanned, rules::INVALID_DURATION};
use std::fmt;

/// In nanoseconds.
pub(super) const MILLISECOND: i64 = 1_000_000;

/// Refuses a duration that is no whole number of milliseconds (rule C6). That it is one or more, reading has seen to.
pub(super) fn check_duration(
    duration: Option<&Spanned<Duration>>,
    field: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    let Some(duration) = duration.filter(|duration| duration.nanoseconds() % MILLISECOND != 0) else { return };
    judge.refuse(
        &INVALID_DURATION,
        field.to_string(),
        duration.span,
        format!("{} is no whole number of milliseconds, and Istio takes nothing finer", duration.value),
        "round it to milliseconds",
    );
}

/// As [`check_duration`], for a field where less than a millisecond stands for none at all.
pub(super) fn check_duration_or_none(
    duration: Option<&Spanned<Duration>>,
    field: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    let Some(duration) = duration.filter(|duration| duration.nanoseconds() / MILLISECOND != 0) else { return };
    if duration.nanoseconds() < 0 {
        judge.refuse(
            &INVALID_DURATION,
            field.to_string(),
            duration.span,
            format!("{} is negative, and nothing lasts less than no time", duration.value),
            "write `0s` for none, or a positive duration",
        );
        return;
    }
    check_duration(Some(duration), field, judge);
}
