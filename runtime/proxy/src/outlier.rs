//! Outlier detection: endpoints that fail again and again are left out for a while (semantics D.7).

use serde_json::Value;
use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// What a cluster's policy says, with Envoy's defaults where it says nothing.
#[derive(Clone, Debug)]
pub(crate) struct Detection {
    /// None: they do not count.
    errors: Option<u32>,
    gateway_errors: Option<u32>,
    /// Of failures that are no answer; none: they count as errors.
    local_failures: Option<u32>,
    /// Codes that count instead of 5xx.
    codes: Vec<u16>,
    interval: Duration,
    base: Duration,
    most_percent: u64,
    least_healthy_percent: u64,
}

/// Never ejected longer than this, unless the base is longer (D43).
const LONGEST: Duration = Duration::from_mins(5);

/// What a try came to, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer with this code.
    Answer(u16),
    /// No answer, or no whole one: no connection, a reset, a time-out.
    Failure,
    /// There is a connection; of the answer nothing is known yet.
    Connected,
}

impl Detection {
    /// None where the policy has no such block: an empty one is enough (D39).
    pub(crate) fn of(policy: &Value) -> Option<Detection> {
        let block = policy.get("outlierDetection")?;
        let number =
            |name: &str| block.get(name).and_then(Value::as_u64).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
        let time = |name: &str| block.get(name).and_then(Value::as_str).and_then(crate::time::written_duration);
        let set = |name: &str| number(name).filter(|&count| count > 0);
        let splits = block.get("splitExternalLocalOriginErrors").and_then(Value::as_bool) == Some(true);
        let codes = block.get("outlierDetectionHttpErrorCodes").and_then(Value::as_array).into_iter().flatten();
        Some(Detection {
            errors: match number("consecutive5xxErrors") {
                None => Some(5),
                Some(count) => Some(count).filter(|&count| count > 0),
            },
            gateway_errors: set("consecutiveGatewayErrors"),
            local_failures: splits.then(|| set("consecutiveLocalOriginFailures").unwrap_or(5)),
            codes: codes.filter_map(|code| u16::try_from(code.as_u64()?).ok()).collect(),
            interval: time("interval").filter(|time| !time.is_zero()).unwrap_or(Duration::from_secs(10)),
            base: time("baseEjectionTime").filter(|time| !time.is_zero()).unwrap_or(Duration::from_secs(30)),
            most_percent: number("maxEjectionPercent").map_or(10, u64::from),
            least_healthy_percent: number("minHealthPercent").map_or(0, u64::from),
        })
    }

    /// With fewer healthy endpoints than this, in percent, ejections do not count: all are used (D45).
    pub(crate) fn least_healthy_percent(&self) -> u64 {
        self.least_healthy_percent.min(100)
    }

    fn is_error(&self, code: u16) -> bool {
        if self.codes.is_empty() { (500..600).contains(&code) } else { self.codes.contains(&code) }
    }
}

/// What is known of one endpoint. Times are milliseconds since its cluster's epoch.
#[derive(Debug, Default)]
pub(crate) struct Health {
    errors: AtomicU32,
    gateway_errors: AtomicU32,
    local_failures: AtomicU32,
    /// When it comes back; 0: it was never ejected.
    until: AtomicU64,
    /// The end of the last ejection after which counting began anew.
    begun_after: AtomicU64,
    /// What the next ejection's length is multiplied by, less one: one more for each ejection, one less for each interval
    /// since that it was healthy.
    ejections: AtomicU32,
    /// How often it was ejected at all.
    pub(crate) total: AtomicU64,
}

impl Health {
    pub(crate) fn is_ejected(&self, now: u64) -> bool {
        self.until.load(Ordering::Relaxed) > now
    }

