//! Where the time of a check went.

use malha_syntax::RuleInfo;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

/// So many rules are named, those that took longest.
const RULES: usize = 10;

/// Measures the parts of a check.
pub(super) struct Clock {
    start: Instant,
    /// In the order in which they were first begun.
    parts: RefCell<Vec<(&'static str, Duration)>>,
    rules: RefCell<BTreeMap<&'static str, (&'static str, Duration)>>,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { start: Instant::now(), parts: RefCell::default(), rules: RefCell::default() }
    }

    /// Does a part, whose time is its own: what parts inside of it take is theirs.
    pub(super) fn time<T>(&self, part: &'static str, work: impl FnOnce() -> T) -> T {
        let (start, inside) = (Instant::now(), self.told());
        let done = work();
        let taken = start.elapsed().saturating_sub(self.told().saturating_sub(inside));
        let mut parts = self.parts.borrow_mut();
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
        let mut rules = self.rules.borrow_mut();
        rules.entry(rule.code).or_insert((rule.name, Duration::ZERO)).1 += start.elapsed();
    }

    fn told(&self) -> Duration {
        self.parts.borrow().iter().map(|(_, taken)| *taken).sum()
    }

    /// Parts, and rules, with what they took in milliseconds.
    pub(super) fn page(&self) -> String {
        let line = |name: &str, taken: Duration| format!("{:>9.1} ms  {name}\n", taken.as_secs_f64() * 1000.0);
        let whole = self.start.elapsed();
        let mut page = String::new();
        for (part, taken) in self.parts.borrow().iter() {
            page += &line(part, *taken);
        }
        page += &line("other", whole.saturating_sub(self.told()));
        page += &line("all", whole);
        let rules = self.rules.borrow();
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
