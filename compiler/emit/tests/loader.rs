//! The loader takes what is written, refuses everything else by name, and never panics.

mod equivalence {
    pub(crate) mod lowered;
    pub(crate) mod mesh;
    pub(crate) mod random;
}

use equivalence::{lowered::Lowered, mesh::mesh, random::Random};
use malha_table::{
    LoadError, Request, Table,
    format::{Header, HeaderValueRecord, MAGIC, Section, SectionEntry, VERSION, seal},
};
use std::path::Path;

/// The tables of some random meshes.
fn tables(count: u64) -> Vec<Vec<u8>> {
    let write = |seed| {
        let mesh = mesh(&mut Random::new(seed));
        let lowered = Lowered::new(&mesh.yaml, &mesh.config);
        malha_emit::table(&lowered.program, |location| lowered.place(location)).expect("a table")
    };
    (0..count).map(write).collect()
}

/// Uses all of a table: what is loaded must not panic either.
fn use_it(table: &Table) {
    let _ = malha_emit::json(table).to_string();
    for proxy in table.proxies() {
        for path in ["/", "/a/b?q=a", "/api/v1", "/FOO"] {
            let via = if proxy.role() == malha_table::Role::Gateway { "gateway" } else { "mesh" };
            for listener in proxy.listeners() {
                let request = Request {
                    via: Some(via.to_owned()),
                    proxy: Some(proxy.identity()),
                    port: Some(listener.port()),
                    authority: Some("a.foo.com".to_owned()),
                    path: Some(path.to_owned()),
                    ..Request::default()
                };
                let _ = table.decide(&request, 7);
            }
        }
    }
}

#[test]
fn what_is_written_is_taken() {
    for bytes in tables(20) {
        let table = Table::load(bytes.clone()).expect("a good table");
        assert_eq!(table.as_bytes(), bytes);
        use_it(&table);
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let bytes = tables(1).remove(0);
    let mut random = Random::new(1);
    for _ in 0..2000 {
        let mut damaged = bytes.clone();
        let place = random.below(damaged.len());
        damaged[place] ^= 1 + random.below(255) as u8;
        let error = Table::load(damaged).expect_err("a damaged table");
        let is_named = matches!(
            error,
            LoadError::NotATable | LoadError::Version(_) | LoadError::Length { .. } | LoadError::Checksum
        );
        assert!(is_named || place < size_of::<Header>(), "{error}");
    }
}

#[test]
fn each_fault_has_its_name() {
    let bytes = tables(1).remove(0);
    let load = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.clone();
        change(&mut changed);
        Table::load(changed).expect_err("a changed table")
    };
    assert_eq!(Table::load(Vec::new()).err(), Some(LoadError::NotATable));
    assert_eq!(load(&|bytes| bytes[0] = b'X'), LoadError::NotATable);
    assert_eq!(load(&|bytes| bytes[MAGIC.len()] = 9), LoadError::Version(9));
    let length = bytes.len() as u64;
    assert_eq!(
        load(&|bytes| bytes.truncate(bytes.len() - 1)),
        LoadError::Length { expected: length, found: length - 1 }
    );
    assert_eq!(load(&|bytes| bytes.push(0)), LoadError::Length { expected: length, found: length + 1 });
    assert_eq!(load(&|bytes| *bytes.last_mut().expect("bytes") ^= 1), LoadError::Checksum);
    let text = load(&|bytes| bytes[MAGIC.len()] = 9).to_string();
    assert!(text.contains("version 9") && text.contains(&format!("version {VERSION}")), "{text}");
}

/// Strings may overlap, so that a small table could ask for any amount of memory.
#[test]
fn strings_that_overlap_too_much_are_refused() {
    const VALUES: usize = 5_000;
    let line =
        |number: usize| ["          x-", &number.to_string(), ": '%PROTOCOL% ", &number.to_string(), "'\n"].concat();
    let set = (0..VALUES).map(line).collect::<Vec<_>>().concat();
    let yaml = format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
  - port: {{number: 80, name: http, protocol: HTTP}}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: a, namespace: default}}
spec:
  hosts: [a.com]
  gateways: [gw]
  http:
  - directResponse: {{status: 200}}
    headers:
      response:
        set:
{set}"
    );
    let lowered = Lowered::new(&yaml, &serde_json::json!({}));
    let mut bytes = malha_emit::table(&lowered.program, |location| lowered.place(location)).expect("a table");
    assert!(Table::load(bytes.clone()).is_ok());
    let number =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let section = |bytes: &[u8], wanted: Section| {
        let entries = (0..).map(|index| size_of::<Header>() + index * size_of::<SectionEntry>());
        let entry = entries.take(Section::ALL.len()).find(|entry| number(bytes, *entry) == wanted as usize);
        let entry = entry.expect("the section");
        (number(bytes, entry + 8), number(bytes, entry + 16))
    };
    let (_, pool) = section(&bytes, Section::Strings);
    let (start, length) = section(&bytes, Section::HeaderValues);
    assert!(length >= VALUES * size_of::<HeaderValueRecord>());
    // Every value is the whole pool.
    for record in bytes[start..start + length].chunks_exact_mut(size_of::<HeaderValueRecord>()) {
        let value = std::mem::offset_of!(HeaderValueRecord, value);
        record[value..value + 4].copy_from_slice(&0_u32.to_le_bytes());
        record[value + 4..value + 8].copy_from_slice(&(pool as u32).to_le_bytes());
    }
    seal(&mut bytes);
    let error = Table::load(bytes).expect_err("a table that would take gigabytes");
    assert!(error.to_string().contains("overlap"), "{error}");
}