    /// Counts an outcome at `now`; says whether the endpoint is to be ejected for it (D40, D41, D46). The counter that says
    /// so begins anew, whether it is ejected or may not be; all do when an ejection ends.
    pub(crate) fn count(&self, detection: &Detection, now: u64, outcome: Outcome) -> bool {
        let reset = |counter: &AtomicU32| counter.store(0, Ordering::Relaxed);
        let is_ejected = self.is_ejected(now);
        let back = self.until.load(Ordering::Relaxed);
        if !is_ejected && self.begun_after.swap(back, Ordering::Relaxed) != back {
            [&self.errors, &self.gateway_errors, &self.local_failures].into_iter().for_each(reset);
        }
        let one_more = |counter: &AtomicU32, most: Option<u32>| {
            let count = counter.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let is_reached = !is_ejected && most.is_some_and(|most| count >= most);
            if is_reached {
                reset(counter);
            }
            is_reached
        };
        match outcome {
            Outcome::Failure if detection.local_failures.is_some() => {
                one_more(&self.local_failures, detection.local_failures)
            }
            Outcome::Failure => {
                let gateway = one_more(&self.gateway_errors, detection.gateway_errors);
                one_more(&self.errors, detection.errors) || gateway
            }
            Outcome::Connected => {
                reset(&self.local_failures);
                false
            }
            Outcome::Answer(code) if !detection.is_error(code) => {
                reset(&self.errors);
                reset(&self.gateway_errors);
                false
            }
            Outcome::Answer(code) => {
                let gateway = if (502..=504).contains(&code) {
                    one_more(&self.gateway_errors, detection.gateway_errors)
                } else {
                    reset(&self.gateway_errors);
                    false
                };
                one_more(&self.errors, detection.errors) || gateway
            }
        }
    }

