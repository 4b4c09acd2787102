//! `malha show`: what a mesh is made of, and what its proxies execute.

mod rows;

use super::{refusals, route};
use crate::{
    args::{ShowArgs, ShowFormat, ShowWhat},
    failure::{Failure, Status},
    inputs::Inputs,
    terminal,
    workspace::{Workspace, labels},
};
use malha_mesh::{
    ProxySpec,
    program::{Program, Proxy},
};
use malha_table::ProxyIdentity;
use serde_json::{Map, Value, json};

/// One line of a list: its columns by name.
type Row = Vec<(&'static str, Value)>;

/// Lists what is asked for.
///
/// # Errors
/// The inputs cannot be read.
pub fn show(args: &ShowArgs) -> Result<Status, Failure> {
    let mut workspace = Workspace::open(Inputs::find(&args.paths.paths)?.mesh_alone()?)?;
    let mesh = workspace.link()?;
    let mut proxies = workspace.proxies(&mesh);
    if let Some(identity) = &args.proxy
        && !proxies.iter().any(|proxy| is(&proxy.namespace, &labels_of(proxy), identity))
    {
        // A proxy that no workload stands for.
        proxies.push(ProxySpec {
            role: route::role(&mesh, identity),
            namespace: identity.namespace.as_str().into(),
            name: "proxy".into(),
            labels: labels(&identity.labels),
        });
    }
    let (program, _) = workspace.lower(&mesh, &proxies);
    // `resources` says of each whether it is refused; what cannot be read is no resource.
    refusals::tell(&workspace, &mesh, &program);
    let chosen = choose(&program, args.proxy.as_ref());
    let rows = match args.what {
        ShowWhat::Resources => rows::resources(&workspace),
        ShowWhat::Listeners => rows::listeners(&chosen),
        ShowWhat::Routes => rows::routes(&chosen, &workspace),
        ShowWhat::Clusters => rows::clusters(&chosen),
        ShowWhat::Endpoints => rows::endpoints(&chosen),
    };
    let rows = if args.format == ShowFormat::Json { rows } else { without_empty(rows::REMOVED, rows) };
    let text = match args.format {
        ShowFormat::Table => columns(&rows),
        ShowFormat::Markdown => markdown(&rows),
        ShowFormat::Json => {
            let object =
                |row: Row| Value::Object(row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
            let rows: Vec<Value> = rows.into_iter().map(object).collect();
            let mut report = Map::from_iter([("version".to_owned(), json!(1))]);
            report.insert(name(args.what).to_owned(), Value::Array(rows));
            format!("{:#}\n", Value::Object(report))
        }
    };
    terminal::print(text.as_bytes())?;
    Ok(Status::Clean)
}

fn name(what: ShowWhat) -> &'static str {
    match what {
        ShowWhat::Resources => "resources",
        ShowWhat::Listeners => "listeners",
        ShowWhat::Routes => "routes",
        ShowWhat::Clusters => "clusters",
        ShowWhat::Endpoints => "endpoints",
    }
}

fn choose<'p>(program: &'p Program, identity: Option<&ProxyIdentity>) -> Vec<&'p Proxy> {
    let is_chosen = |proxy: &&Proxy| {
        identity.is_none_or(|identity| {
            let labels = proxy.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            is(&proxy.namespace, &labels, identity)
        })
    };
    program.proxies.iter().filter(is_chosen).collect()
}

fn labels_of(proxy: &ProxySpec) -> std::collections::BTreeMap<String, String> {
    proxy.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn is(namespace: &str, labels: &std::collections::BTreeMap<String, String>, identity: &ProxyIdentity) -> bool {
    namespace == identity.namespace && *labels == identity.labels
}

/// The rows without a column that says nothing of any of them.
fn without_empty(name: &str, mut rows: Vec<Row>) -> Vec<Row> {
    let is_empty = |row: &Row| row.iter().all(|(column, value)| *column != name || value.is_null());
    if rows.iter().all(is_empty) {
        for row in &mut rows {
            row.retain(|(column, _)| *column != name);
        }
    }
    rows
}

/// A value as it stands in a column.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        // The names of a service would fill the page.
        Value::Array(items) if items.len() > 2 => format!("{} +{}", cell(&items[0]), items.len() - 1),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(entries) => {
            let entries: Vec<_> = entries.iter().map(|(name, value)| format!("{name}={}", cell(value))).collect();
            if entries.is_empty() { "-".to_owned() } else { entries.join(",") }
        }
        other => other.to_string(),
    }
}

fn columns(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return "nothing\n".to_owned() };
    let mut lines: Vec<Vec<String>> = vec![first.iter().map(|(name, _)| name.to_uppercase()).collect()];
    lines.extend(rows.iter().map(|row| row.iter().map(|(_, value)| cell(value)).collect()));
    let mut widths = vec![0; first.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn markdown(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(first.iter().map(|(name, _)| (*name).to_owned()).collect());
    out.push_str(&line(vec!["---".to_owned(); first.len()]));
    for row in rows {
        out.push_str(&line(row.iter().map(|(_, value)| cell(value).replace('|', "\\|")).collect()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text() {
        let row: Row = vec![("name", json!("a|b")), ("labels", json!({"app": "x"})), ("hosts", json!(["a", "b"]))];
        let rows = [row, vec![("name", json!("")), ("labels", json!({})), ("hosts", Value::Null)]];
        assert_eq!(columns(&rows), "NAME  LABELS  HOSTS\na|b   app=x   a, b\n-     -       -\n");
        assert_eq!(
            markdown(&rows),
            "| name | labels | hosts |\n| --- | --- | --- |\n| a\\|b | app=x | a, b |\n| - | - | - |\n"
        );
    }
}
