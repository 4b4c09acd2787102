//! How long it takes to find out of every rule of a list whether it is reached, as the list grows.
//!
//! `mixed` is what a large virtual host looks like: prefixes, exact paths, a twentieth regular expressions, headers. The
//! others are as bad as we know how to make them.

use malha_algebra::{
    Condition, DEFAULT_BUDGET, List, PathTest, Predicate, Reach, Space, ValueTest, World, language::Limits,
    re2::Pattern,
};
use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

const ROUNDS: usize = 5;

type Make = fn(usize) -> Predicate;

/// The task that measures.
pub(crate) const TASK: &str = "bench-rules";

/// Measures in a process of its own, built as what is handed out.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let ended = Command::new(binaries.join("xtask")).arg(TASK).status();
    let status = ended.map_err(|error| format!("a part of the bench does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err("the bench failed".to_owned()) }
}

/// Prints what became of the rules, and the least time for each list over some rounds.
pub(crate) fn measure() {
    let shapes: [(&str, Make, &[usize]); 6] = [
        ("mixed", mixed, &[100, 1_000, 10_000, 100_000]),
        ("regexes", regexes, &[100, 1_000]),
        ("crossing", crossing, &[100, 1_000]),
        ("puzzle", puzzle, &[100, 200]),
        ("names", names, &[1_000, 10_000]),
        ("forbidding", forbidding, &[100, 1_000]),
    ];
    println!("least of {ROUNDS} rounds\n");
    println!("| rules | how many | reached | not reached | undecided | ms | µs for each |\n{}|", "| --- ".repeat(7));
    for (name, make, counts) in shapes {
        for &count in counts {
            let rules: Vec<Predicate> = (0..count).map(make).collect();
            let mut best = (Duration::MAX, [0; 3]);
            for _ in 0..ROUNDS {
                let started = Instant::now();
                let verdicts = verdicts(&rules);
                best = best.min((started.elapsed(), verdicts));
            }
            let (took, [reached, taken, unknown]) = best;
            let (all, each) =
                (milliseconds(took), 1e3 * milliseconds(took) / f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
            println!("| {name} | {count} | {reached} | {taken} | {unknown} | {all:.2} | {each:.1} |");
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How many rules are reached, not reached, undecided.
fn verdicts(rules: &[Predicate]) -> [usize; 3] {
    let mut space = Space::new(Arc::new(World::default()), Vec::new(), Limits::of_rows(rules.len()));
    let rows = rules.iter().map(|rule| space.product(rule)).collect();
    let list = List::new(rows, &space);
    let mut verdicts = [0; 3];
    for row in 0..rules.len() {
        let verdict = match list.reach(&mut space, row, DEFAULT_BUDGET) {
            Reach::Live(_) => 0,
            Reach::Empty | Reach::Taken(_) => 1,
            Reach::Unknown => 2,
        };
        verdicts[verdict] += 1;
    }
    verdicts
}

/// What a large virtual host looks like.
fn mixed(at: usize) -> Predicate {
    match at % 20 {
        0 => rule(regex(&format!("/r{at}/[a-z]+/v[0-9]+")), vec![]),
        1..=7 => rule(prefix(format!("/p{at}/")), vec![]),
        8..=13 => rule(exact(format!("/e{at}/items")), vec![]),
        14..=17 => rule(prefix("/".to_owned()), vec![header("x-tenant", format!("t{at}"))]),
        _ => rule(prefix(format!("/p{}", at % 97)), vec![header("x-version", at.to_string())]),
    }
}

/// Regular expressions that begin with nothing certain: each candidate is asked of all of them.
fn regexes(at: usize) -> Predicate {
    rule(regex(&format!(".*/r{at}/[a-z]+")), vec![])
}

/// Rules of two conditions each on the same two headers, none of which takes another's requests by itself.
fn crossing(at: usize) -> Predicate {
    rule(PathTest::Any, vec![header("a", (at % 40).to_string()), header("b", (at / 40).to_string())])
}

/// Rules of three conditions each, chance which, on whether thirty headers are there: whether the last rules are reached
/// is as hard a question as there is, and the budget ends it.
fn puzzle(at: usize) -> Predicate {
    let mut state = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut chance = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let conditions = (0..3).map(|_| {
        let header = Condition::header(&format!("h{}", chance(30)), ValueTest::Present);
        Condition { negated: chance(2) == 0, ..header }
    });
    rule(PathTest::Any, conditions.collect())
}

/// A header of its own for each.
fn names(number: usize) -> Predicate {
    rule(PathTest::Any, vec![header(&format!("h{number}"), "a".to_owned())])
}

/// Each forbids a header of its own: a later one is reached by requests that send all of those before.
fn forbidding(number: usize) -> Predicate {
    let header = Condition::header(&format!("h{number}"), ValueTest::Present);
    rule(PathTest::Any, vec![Condition { negated: true, ..header }])
}

fn rule(path: PathTest, conditions: Vec<Condition>) -> Predicate {
    Predicate { path, conditions, ..Predicate::any() }
}

fn prefix(value: String) -> PathTest {
    PathTest::Prefix { value: value.into(), ignore_case: false }
}

fn exact(value: String) -> PathTest {
    PathTest::Exact { value: value.into(), ignore_case: false }
}

#[expect(clippy::expect_used, reason = "the patterns are written here")]
fn regex(text: &str) -> PathTest {
    PathTest::Regex(Pattern::parse(text).expect("a pattern"))
}

fn header(name: &str, value: String) -> Condition {
    Condition::header(name, ValueTest::Exact(value.into()))
}
