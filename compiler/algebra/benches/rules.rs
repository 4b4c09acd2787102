//! How long it takes to find out of every rule of a list whether it is reached, as the list grows.
//!
//! `cargo bench -p malha-algebra` prints the curve. `mixed` is what a large virtual host looks like: prefixes, exact
//! paths, a twentieth regular expressions, headers. The others are as bad as we know how to make them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use malha_algebra::re2::Pattern;
use malha_algebra::{
    Condition, DEFAULT_BUDGET, List, PathTest, Predicate, Reach, Space, ValueTest, World, language::Limits,
};
use std::{hint::black_box, sync::Arc};

fn prefix(value: String) -> PathTest {
    PathTest::Prefix { value: value.into(), ignore_case: false }
}

fn exact(value: String) -> PathTest {
    PathTest::Exact { value: value.into(), ignore_case: false }
}

fn regex(text: &str) -> PathTest {
    PathTest::Regex(Pattern::parse(text).expect("a pattern"))
}

fn header(name: &str, value: String) -> Condition {
    Condition::header(name, ValueTest::Exact(value.into()))
}

fn rule(path: PathTest, conditions: Vec<Condition>) -> Predicate {
    Predicate { path, conditions, ..Predicate::any() }
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
    let mut state = at as u64 * 0x9e37_79b9_7f4a_7c15 + 1;
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
    rule(PathTest::Any, vec![Condition::header(&format!("h{number}"), ValueTest::Exact("a".into()))])
}

/// Each forbids a header of its own: a later one is reached by requests that send all of those before.
fn forbidding(number: usize) -> Predicate {
    let header = Condition::header(&format!("h{number}"), ValueTest::Present);
    rule(PathTest::Any, vec![Condition { negated: true, ..header }])
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

type Make = fn(usize) -> Predicate;

fn curve(criterion: &mut Criterion) {
    let shapes: [(&str, Make, &[usize]); 6] = [
        ("mixed", mixed, &[100, 1_000, 10_000, 100_000]),
        ("regexes", regexes, &[100, 1_000]),
        ("crossing", crossing, &[100, 1_000]),
        ("puzzle", puzzle, &[100, 200]),
        ("names", names, &[1_000, 10_000]),
        ("forbidding", forbidding, &[100, 1_000]),
    ];
    for (name, make, counts) in shapes {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        for &count in counts {
            let rules: Vec<Predicate> = (0..count).map(make).collect();
            let [reached, taken, unknown] = verdicts(&rules);
            println!("{name} {count}: {reached} reached, {taken} not, {unknown} undecided");
            group.throughput(Throughput::Elements(count as u64));
            group.bench_with_input(BenchmarkId::from_parameter(count), &rules, |bencher, rules| {
                bencher.iter(|| black_box(verdicts(rules)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, curve);
criterion_main!(benches);
