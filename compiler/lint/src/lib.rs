//! Findings about a mesh: one file per rule.
//!
//! A rule's file holds its documentation, its bad and its good example (which are its test) and its detection; one line
//! in `rules/mod.rs` registers it. Rules that reading decides (families Y and K, and S006) have their documentation
//! here too.

mod certificates;
mod clients;
mod dangling;
mod destinations;
mod evidence;
mod fix;
mod hosts;
mod namespaces;
mod noted;
mod page;
mod patterns;
mod place;
mod policies;
mod proof;
mod rewrite;
mod rule;
mod rules;
mod shown;
mod sidecars;
mod slip;
mod suppression;
mod written;

pub use page::{index, page};
pub use proof::{RowAccount, RowLoss, Standing, account, claim_holds};
pub use rule::{Check, Context, Example, Rule};
pub use rules::RULES;
pub use suppression::{Judged, Suppressions};

use malha_mesh::{Mesh, program::Program};
use malha_syntax::{Finding, Group, RuleInfo, Sources};
use std::{
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Everything that the rules have to say about a mesh, in order of place.
///
/// `program` is the mesh lowered for its gateways and the default sidecar. Findings of reading (families Y and K, S006) are
/// not repeated here.
pub fn check(mesh: &Mesh, program: &Program) -> Vec<Finding> {
    check_with(mesh, program, &Options::default())
}

/// What [`check_with`] may leave out, and what it may read besides.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Whether somebody wants to hear of a rule that does not run unasked; none: of all. The others always run.
    pub wanted: Option<&'a (dyn Fn(&RuleInfo) -> bool + Sync)>,
    /// Only rules of this group; none: of all.
    pub only: Option<Group>,
    /// The texts of the mesh: without them those fixes are not offered that need them.
    pub sources: Option<&'a Sources>,
    /// Runs each rule in its own way, as by measuring how long it takes.
    pub around: Option<Around<'a>>,
    /// One rule after the other, in the order of [`RULES`]: what two of them ask for is then waited for by neither.
    pub in_turn: bool,
    /// The time, in seconds since 1970: without it nothing is said of what expires.
    pub now: Option<i64>,
}

/// Calls what it is given, which runs the rule, once. Rules that run side by side are told of by several threads.
pub type Around<'a> = &'a (dyn Fn(&'static RuleInfo, &mut dyn FnMut()) + Sync);

impl Options<'_> {
    fn runs(&self, rule: &RuleInfo) -> bool {
        self.only.is_none_or(|group| rule.group == group)
            && (rule.group.on_by_default() || self.wanted.is_none_or(|wanted| wanted(rule)))
    }
}

/// What the rules have to say about a mesh, as [`check`] has it.
pub fn check_with(mesh: &Mesh, program: &Program, options: &Options<'_>) -> Vec<Finding> {
    let context = Context { now: options.now, ..Context::new(mesh, program).with_sources(options.sources) };
    let checks = RULES.iter().filter(|rule| options.runs(rule.info)).filter_map(|rule| Some((rule.info, rule.check?)));
    let run = |(info, check): (&'static RuleInfo, Check), findings: &mut Vec<Finding>| match options.around {
        Some(around) => around(info, &mut || check(&context, findings)),
        None => check(&context, findings),
    };
    let mut findings = Vec::new();
    if options.in_turn {
        checks.for_each(|check| run(check, &mut findings));
    } else {
        findings = side_by_side(&checks.collect::<Vec<_>>(), &run);
    }
    sort(&mut findings);
    // A delegate that two roots share is looked at twice.
    findings.dedup_by(|a, b| a.rule == b.rule && a.location == b.location && a.message == b.message);
    findings
}

/// Runs the rules on as many threads as there are cores. They are threads of their own: what is proved once for several
/// rules is proved by the pool, and a thread of the pool that took up a rule meanwhile could wait for what it has to prove
/// itself.
///
/// What they find is in the order of the rules, whichever was done first.
fn side_by_side<C: Copy + Sync>(checks: &[C], run: &(impl Fn(C, &mut Vec<Finding>) + Sync)) -> Vec<Finding> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(check) = checks.get(at) else { return done };
            let mut findings = Vec::new();
            run(*check, &mut findings);
            done.push((at, findings));
        }
    };
    let others = thread::available_parallelism().map_or(1, NonZero::get).min(checks.len()).saturating_sub(1);
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().flat_map(|(_, findings)| findings).collect()
}

/// Sorts findings by place, then code, then message: the order in which they are shown.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.location, finding.rule.code);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
}
