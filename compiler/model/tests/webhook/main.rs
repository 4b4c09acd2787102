//! What the webhook refuses beyond the schema, one row for each demand: an object that is refused for it, and one
//! almost like it that is taken.

#[path = "../common/mod.rs"]
mod common;
mod destination_rule;
mod service_entry;
mod sidecar;
mod workload_entry;

use common::{findings_of, read_yaml};

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
    let tables = [service_entry::TABLES, workload_entry::TABLES, destination_rule::TABLES, sidecar::TABLES];
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
