//! What `differences` says of two meshes, against what becomes of requests: each request that is treated otherwise lies
//! on a listener with a change, and the request of each change is treated otherwise.
//!
//! `MALHA_DIFFERENCE_MESHES=5000 cargo test --release -p malha-emit --test difference` makes a longer run.

#[allow(dead_code, reason = "each test file uses its part")]
mod equivalence {
    pub(crate) mod lowered;
    pub(crate) mod mesh;
    pub(crate) mod random;
    pub(crate) mod requests;
}

use equivalence::{lowered::Lowered, mesh::mesh, random::Random, requests::request};
use malha_mesh::{
    analysis::{Change, differences},
    interpret,
    program::{Program, Role},
};
use malha_table::{Decision, Request};
use std::collections::BTreeMap;

const REQUESTS: usize = 80;

/// A mesh with one thing changed: a document left out, or some words replaced.
fn changed(random: &mut Random, yaml: &str) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("/a", "/b"),
        ("exact", "prefix"),
        ("prefix", "exact"),
        ("foo.com", "bar.org"),
        ("weight: 1", "weight: 2"),
        ("web", "cart"),
        ("v1", "v2"),
        ("GET", "POST"),
    ];
    let mut documents: Vec<String> = yaml.split("---\n").map(str::to_owned).collect();
    // Mostly a VirtualService: most of what there is to notice stands there.
    let kind = if random.one_in(3) { "kind:" } else { "kind: VirtualService" };
    let candidates: Vec<usize> = (0..documents.len()).filter(|&at| documents[at].contains(kind)).collect();
    if candidates.is_empty() {
        return yaml.to_owned();
    }
    let at = *random.pick(&candidates);
    if random.one_in(4) {
        documents.remove(at);
    } else {
        let (from, to) = *random.pick(&WORDS);
        documents[at] = documents[at].replacen(from, to, 1 + random.below(3));
    }
    documents.join("---\n")
}

/// What a client and an upstream notice of a decision.
fn noticed(program: &Program, request: &Request, random: u64) -> Option<Decision> {
    let decision = interpret(program, request, random, &|_| (String::new(), 0)).ok()?;
    Some(Decision { rule: None, host: None, listener: None, proxy: None, ..decision })
}

#[test]
fn changes_are_what_requests_notice() {
    let meshes = std::env::var("MALHA_DIFFERENCE_MESHES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let (mut told, mut replayed, mut differing) = (0, 0, 0);
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..meshes {
        let mut random = Random::new(seed);
        let before = mesh(&mut random);
        let after = changed(&mut random, &before.yaml);
        let (old, new) = (Lowered::new(&before.yaml, &before.config), Lowered::new(&after, &before.config));
        let changes = differences(&old.program, &new.program);
        told += changes.len();
        let context = |what: &str| format!("seed {seed}: {what}\n{}\n=====\n{after}\n{changes:#?}", before.yaml);
        for change in &changes {
            *classes.entry(format!("{:?}", change.class)).or_default() += 1;
            let Some(request) = &change.request else { continue };
            let draws: Vec<_> = (0..24).map(|draw: u64| draw.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let differs =
                draws.iter().any(|&draw| noticed(&old.program, request, draw) != noticed(&new.program, request, draw));
            replayed += 1;
            assert!(differs || !change.details.is_empty(), "{}", context(&format!("nothing differs for {request:?}")));
        }
        for _ in 0..REQUESTS {
            let is_gateway = !random.one_in(4);
            let wanted = |program: &Program| {
                program.proxies.iter().find(|proxy| (proxy.role == Role::Gateway) == is_gateway).cloned()
            };
            let Some(proxy) = wanted(&old.program) else { continue };
            let request = request(&mut random, &proxy);
            let draw = random.next();
            let (one, other) = (noticed(&old.program, &request, draw), noticed(&new.program, &request, draw));
            if one != other {
                differing += 1;
                // Of ports that no listener has, what changes is told once.
                let has_listener = |program: &Program| {
                    let decision = interpret(program, &request, draw, &|_| (String::new(), 0));
                    decision.map_or(true, |decision| decision.listener.is_some())
                };
                let port =
                    if has_listener(&old.program) || has_listener(&new.program) { request.port } else { Some(0) };
                let is_here =
                    |change: &Change| change.role == proxy.role && port.is_none_or(|port| change.port == port);
                assert!(
                    changes.iter().any(is_here),
                    "{}",
                    context(&format!("no change for {request:?}:\n{one:?}\n{other:?}"))
                );
            }
        }
    }
    println!("{told} changes {classes:?}, {replayed} replayed; {differing} requests differ");
    assert!(replayed > meshes as usize / 2 && differing > meshes as usize && classes.len() == 4, "too much alike");
}
