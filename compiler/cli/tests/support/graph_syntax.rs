//! The part of Graphviz's language and of Mermaid's flowcharts that `malha graph` writes, read strictly: a text that
//! ends too early, or a line of another form, is a panic.

/// A node: its number, and its text as it is written.
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) label: String,
}

/// An edge, with what is written of it.
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) attributes: String,
}

/// A graph that was read.
#[derive(Default)]
pub(crate) struct Drawn {
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
}

impl Drawn {
    fn check(self) -> Drawn {
        let is_known = |id: &String| self.nodes.iter().any(|node| node.id == *id);
        assert!(self.edges.iter().all(|edge| is_known(&edge.from) && is_known(&edge.to)), "edges join nodes");
        self
    }
}

/// A node's name and what follows it.
fn id(line: &str) -> (String, &str) {
    let rest = line.strip_prefix('n').unwrap_or_else(|| panic!("no node: {line}"));
    let end = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
    assert!(end > 0, "no number: {line}");
    (format!("n{}", &rest[..end]), &rest[end..])
}

/// Reads a graph of Graphviz.
pub(crate) fn dot(page: &str) -> Drawn {
    let body = page.strip_prefix("digraph malha {\n").and_then(|rest| rest.strip_suffix("}\n")).expect("a graph");
    let mut drawn = Drawn::default();
    for line in body.lines().skip(3) {
        let line = line.strip_prefix("  ").and_then(|line| line.strip_suffix(';')).unwrap_or_else(|| panic!("{line}"));
        let (from, rest) = id(line);
        if let Some(rest) = rest.strip_prefix(" -> ") {
            let (to, rest) = id(rest);
            if !rest.is_empty() {
                dot_attributes(rest);
            }
            drawn.edges.push(Edge { from, to, attributes: rest.to_owned() });
        } else {
            let label = dot_attributes(rest).into_iter().find(|(name, _)| name == "label").expect("a label").1;
            drawn.nodes.push(Node { id: from, label });
        }
    }
    drawn.check()
}

/// ` [name=value, ...]`, where values are words or quoted.
fn dot_attributes(text: &str) -> Vec<(String, String)> {
    let mut rest = text.strip_prefix(" [").unwrap_or_else(|| panic!("no attributes: {text}"));
    let mut attributes = Vec::new();
    loop {
        let (name, value) = rest.split_once('=').unwrap_or_else(|| panic!("no value: {rest}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "no name: {name}");
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let mut is_escaped = false;
                let end = quoted.find(|next| {
                    let ends = next == '"' && !is_escaped;
                    is_escaped = next == '\\' && !is_escaped;
                    ends
                });
                let end = end.unwrap_or_else(|| panic!("no end: {quoted}"));
                (&quoted[..end], &quoted[end + 1..])
            }
            None => value.split_at(value.find([',', ']']).unwrap_or_else(|| panic!("no end: {value}"))),
        };
        attributes.push((name.to_owned(), value.to_owned()));
        let Some(more) = after.strip_prefix(", ") else {
            assert_eq!(after, "]", "{text}");
            return attributes;
        };
        rest = more;
    }
}

/// What encloses the text of a node.
const BRACKETS: [(&str, &str); 6] =
    [("[[\"", "\"]]"), ("[/\"", "\"/]"), ("([\"", "\"])"), ("{{\"", "\"}}"), (">\"", "\"]"), ("[\"", "\"]")];

/// Reads a flowchart.
pub(crate) fn mermaid(page: &str) -> Drawn {
    let body = page.strip_prefix("flowchart LR\n").expect("a flowchart");
    let mut drawn = Drawn::default();
    let mut classes = Vec::new();
    let mut used = Vec::new();
    for line in body.lines() {
        let line = line.strip_prefix("  ").unwrap_or_else(|| panic!("{line}"));
        if let Some(style) = line.strip_prefix("classDef ") {
            let (class, style) = style.split_once(' ').expect("a style");
            assert!(style.starts_with("fill:#") && style.contains(",stroke:#"), "{line}");
            classes.push(class.to_owned());
        } else if let Some(style) = line.strip_prefix("linkStyle ") {
            let (number, style) = style.split_once(" stroke:#").expect("a style");
            assert!(number.parse::<usize>().is_ok_and(|number| number < drawn.edges.len()), "{line}");
            assert!(style.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        } else {
            let (from, rest) = id(line);
            let arrow = [" -->", " -.->", " -.-"].into_iter().find_map(|arrow| rest.strip_prefix(arrow));
            if let Some(rest) = arrow {
                let (attributes, rest) = match rest.strip_prefix("|\"") {
                    Some(label) => {
                        let (label, rest) = label.split_once("\"|").expect("an end");
                        mermaid_text(label);
                        (label, rest)
                    }
                    None => ("", rest),
                };
                let (to, rest) = id(rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}")));
                assert_eq!(rest, "", "{line}");
                drawn.edges.push(Edge { from, to, attributes: attributes.to_owned() });
            } else {
                let (node, class) = rest.rsplit_once(":::").unwrap_or_else(|| panic!("{line}"));
                let text = BRACKETS.iter().find_map(|(open, close)| node.strip_prefix(open)?.strip_suffix(close));
                let label = text.unwrap_or_else(|| panic!("{line}"));
                label.split("<br/>").for_each(mermaid_text);
                used.push(class.to_owned());
                drawn.nodes.push(Node { id: from, label: label.to_owned() });
            }
        }
    }
    assert!(used.iter().all(|class| classes.contains(class)), "{used:?}");
    drawn.check()
}

/// A text: no mark that means something, but numbers of characters.
fn mermaid_text(text: &str) {
    let mut parts = text.split('#');
    let plain = |part: &str| assert!(!part.contains(['"', '<', '>', '&', '`', '*', '_', '\\', '|', ';']), "{text}");
    parts.next().into_iter().for_each(plain);
    for part in parts {
        let (number, rest) = part.split_once(';').unwrap_or_else(|| panic!("{text}"));
        assert!(number.parse::<u32>().is_ok_and(|number| char::from_u32(number).is_some()), "{text}");
        plain(rest);
    }
}
