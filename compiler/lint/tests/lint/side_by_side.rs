//! Rules that run side by side: each once, and with what they find as if one ran after the other.

use crate::common::{lowered, object};
use malha_lint::{Options, RULES, check_with};
use malha_syntax::{RuleInfo, SourceId, read};
use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Condvar, Mutex},
    thread,
    time::Duration,
};

#[test]
fn rules_run_side_by_side_though_each_is_told_of() {
    let http = "http: [{directResponse: {status: 200}}, {directResponse: {status: 404}}]";
    let text = [
        object("VirtualService shop/v", &format!("spec: {{hosts: [a.example.com], gateways: [gone], {http}}}")),
        object("DestinationRule shop/r", "spec: {host: x.org, subsets: [{name: a}, {name: a}]}"),
    ];
    let reading = read(SourceId(0), &text.join("---\n"));
    let (mesh, program) = lowered(malha_model::read_documents(&reading.documents).resources);

    let told: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    let another = Condvar::new();
    let has_others = thread::available_parallelism().is_ok_and(|cores| cores > NonZero::<usize>::MIN);
    let around = |rule: &'static RuleInfo, check: &mut dyn FnMut()| {
        let mut begun = told.lock().expect("nobody panics");
        *begun.entry(rule.code).or_default() += 1;
        another.notify_all();
        // The first of all does not go on before there is another.
        if has_others && begun.len() == 1 {
            let alone = |begun: &mut BTreeMap<&str, usize>| begun.len() == 1;
            let waited = another.wait_timeout_while(begun, Duration::from_mins(1), alone).expect("nobody panics");
            assert!(!waited.1.timed_out(), "{} runs alone", rule.code);
        } else {
            drop(begun);
        }
        check();
    };
    let found = check_with(&mesh, &program, &Options { around: Some(&around), ..Options::default() });
    let checks: BTreeMap<&str, usize> =
        RULES.iter().filter(|rule| rule.check.is_some()).map(|rule| (rule.info.code, 1)).collect();
    assert_eq!(told.into_inner().expect("nobody panics"), checks);

    let order = Mutex::new(Vec::new());
    let around = |rule: &'static RuleInfo, check: &mut dyn FnMut()| {
        order.lock().expect("nobody panics").push(rule.code);
        check();
    };
    let options = Options { around: Some(&around), in_turn: true, ..Options::default() };
    assert_eq!(check_with(&mesh, &program, &options), found);
    assert!(found.len() > 1, "{found:?}");
    let in_turn: Vec<&str> = RULES.iter().filter(|rule| rule.check.is_some()).map(|rule| rule.info.code).collect();
    assert_eq!(order.into_inner().expect("nobody panics"), in_turn);
}
