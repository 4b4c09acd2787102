//! A table read back is the program that it was written from: written again it is the same table.

#[allow(dead_code, reason = "each test file uses its part")]
mod equivalence {
    pub(crate) mod lowered;
    pub(crate) mod mesh;
    pub(crate) mod random;
    pub(crate) mod requests;
}

use equivalence::{lowered::Lowered, mesh::mesh, random::Random};
use malha_table::Table;

const MESHES: u64 = 400;

#[test]
fn a_table_read_and_written_again_is_the_same() {
    let mut whole = 0;
    for seed in 0..MESHES {
        let mesh = mesh(&mut Random::new(seed));
        let lowered = Lowered::new(&mesh.yaml, &mesh.config);
        let bytes =
            malha_emit::table(&lowered.program, |location| (format!("f{}", location.source.0), location.span.start));
        let table = Table::load(bytes.expect("a table")).expect("a valid table");
        let read = malha_emit::program(&table).expect("a program");
        let again = malha_emit::table(&read.program, |location| read.place(location)).expect("a table");
        let again = Table::load(again).expect("a valid table");
        assert_eq!(again.program_hash(), table.program_hash(), "seed {seed}\n{}", mesh.yaml);
        // Of routes that were left out nothing is left but the source map's.
        if again.as_bytes() == table.as_bytes() {
            whole += 1;
        } else {
            let removes = |table: &Table| {
                let listeners = table.chains();
                let tables = listeners.filter_map(|chain| match chain.filter()? {
                    malha_table::view::Filter::Http(table) => Some(table),
                    malha_table::view::Filter::Tcp(_) => None,
                });
                tables
                    .flat_map(|table| table.virtual_hosts().collect::<Vec<_>>())
                    .any(|host| !host.removed().is_empty())
            };
            assert!(removes(&table), "seed {seed}\n{}", mesh.yaml);
        }
    }
    assert!(whole > MESHES / 4 && whole < MESHES, "{whole} of {MESHES} are whole");
}
