//! Where the time of a check went.

use crate::locked::locked;
use malha_syntax::RuleInfo;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::Mutex,
    time::{Duration, Instant},
};

/// So many rules are named, those that took longest.
const RULES: usize = 10;

/// Measures the parts of a check.
pub(super) struct Clock {
    start: Instant,
    /// Whether somebody wants to know of each rule, too.
    times_rules: bool,
    /// In the order in which they were first begun.
    parts: Mutex<Vec<(&'static str, Duration)>>,
    rules: Mutex<BTreeMap<&'static str, (&'static str, Duration)>>,
}

impl Clock {
    pub(super) fn new(times_rules: bool) -> Clock {
        Clock { start: Instant::now(), times_rules, parts: Mutex::default(), rules: Mutex::default() }
    }

    /// Whether rules have to run one after the other: side by side, what one of them takes would be what it waits for
    /// the others, and for their share of the cores.
    pub(super) fn times_rules(&self) -> bool {
        self.times_rules
    }

    /// Does a part, whose time is its own: what parts inside of it take is theirs.
    pub(super) fn time<T>(&self, part: &'static str, work: impl FnOnce() -> T) -> T {
        let (start, inside) = (Instant::now(), self.told());
        let done = work();
        let taken = start.elapsed().saturating_sub(self.told().saturating_sub(inside));
        let mut parts = locked(&self.parts);
        match parts.iter_mut().find(|(name, _)| *name == part) {
            Some((_, told)) => *told += taken,
            None => parts.push((part, taken)),
        }
        done
    }

    /// Runs a rule; its time is part of the linting.
    pub(super) fn rule(&self, rule: &'static RuleInfo, check: &mut dyn FnMut()) {
        let start = Instant::now();
        check();
        let taken = start.elapsed();
        locked(&self.rules).entry(rule.code).or_insert((rule.name, Duration::ZERO)).1 += taken;
    }

    fn told(&self) -> Duration {
        locked(&self.parts).iter().map(|(_, taken)| *taken).sum()
    }

    /// Parts, and rules, with what they took in milliseconds.
    pub(super) fn page(&self) -> String {
        let line = |name: &str, taken: Duration| format!("{:>9.1} ms  {name}\n", taken.as_secs_f64() * 1000.0);
        let whole = self.start.elapsed();
        let mut page = String::new();
        for (part, taken) in locked(&self.parts).iter() {
            page += &line(part, *taken);
        }
        page += &line("other", whole.saturating_sub(self.told()));
        page += &line("all", whole);
        let rules = locked(&self.rules);
        let mut rules: Vec<_> = rules.iter().collect();
        rules.sort_by_key(|(code, (_, taken))| (std::cmp::Reverse(*taken), **code));
        if !rules.is_empty() {
            let _ = writeln!(page, "rules that took longest (the first to ask for a proof pays for it):");
        }
        for (code, (name, taken)) in rules.into_iter().take(RULES) {
            page += &line(&format!("{code} {name}"), *taken);
        }
        page
    }
}
