//! The table answers as the reference interpreter does, for random meshes and requests at the boundaries of their rules.
//!
//! `MALHA_EQUIVALENCE_CONFIGS=20000 cargo test --release -p malha-emit --test table_equals_interpreter` makes the long
//! run; `MALHA_EQUIVALENCE_FIRST=N` begins with the mesh of seed N.

mod equivalence {
    pub(crate) mod lowered;
    pub(crate) mod mesh;
    pub(crate) mod random;
    pub(crate) mod requests;
}

use equivalence::{lowered::Lowered, mesh::mesh, random::Random, requests::request};
use malha_mesh::{
    analysis::unreached,
    interpret,
    program::{Program, Role, VirtualHost},
};
use malha_table::Table;
use std::{collections::BTreeMap, sync::Arc};

const REQUESTS: usize = 60;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What was asked and how it came out, to see that the requests reach what they are to test.
#[derive(Default)]
struct Tally {
    meshes: u64,
    outcomes: BTreeMap<String, u64>,
    by_rule: u64,
    /// Routes, and those of them that the table leaves out.
    routes: usize,
    removed: usize,
}

fn hold_equal(seed: u64, tally: &mut Tally) {
    let mut random = Random::new(seed);
    let mesh = mesh(&mut random);
    let lowered = Lowered::new(&mesh.yaml, &mesh.config);
    let origin = |location| lowered.place(location);
    let bytes = malha_emit::table(&lowered.program, origin).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let table = Table::load(bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    tally.meshes += 1;
    for host in hosts(&lowered.program) {
        tally.routes += host.routes.len();
        tally.removed += unreached(host).len();
    }
    for _ in 0..REQUESTS {
        let is_gateway = !random.one_in(4);
        let mut proxies = lowered.program.proxies.iter();
        let proxy = proxies.find(|proxy| (proxy.role == Role::Gateway) == is_gateway).expect("both are wanted");
        let request = request(&mut random, proxy);
        let draw = random.next();
        let expected = interpret(&lowered.program, &request, draw, &origin);
        let told = table.decide(&request, draw);
        assert_eq!(told, expected, "seed {seed}, draw {draw}, {request:?}\n{}\n{}", mesh.config, mesh.yaml);
        let outcome = told.as_ref().map_or_else(ToString::to_string, |decision| format!("{:?}", decision.outcome));
        *tally.outcomes.entry(outcome).or_default() += 1;
        tally.by_rule += u64::from(told.is_ok_and(|decision| decision.rule.is_some()));
    }
}

fn hosts(program: &Program) -> impl Iterator<Item = &VirtualHost> {
    let programs = program.proxies.iter().map(|proxy| &proxy.program);
    programs.flat_map(|program| &program.route_tables).flat_map(|table| &table.virtual_hosts).map(|host| &**host)
}

#[test]
fn table_equals_interpreter() {
    let first = number("MALHA_EQUIVALENCE_FIRST", 0);
    let mut tally = Tally::default();
    for seed in first..first + number("MALHA_EQUIVALENCE_CONFIGS", 300) {
        hold_equal(seed, &mut tally);
    }
    println!("{} meshes, {} requests each, {} taken by a rule", tally.meshes, REQUESTS, tally.by_rule);
    println!("{:?}", tally.outcomes);
    println!("{} of {} routes removed", tally.removed, tally.routes);
    let asked = tally.meshes * REQUESTS as u64;
    assert!(
        tally.by_rule * 4 > asked || tally.meshes < 100,
        "too few requests meet a rule: {} of {asked}",
        tally.by_rule
    );
    assert!(
        tally.removed * 20 > tally.routes || tally.meshes < 100,
        "too few routes are removed: {} of {}",
        tally.removed,
        tally.routes
    );
}

#[test]
fn equal_meshes_make_equal_bytes_and_moved_lines_equal_programs() {
    for seed in 0..40 {
        let mesh = mesh(&mut Random::new(seed));
        let write = |yaml: &str| {
            let lowered = Lowered::new(yaml, &mesh.config);
            malha_emit::table(&lowered.program, |location| lowered.place(location)).expect("a table")
        };
        let bytes = write(&mesh.yaml);
        assert_eq!(bytes, write(&mesh.yaml), "seed {seed}");
        let moved = write(&format!("# a comment\n\n{}", mesh.yaml));
        let (one, other) = (Table::load(bytes).expect("a table"), Table::load(moved).expect("a table"));
        assert_eq!(one.program_hash(), other.program_hash(), "seed {seed}");
        assert!(one.rules().is_empty() || one.checksum() != other.checksum(), "seed {seed}: no line moved");
    }
}

#[test]
fn what_is_shared_in_memory_does_not_show() {
    let mesh = mesh(&mut Random::new(7));
    let lowered = Lowered::new(&mesh.yaml, &mesh.config);
    let mut unshared = lowered.program.clone();
    for proxy in &mut unshared.proxies {
        let program = Arc::make_mut(&mut proxy.program);
        for table in &mut program.route_tables {
            for host in &mut table.virtual_hosts {
                let mut copy = (**host).clone();
                for route in Arc::make_mut(&mut copy.routes) {
                    route.action = Arc::new((*route.action).clone());
                }
                *host = Arc::new(copy);
            }
            table.virtual_hosts.reverse();
        }
    }
    let write = |program: &Program| malha_emit::table(program, |location| lowered.place(location)).expect("a table");
    assert_eq!(write(&lowered.program), write(&unshared));
}
