//! The graph in the language of Graphviz.

use super::topology::{EdgeKind, Node, NodeKind, State, Topology};
use std::fmt::Write as _;

/// A page that `dot` draws.
pub(super) fn page(topology: &Topology) -> String {
    let mut page = "digraph malha {\n  rankdir=LR;\n  node [fontname=\"Helvetica\", fontsize=11, style=filled];\n  edge [fontname=\"Helvetica\", fontsize=10, color=\"#475569\"];\n".to_owned();
    for (number, node) in topology.nodes() {
        let (fill, line) = node.state.colours().unwrap_or(node.kind.colours());
        let text = if node.state == State::Dead { ", fontcolor=\"#6b7280\"" } else { "" };
        let (label, shape) = (quoted(&node.lines.join("\n")), shape(node));
        let _ =
            writeln!(page, "  n{number} [label={label}, shape={shape}, fillcolor=\"{fill}\", color=\"{line}\"{text}];");
    }
    for (from, to, edge) in topology.edges() {
        let mut attributes = Vec::new();
        if !edge.label.is_empty() {
            attributes.push(format!("label={}", quoted(&edge.label)));
        }
        match edge.kind {
            EdgeKind::Request => {}
            EdgeKind::Mirror => attributes.push("style=dashed".to_owned()),
            EdgeKind::Policy => attributes.push("style=dotted, arrowhead=none".to_owned()),
        }
        attributes.extend(edge.state.colours().map(|(_, line)| format!("color=\"{line}\"")));
        let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
        let _ = writeln!(page, "  n{from} -> n{to}{attributes};");
    }
    page.push_str("}\n");
    page
}

fn shape(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Entry => "cds",
        NodeKind::Host => "ellipse",
        NodeKind::Rule | NodeKind::Delegate => "box",
        NodeKind::Policy => "note",
        NodeKind::Service => "component",
        NodeKind::ServiceEntry => "octagon",
        NodeKind::Workload => "box3d",
    }
}

/// A quoted string: a backslash would begin an escape of Graphviz's own.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            // Graphviz takes names of characters for them, as `&lt;`.
            '&' => quoted.push_str("&amp;"),
            other if other.is_control() => quoted.push(char::REPLACEMENT_CHARACTER),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn texts_are_no_syntax() {
        assert_eq!(quoted("a\"]; x -> y [\\N\nb\r&lt;"), "\"a\\\"]; x -> y [\\\\N\\nb\u{FFFD}&amp;lt;\"");
    }
}
