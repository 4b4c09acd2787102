//! What the webhook refuses beyond the schema, one row for each demand: an object that is refused for it, and one
//! almost like it that is taken. docs/validation.md is these rows.

#[path = "../common/mod.rs"]
mod common;
mod destination_rule;
mod gateway;
mod service_entry;
mod sidecar;
mod virtual_service;
mod workload_entry;

use common::{findings_of, read_yaml};
use std::{fmt::Write, fs, path::Path};

/// The page that is made of the rows.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/validation.md");

/// Rows about one part of a kind.
struct Table {
    /// The kind of the object.
    kind: &'static str,
    /// What the rows have in common, as the end of a heading.
    title: &'static str,
    /// The `spec` in YAML's flow style, with `$` in place of what a row writes.
    spec: &'static str,
    rows: &'static [Row],
}

/// One demand.
#[expect(clippy::struct_field_names, reason = "the page has a row of words, and of examples")]
struct Row {
    /// What is refused.
    row: &'static str,
    /// The code of the finding.
    rule: &'static str,
    /// Its field.
    field: &'static str,
    /// What is taken. `<N bytes>` stands for so many letters.
    good: &'static str,
    /// What is refused.
    bad: &'static str,
}

fn tables() -> impl Iterator<Item = &'static Table> {
    let tables = [
        gateway::TABLES,
        virtual_service::TABLES,
        destination_rule::TABLES,
        service_entry::TABLES,
        workload_entry::TABLES,
        sidecar::TABLES,
    ];
    tables.into_iter().flatten()
}

impl Table {
    /// The object that has `part` in its place.
    fn object(&self, part: &str) -> String {
        let spec = self.spec.replace('$', &with_lengths(part));
        let kind = self.kind;
        format!(
            "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: it, namespace: shop}}\nspec: {spec}\n"
        )
    }
}

/// `text` with each `<N bytes>` written out.
fn with_lengths(text: &str) -> String {
    let Some((before, rest)) = text.split_once('<') else { return text.to_owned() };
    let (count, after) = rest.split_once(" bytes>").expect("a length ends");
    format!("{before}{}{}", "x".repeat(count.parse().expect("a length is a number")), with_lengths(after))
}

#[test]
fn each_demand_refuses_one_object_and_takes_another() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for table in tables() {
        for row in table.rows {
            count += 1;
            let (reading, good) = read_yaml(&table.object(row.good));
            if !reading.findings.is_empty() || !good.findings.is_empty() || good.resources.len() != 1 {
                wrong.push(format!("{}{}: {}: {}: {}", table.kind, table.title, row.row, row.good, findings_of(&good)));
            }
            let (reading, bad) = read_yaml(&table.object(row.bad));
            let alone = match bad.findings.as_slice() {
                [finding] => {
                    finding.rule.code == row.rule
                        && finding.field == Some(with_lengths(row.field))
                        && !finding.location.span.is_empty()
                }
                _ => false,
            };
            if !alone || !reading.findings.is_empty() || !bad.resources.iter().all(|resource| resource.refused) {
                wrong.push(format!("{}{}: {}: {}:\n{}", table.kind, table.title, row.row, row.bad, findings_of(&bad)));
            }
        }
    }
    assert!(count > 80, "only {count} rows");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_has_the_rows() {
    let page = page();
    if std::env::var_os("MALHA_WRITE_PAGES").is_some() {
        fs::write(PAGE, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(Path::new(PAGE)).expect("the page is there");
    assert!(written == page, "docs/validation.md is stale: run this test with MALHA_WRITE_PAGES=1");
}

/// docs/validation.md.
fn page() -> String {
    let mut page = String::from(
        "# What the cluster refuses\n\n\
        Kubernetes checks an object against the schema of its kind, and then asks Istio's webhook, which checks what no \
        schema can say. `malha check` does both, with rules of family K, and is held to what the real machinery made of \
        some thousand edits of good objects (`conformance/validation.jsonl.gz`). Objects that the schema \
        refuses are not judged further, as in the cluster.\n\n\
        These are the webhook's demands, and the schema's that go with them. Each line has the code of its rule \
        ([docs/rules](rules/README.md)), and an example of what is refused and of what is taken, to be read in the \
        place of `$`. The tests of the model hold every line, and write this page.\n",
    );
    for table in tables() {
        // Writing to a string cannot fail.
        _ = write!(page, "\n## {}{}\n\n`spec: {}`\n\n", table.kind, table.title, table.spec);
        page.push_str("| what is refused | rule | refused | taken |\n| --- | --- | --- | --- |\n");
        for Row { row, rule, good, bad, .. } in table.rows {
            let (good, bad) = (cell(good), cell(bad));
            _ = writeln!(page, "| {row} | [{rule}](rules/{rule}.md) | {bad} | {good} |");
        }
    }
    page
}

/// `text` as code in a cell of a table.
fn cell(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", text.replace('|', "\\|")) }
}

#[test]
fn gateways_have_no_dots_in_their_names() {
    let gateway = |name: &str| {
        let spec = "{servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}";
        format!("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    assert_eq!(findings_of(&read_yaml(&gateway("shop-eu")).1), "");
    for name in ["shop.eu", "Shop_eu"] {
        let (_reading, read) = read_yaml(&gateway(name));
        let [finding] = read.findings.as_slice() else { panic!("{}", findings_of(&read)) };
        assert_eq!((finding.rule.code, finding.field.as_deref()), ("K009", Some("metadata.name")));
    }
}
