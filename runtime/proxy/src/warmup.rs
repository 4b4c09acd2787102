//! Warm-up: endpoints that are new to a cluster get more and more requests (semantics D26).

use crate::time::written_duration;
use serde_json::Value;
use std::time::Duration;

/// What a cluster's policy says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WarmUp {
    duration: Duration,
    /// What a new endpoint begins with, as a part of its weight.
    least: f64,
    /// 1: evenly; more: faster at first.
    aggression: f64,
}

impl WarmUp {
    /// None where the policy warms nothing up.
    pub(crate) fn of(policy: &Value) -> Option<WarmUp> {
        let settings = policy.get("loadBalancer")?;
        let block = settings.get("warmup");
        let duration = match block {
            Some(block) => block.get("duration"),
            None => settings.get("warmupDurationSecs"),
        };
        let number = |name: &str| block.and_then(|block| block.get(name)).and_then(Value::as_f64);
        Some(WarmUp {
            duration: duration.and_then(Value::as_str).and_then(written_duration).filter(|time| !time.is_zero())?,
            least: number("minimumPercent").map_or(0.1, |percent| percent.clamp(0.0, 100.0) / 100.0),
            aggression: number("aggression").filter(|aggression| *aggression > 0.0).unwrap_or(1.0),
        })
    }

    /// The part of its weight that an endpoint has so many milliseconds after it came.
    pub(crate) fn part(&self, age: u64) -> f64 {
        let age = Duration::from_millis(age.max(1));
        if age >= self.duration {
            return 1.0;
        }
        let time = age.as_secs_f64() / self.duration.as_secs_f64();
        time.powf(1.0 / self.aggression).max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(settings: &Value) -> Option<WarmUp> {
        WarmUp::of(&json!({ "loadBalancer": settings }))
    }

    #[test]
    fn policies_say_how() {
        let plain = WarmUp { duration: Duration::from_mins(1), least: 0.1, aggression: 1.0 };
        assert_eq!(of(&json!({"warmup": {"duration": "60s"}})), Some(plain.clone()), "D26");
        assert_eq!(of(&json!({"warmupDurationSecs": "1m"})), Some(plain.clone()), "D26");
        let whole = json!({"warmup": {"duration": "60s", "minimumPercent": 0.0, "aggression": 2.0}});
        assert_eq!(of(&whole), Some(WarmUp { least: 0.0, aggression: 2.0, ..plain.clone() }), "D26");
        let odd = json!({"warmup": {"duration": "60s", "minimumPercent": 700, "aggression": -1}});
        assert_eq!(of(&odd), Some(WarmUp { least: 1.0, ..plain }));
        assert_eq!(of(&json!({"simple": "RANDOM"})), None);
        assert_eq!(of(&json!({"warmup": {"duration": "soon"}})), None);
    }

    #[test]
    fn weights_grow_to_the_whole() {
        let parts = |settings: &Value| {
            let warm_up = of(settings).expect("it warms up");
            let ages = [0, 1_000, 2_500, 5_000, 9_999, 10_000, u64::MAX];
            ages.map(|age| format!("{:.2}", warm_up.part(age))).join(" ")
        };
        let evenly = json!({"warmup": {"duration": "10s"}});
        assert_eq!(parts(&evenly), "0.10 0.10 0.25 0.50 1.00 1.00 1.00", "D26");
        let from_more = json!({"warmup": {"duration": "10s", "minimumPercent": 30}});
        assert_eq!(parts(&from_more), "0.30 0.30 0.30 0.50 1.00 1.00 1.00", "D26");
        let faster = json!({"warmup": {"duration": "10s", "aggression": 2}});
        assert_eq!(parts(&faster), "0.10 0.32 0.50 0.71 1.00 1.00 1.00", "D26");
    }
}
