//! Every recorded request is decided by the table as by the reference interpreter, and the tables are reproducible.

#[path = "../../mesh/tests/recordings/mod.rs"]
#[allow(dead_code, reason = "the comparison with what was recorded is made where the interpreter lives")]
mod recordings;

use malha_mesh::interpret;
use malha_table::Table;
use recordings::each_case;

#[test]
fn table_and_interpreter_decide_alike() {
    let (mut asked, mut differing) = (0, Vec::new());
    each_case(|case| {
        let lowered = case.lower();
        let origin = |location| lowered.place(location);
        let bytes = malha_emit::table(&lowered.program, origin).unwrap_or_else(|error| panic!("{}: {error}", case.id));
        assert_eq!(malha_emit::table(&case.lower().program, origin).as_ref(), Ok(&bytes), "{}: other bytes", case.id);
        let table = Table::load(bytes).unwrap_or_else(|error| panic!("{}: {error}", case.id));
        for one in &case.asked {
            let request = case.request(one);
            for seed in [0, 0x9e37_79b9_7f4a_7c15] {
                asked += 1;
                let expected = interpret(&lowered.program, &request, seed, &origin);
                let told = table.decide(&request, seed);
                if told != expected {
                    differing.push(format!("{}:{}: {request:?}\n  {expected:?}\n  {told:?}", case.id, one.line));
                }
            }
        }
    });
    println!("{asked} decisions");
    for difference in differing.iter().take(10) {
        println!("{difference}");
    }
    assert!(asked > 30_000, "only {asked} decisions");
    assert_eq!(differing.len(), 0);
}
