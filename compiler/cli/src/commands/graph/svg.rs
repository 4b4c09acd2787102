//! The graph as a picture of its own, which every browser shows.

use super::{
    layout::{Place, Size, layout},
    topology::{EdgeKind, Node, NodeKind, State, Topology},
};
use crate::report::xml;
use std::fmt::Write as _;

/// Of a letter, in pixels: the fonts are of fixed width.
const LETTER: f64 = 7.3;
const LINE: f64 = 16.0;
const PADDING: f64 = 9.0;
/// Longer lines are cut; the title has them whole.
const LONGEST_LINE: usize = 56;

/// A picture.
pub(super) fn page(topology: &Topology) -> String {
    let nodes: Vec<(usize, Size)> = topology.nodes().map(|(_, node)| (node.kind.column(), size(node))).collect();
    let edges: Vec<(usize, usize)> = topology.edges().map(|(from, to, _)| (from, to)).collect();
    let layout = layout(&nodes, &edges);
    let Size { width, height } = layout.size;
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"12\">\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"context-stroke\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for ((from, to, edge), passes) in topology.edges().zip(&layout.passes) {
        let (Some(start), Some(end)) = (layout.places.get(from), layout.places.get(to)) else { continue };
        let line = edge.state.colours().map_or("#475569", |(_, line)| line);
        let style = match edge.kind {
            EdgeKind::Request => "marker-end=\"url(#arrow)\"",
            EdgeKind::Mirror => "stroke-dasharray=\"6 4\" marker-end=\"url(#arrow)\"",
            EdgeKind::Policy => "stroke-dasharray=\"2 3\"",
        };
        let _ = writeln!(page, "<path d=\"{}\" fill=\"none\" stroke=\"{line}\" {style}/>", path(start, passes, end));
        if !edge.label.is_empty() {
            // Beside what it leads to, where lines that begin together are apart.
            let (x, y) =
                (end.x - 10.0, middle(end) + (middle(passes.last().unwrap_or(start)) - middle(end)) * 0.08 - 4.0);
            let label = escaped(&edge.label);
            let _ = writeln!(
                page,
                "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"end\" font-size=\"10\" fill=\"{line}\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\">{label}</text>"
            );
        }
    }
    for ((_, node), place) in topology.nodes().zip(&layout.places) {
        draw(&mut page, node, place);
    }
    page.push_str("</svg>\n");
    page
}

fn draw(page: &mut String, node: &Node, place: &Place) {
    let (fill, line) = node.state.colours().unwrap_or(node.kind.colours());
    let Place { x, y, size: Size { width, height } } = place;
    let round = match node.kind {
        NodeKind::Host => height / 2.0,
        NodeKind::Rule | NodeKind::Delegate => 0.0,
        _ => 5.0,
    };
    let text = if node.state == State::Dead { "#6b7280" } else { "#111827" };
    let title = escaped(&node.lines.join("\n"));
    let kind = node.kind.word();
    let _ = writeln!(page, "<g class=\"{kind}\"><title>{title}</title>");
    let _ = writeln!(
        page,
        "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"{round:.0}\" fill=\"{fill}\" stroke=\"{line}\"/>"
    );
    for (number, line) in node.lines.iter().enumerate() {
        let (x, y) = (x + PADDING, y + PADDING + LINE * (f64::from(number as u32) + 0.75));
        let weight = if number == 0 { " font-weight=\"600\"" } else { "" };
        let _ =
            writeln!(page, "<text x=\"{x:.0}\" y=\"{y:.0}\" fill=\"{text}\"{weight}>{}</text>", escaped(&cut(line)));
    }
    page.push_str("</g>\n");
}

fn size(node: &Node) -> Size {
    let longest = node.lines.iter().map(|line| cut(line).chars().count()).max().unwrap_or_default();
    let (letters, lines) = (f64::from(longest as u32), f64::from(node.lines.len() as u32));
    Size { width: letters * LETTER + 2.0 * PADDING, height: lines * LINE + 2.0 * PADDING }
}

/// A line as it is shown.
fn cut(line: &str) -> String {
    if line.chars().count() <= LONGEST_LINE {
        return line.to_owned();
    }
    line.chars().take(LONGEST_LINE - 1).chain(['…']).collect()
}

fn middle(place: &Place) -> f64 {
    place.y + place.size.height / 2.0
}

/// From the right side of a box to the left side of another, straight through those that it passes.
fn path(start: &Place, passes: &[Place], end: &Place) -> String {
    let (mut x, mut y) = (start.x + start.size.width, middle(start));
    let mut path = format!("M{x:.0} {y:.0}");
    for place in passes.iter().chain([end]) {
        let (to_x, to_y) = (place.x, middle(place));
        let bend = f64::midpoint(x, to_x);
        let _ = write!(path, "C{bend:.0} {y:.0} {bend:.0} {to_y:.0} {to_x:.0} {to_y:.0}");
        (x, y) = (to_x, to_y);
        if !std::ptr::eq(place, end) {
            x += place.size.width;
            let _ = write!(path, "H{x:.0}");
        }
    }
    path
}

fn escaped(text: &str) -> String {
    xml::clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