#[test]
fn an_unknown_feature_is_named() {
    let mut bytes = tables(1).remove(0);
    // Features are the first section, strings the second; the first feature is written by where its name lies.
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let section = |index: usize| number(size_of::<Header>() + index * size_of::<SectionEntry>() + 8);
    let (features, strings) = (section(0), section(1));
    let place = strings + number(features);
    assert_eq!(&bytes[place..place + 4], b"http");
    bytes[place..place + 4].copy_from_slice(b"quic");
    seal(&mut bytes);
    let error = Table::load(bytes).expect_err("a table with an unknown feature");
    let LoadError::Features(names) = &error else { panic!("{error}") };
    assert_eq!(*names, ["quic"]);
    assert!(error.to_string().contains("quic"));
}

/// Mutations that the checksums do not give away: records that lie.
#[test]
fn broken_records_do_not_panic() {
    let bases = tables(4);
    let mut random = Random::new(3);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut bytes = bases[round % bases.len()].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut random, &mut bytes);
        }
        seal(&mut bytes);
        match Table::load(bytes) {
            Ok(table) => {
                taken += 1;
                if random.one_in(10) {
                    use_it(&table);
                }
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    println!("{taken} taken, {refused} refused");
    assert!(taken > 500 && refused > 5_000, "the mutations do not test both ways: {taken} taken, {refused} refused");
}

fn mutate(random: &mut Random, bytes: &mut [u8]) {
    // A section, so that small ones are met as often as large ones.
    let entries = size_of::<Header>();
    let number = random.below(Section::ALL.len());
    let entry = entries + number * size_of::<SectionEntry>();
    let read =
        |bytes: &[u8], at: usize| bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map(u64::from_le_bytes);
    let (offset, length) = (read(bytes, entry + 8), read(bytes, entry + 16));
    let place = match (offset, length) {
        // A section that is left out has no entry: what lies there is anything.
        (Some(offset), Some(length))
            if length > 0 && offset.checked_add(length).is_some_and(|end| end <= bytes.len() as u64) =>
        {
            offset as usize + random.below(length as usize)
        }
        _ => random.below(bytes.len()),
    };
    match random.below(6) {
        0 => bytes[place] = random.next() as u8,
        1 => bytes[place] = bytes[place].wrapping_add(1),
        2 => bytes[place] = bytes[place].wrapping_sub(1),
        3 => {
            let word = place & !3;
            if let Some(four) = bytes.get_mut(word..word + 4) {
                four.copy_from_slice(&[[0xff; 4], [0; 4], [1, 0, 0, 0], [0, 0, 0, 1]][random.below(4)]);
            }
        }
        4 => {
            let (one, other) = (place & !3, random.below(bytes.len()) & !3);
            if one.max(other) + 4 <= bytes.len() {
                let four: [u8; 4] = [bytes[other], bytes[other + 1], bytes[other + 2], bytes[other + 3]];
                bytes[one..one + 4].copy_from_slice(&four);
            }
        }
        _ => bytes[place] ^= 1 << random.below(8),
    }
}

#[test]
fn noise_is_refused() {
    let mut random = Random::new(5);
    for round in 0..2000 {
        let mut bytes: Vec<u8> = (0..random.below(600)).map(|_| random.next() as u8).collect();
        if round % 2 == 0 && bytes.len() > size_of::<Header>() {
            bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
            bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
            bytes[12..16].copy_from_slice(&(random.below(4) as u32).to_le_bytes());
            let length = bytes.len() as u64;
            bytes[16..24].copy_from_slice(&length.to_le_bytes());
            seal(&mut bytes);
        }
        assert!(Table::load(bytes).is_err());
    }
}

/// The seeds of the fuzz target `table`. They are tables of this version: where it changes, `MALHA_WRITE_SEEDS=1` writes
/// them anew.
#[test]
fn the_seeds_of_the_fuzz_target_are_replayed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/table");
    if std::env::var_os("MALHA_WRITE_SEEDS").is_some() {
        let mut small = tables(200);
        small.retain(|bytes| Table::load(bytes.clone()).is_ok_and(|table| table.rules().len() > 5));
        small.sort_by_key(Vec::len);
        std::fs::create_dir_all(&directory).expect("a directory for the seeds");
        for (number, bytes) in small.iter().step_by(20).take(5).enumerate() {
            std::fs::write(directory.join(format!("mesh-{number}")), bytes).expect("a seed");
        }
    }
    let mut seeds = 0;
    for entry in std::fs::read_dir(&directory).expect("the seeds") {
        let path = entry.expect("a seed").path();
        let mut bytes = std::fs::read(&path).expect("a seed");
        let is_table = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mesh-"));
        assert!(!is_table || Table::load(bytes.clone()).is_ok(), "{} is of another version", path.display());
        seal(&mut bytes);
        if let Ok(table) = Table::load(bytes) {
            use_it(&table);
        }
        seeds += 1;
    }
    assert!(seeds >= 5, "{seeds} seeds");
}