    /// Ejects it at `now`, if `ejected` of `total` endpoints being so allows one more (D43, D44).
    pub(crate) fn eject(&self, detection: &Detection, now: u64, ejected: usize, total: usize) {
        let allowed = (ejected as u64 + 1) * 100 <= detection.most_percent * total as u64;
        if !allowed || self.is_ejected(now) {
            return;
        }
        let interval = milliseconds(detection.interval).max(1);
        let back = self.until.load(Ordering::Relaxed);
        // Each interval that it was healthy takes one away.
        let healthy = if back == 0 { 0 } else { now.saturating_sub(back) / interval };
        let before = u64::from(self.ejections.load(Ordering::Relaxed)).saturating_sub(healthy);
        let (base, longest) = (milliseconds(detection.base), milliseconds(LONGEST.max(detection.base)));
        // Past the longest it grows no more: else healthy intervals would long take nothing away.
        let grows = base.saturating_mul(before) < longest.saturating_add(base);
        let ejections = before.saturating_add(u64::from(grows));
        let length = base.saturating_mul(ejections).min(longest);
        // It comes back when the sweep of an interval finds that its time is over.
        let until = now.saturating_add(length).div_ceil(interval).saturating_mul(interval);
        self.ejections.store(u32::try_from(ejections).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since an epoch.
pub(crate) fn since(epoch: Instant) -> u64 {
    milliseconds(epoch.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn detection(block: &Value) -> Detection {
        Detection::of(&json!({ "outlierDetection": block })).expect("there is a block")
    }

    #[test]
    fn defaults_are_envoys() {
        assert!(Detection::of(&json!({})).is_none(), "D39");
        let empty = detection(&json!({}));
        assert_eq!((empty.errors, empty.gateway_errors, empty.local_failures), (Some(5), None, None), "D39 to D46");
        assert_eq!((empty.interval.as_secs(), empty.base.as_secs(), empty.most_percent), (10, 30, 10));
        assert_eq!(detection(&json!({"consecutive5xxErrors": 0})).errors, None, "D40");
        assert_eq!(detection(&json!({"consecutiveErrors": 1})).errors, Some(5), "D42");
        assert_eq!(detection(&json!({"splitExternalLocalOriginErrors": true})).local_failures, Some(5), "D46");
    }

    #[test]
    fn any_other_answer_starts_the_count_anew() {
        let detection = detection(&json!({"consecutive5xxErrors": 3, "consecutiveGatewayErrors": 2}));
        let told = |outcomes: &[Outcome]| {
            let health = Health::default();
            outcomes.iter().map(|outcome| health.count(&detection, 0, *outcome)).collect::<Vec<_>>()
        };
        let answers = |codes: &[u16]| codes.iter().map(|code| Outcome::Answer(*code)).collect::<Vec<_>>();
        assert_eq!(told(&answers(&[500, 500, 200, 500, 500, 500])), [false, false, false, false, false, true]);
        assert_eq!(told(&answers(&[503, 500, 503])), [false, false, true], "three 5xx");
        assert_eq!(told(&answers(&[503, 502])), [false, true], "D41");
        assert_eq!(told(&[Outcome::Failure, Outcome::Failure]), [false, true], "D41: of local origin, too");
    }

    #[test]
    fn split_failures_are_counted_apart() {
        let detection = detection(
            &json!({"consecutive5xxErrors": 1, "splitExternalLocalOriginErrors": true, "consecutiveLocalOriginFailures": 2}),
        );
        let health = Health::default();
        let count = |outcome| health.count(&detection, 0, outcome);
        assert!(!count(Outcome::Failure), "D46");
        assert!(!count(Outcome::Connected), "that there is a connection starts the count anew");
        assert!(!count(Outcome::Failure));
        assert!(!count(Outcome::Answer(200)));
        assert!(count(Outcome::Failure));
    }

    #[test]
    fn what_is_counted_begins_anew_at_the_threshold_and_after_an_ejection() {
        let detection = detection(&json!({"consecutive5xxErrors": 2, "interval": "1s", "maxEjectionPercent": 10}));
        let health = Health::default();
        let told = |now| health.count(&detection, now, Outcome::Answer(500));
        assert_eq!([told(0), told(0), told(0), told(0)], [false, true, false, true], "refused, it begins anew");
        health.eject(&detection, 0, 0, 10);
        assert_eq!([told(1), told(1), told(1)], [false; 3], "it is out");
        assert_eq!([told(40_000), told(40_000)], [false, true], "it is back");
    }

    #[test]
    fn ejections_grow_to_the_longest_and_soon_shrink_again() {
        let detection = detection(&json!({"interval": "1s", "baseEjectionTime": "100s", "maxEjectionPercent": 100}));
        let health = Health::default();
        let mut now = 0;
        for length in [100, 200, 300, 300, 300, 300, 300] {
            health.eject(&detection, now, 0, 1);
            assert!(health.is_ejected(now + length * 1000 - 1) && !health.is_ejected(now + length * 1000), "{length}");
            now += length * 1000;
        }
        health.eject(&detection, now + 3000, 0, 1);
        assert!(!health.is_ejected(now + 203_000), "three of four are taken away");
    }

    #[test]
    fn ejections_grow_and_end_with_an_interval() {
        let detection = detection(&json!({"interval": "1s", "baseEjectionTime": "2500ms", "maxEjectionPercent": 100}));
        let health = Health::default();
        health.eject(&detection, 100, 0, 1);
        assert!(health.is_ejected(2_999) && !health.is_ejected(3_000), "2.6 s, and the sweep after it");
        health.eject(&detection, 3_500, 0, 1);
        assert!(health.is_ejected(8_999) && !health.is_ejected(9_000), "twice as long");
        // Two healthy intervals take two away.
        health.eject(&detection, 11_200, 0, 1);
        assert!(health.is_ejected(13_999) && !health.is_ejected(14_000));
    }

    #[test]
    fn no_more_than_a_share_is_ejected() {
        let few = detection(&json!({}));
        let health = Health::default();
        health.eject(&few, 0, 0, 9);
        assert!(!health.is_ejected(1), "D44: one of nine is more than 10 %");
        health.eject(&few, 0, 0, 10);
        assert!(health.is_ejected(1));
        let guarded = detection(&json!({"minHealthPercent": 50}));
        assert_eq!((few.least_healthy_percent(), guarded.least_healthy_percent()), (0, 50), "D45");
    }
}
