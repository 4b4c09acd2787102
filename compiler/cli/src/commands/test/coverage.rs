//! Which matches of which rules the requests of tests reached.

use malha_mesh::Mesh;
use malha_model::Spec;
use malha_syntax::{Location, Span};
use malha_table::{Decision, Rule};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// A match of a rule; of a rule without `match`, the rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) namespace: SmolStr,
    pub(super) name: SmolStr,
    /// `http`, `tls` or `tcp`.
    pub(super) section: &'static str,
    pub(super) index: u32,
    pub(super) match_index: Option<u32>,
}

impl Item {
    /// Whether a rule of a decision is this one.
    pub(super) fn is(&self, rule: &Rule) -> bool {
        self.namespace == *rule.namespace
            && self.name == *rule.name
            && self.section == rule.section
            && (self.index, self.match_index) == (rule.index, rule.match_index)
    }

    /// As tests write it under `rule`.
    pub(super) fn text(&self) -> String {
        let item = self.match_index.map(|index| format!(".match[{index}]")).unwrap_or_default();
        format!("{}/{} {}[{}]{item}", self.namespace, self.name, self.section, self.index)
    }
}

/// What was reached, and what was not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Coverage {
    /// How many there are.
    pub(super) total: usize,
    /// Those that no request reached, with their file, relative to the root of the mesh, and line.
    pub(super) uncovered: Vec<(Item, String, u32)>,
}

impl Coverage {
    /// How many were reached.
    pub(super) fn covered(&self) -> usize {
        self.total - self.uncovered.len()
    }

    /// In percent; all of nothing is everything.
    #[allow(clippy::cast_precision_loss, reason = "nobody has 2^52 rules")]
    pub(super) fn percentage(&self) -> f64 {
        if self.total == 0 { 100.0 } else { self.covered() as f64 * 100.0 / self.total as f64 }
    }

    /// Adds what another mesh holds.
    pub(super) fn add(&mut self, other: Coverage) {
        self.total += other.total;
        self.uncovered.extend(other.uncovered);
    }
}

/// Compares the decisions of tests with the rules of the mesh, in order of file and line.
pub(super) fn measure<'d>(
    mesh: &Mesh,
    decisions: impl Iterator<Item = &'d Decision>,
    places: &dyn Fn(Location) -> (String, u32),
) -> Coverage {
    let mut reached: BTreeSet<(String, String, String, u32, Option<u32>)> = BTreeSet::new();
    for rule in decisions.filter_map(|decision| decision.rule.as_ref()) {
        for rule in [Some(rule), rule.delegate.as_deref()].into_iter().flatten() {
            let Rule { namespace, name, section, index, match_index, .. } = rule;
            reached.insert((namespace.clone(), name.clone(), section.clone(), *index, *match_index));
        }
    }
    let items = items(mesh);
    let total = items.len();
    let mut uncovered: Vec<(Item, String, u32)> = items
        .into_iter()
        .filter(|(Item { namespace, name, section, index, match_index }, _)| {
            let key = (namespace.to_string(), name.to_string(), (*section).to_owned(), *index, *match_index);
            !reached.contains(&key)
        })
        .map(|(item, location)| {
            let (file, line) = places(location);
            (item, file, line)
        })
        .collect();
    uncovered.sort_by(|(a, a_file, a_line), (b, b_file, b_line)| (a_file, a_line, a).cmp(&(b_file, b_line, b)));
    Coverage { total, uncovered }
}

/// Every match of every rule that takes part in the mesh.
fn items(mesh: &Mesh) -> Vec<(Item, Location)> {
    let mut items = Vec::new();
    for service in mesh.virtual_services() {
        let Spec::VirtualService(spec) = &service.resource.spec else { continue };
        let mut add = |section: &'static str, index: usize, rule: Span, matches: Vec<Span>| {
            let item = |match_index: Option<u32>, span: Span| {
                let item = Item {
                    namespace: service.name.namespace.clone(),
                    name: service.name.name.clone(),
                    section,
                    index: index as u32,
                    match_index,
                };
                (item, service.resource.location(span))
            };
            if matches.is_empty() {
                items.push(item(None, rule));
            }
            items.extend(matches.into_iter().enumerate().map(|(at, span)| item(Some(at as u32), span)));
        };
        for (index, rule) in spec.http.iter().enumerate() {
            add("http", index, rule.span, rule.matches.iter().map(|item| item.span).collect());
        }
        for (index, rule) in spec.tls.iter().enumerate() {
            add("tls", index, rule.span, rule.matches.iter().map(|item| item.span).collect());
        }
        for (index, rule) in spec.tcp.iter().enumerate() {
            add("tcp", index, rule.span, rule.matches.iter().map(|item| item.span).collect());
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        assert!((Coverage::default().percentage() - 100.0).abs() < f64::EPSILON);
        let item =
            Item { namespace: "shop".into(), name: "cart".into(), section: "http", index: 1, match_index: Some(0) };
        assert_eq!(item.text(), "shop/cart http[1].match[0]");
        let coverage = Coverage { total: 4, uncovered: vec![(item, "a.yaml".to_owned(), 3)] };
        assert!((coverage.percentage() - 75.0).abs() < f64::EPSILON);
    }
}
