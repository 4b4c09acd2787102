//! The graph as a flowchart of Mermaid, which Markdown of GitHub and GitLab draws.

use super::topology::{EdgeKind, Node, NodeKind, State, Topology};
use std::fmt::Write as _;

/// A flowchart.
pub(super) fn page(topology: &Topology) -> String {
    let mut page = "flowchart LR\n".to_owned();
    for (number, node) in topology.nodes() {
        let (open, close) = brackets(node.kind);
        let lines: Vec<String> = node.lines.iter().map(|line| escaped(line)).collect();
        let _ = writeln!(page, "  n{number}{open}\"{}\"{close}:::{}", lines.join("<br/>"), class(node));
    }
    let mut coloured = Vec::new();
    for (number, (from, to, edge)) in topology.edges().enumerate() {
        let arrow = match edge.kind {
            EdgeKind::Request => "-->",
            EdgeKind::Mirror => "-.->",
            EdgeKind::Policy => "-.-",
        };
        let label = if edge.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&edge.label)) };
        let _ = writeln!(page, "  n{from} {arrow}{label} n{to}");
        coloured.extend(edge.state.colours().map(|(_, line)| (number, line)));
    }
    for (number, line) in coloured {
        let _ = writeln!(page, "  linkStyle {number} stroke:{line}");
    }
    let classes = NodeKind::ALL.map(|kind| (kind.word(), kind.colours()));
    let states = [State::Dead, State::Missing].map(|state| state.colours().map(|colours| (word(state), colours)));
    for (class, (fill, line)) in classes.into_iter().chain(states.into_iter().flatten()) {
        let _ = writeln!(page, "  classDef {class} fill:{fill},stroke:{line},color:#111827");
    }
    page
}

fn class(node: &Node) -> &'static str {
    if node.state == State::Live { node.kind.word() } else { word(node.state) }
}

fn word(state: State) -> &'static str {
    match state {
        State::Live => "live",
        State::Dead => "dead",
        State::Missing => "missing",
    }
}

fn brackets(kind: NodeKind) -> (&'static str, &'static str) {
    match kind {
        NodeKind::Entry => ("[/", "/]"),
        NodeKind::Host => ("([", "])"),
        NodeKind::Rule | NodeKind::Delegate | NodeKind::Workload => ("[", "]"),
        NodeKind::Policy => (">", "]"),
        NodeKind::Service => ("[[", "]]"),
        NodeKind::ServiceEntry => ("{{", "}}"),
    }
}

/// A text between quotation marks: whatever could end it, be HTML or Markdown, or begin a name of a character goes by
/// number.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '"' | '#' | '&' | '<' | '>' | '`' | '*' | '_' | '\\' | '|' | ';' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            other if other.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn texts_are_no_syntax() {
        assert_eq!(escaped("a\"]\n<b>#*é"), "a#34;]\u{FFFD}#60;b#62;#35;#42;é");
    }
}
