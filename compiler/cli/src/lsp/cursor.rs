//! Where in an object the cursor is: the path of fields to it, with the values on the way.

use malha_syntax::{Document, Node, NodeKind, Span};

/// One step from a value to one in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'d> {
    Key(&'d str),
    Item(usize),
}

/// The way from an object to the cursor.
pub(super) struct Cursor<'d> {
    /// The object: what has the kind.
    pub(super) object: Node<'d>,
    pub(super) kind: &'d str,
    /// From the object down.
    pub(super) steps: Vec<Step<'d>>,
    /// The value that each step leads to.
    pub(super) nodes: Vec<Node<'d>>,
    /// The key that the cursor is on, if it is on one; else the value, if that is a scalar.
    pub(super) on: Option<Span>,
    pub(super) is_on_key: bool,
}

impl<'d> Cursor<'d> {
    /// The cursor at a byte of the source, in one of its documents.
    pub(super) fn find(documents: &'d [Document], offset: u32) -> Option<Cursor<'d>> {
        // Of a value that an alias stands for the place is the anchor's: it is looked for by what is written here.
        let document = documents.iter().find(|one| one.span.start <= offset && offset <= one.span.end)?;
        let mut way = Way { offset, steps: Vec::new(), nodes: Vec::new(), on: None, is_on_key: false };
        let root = document.root()?;
        way.enter(root);
        Cursor::within(root, None, way)
    }

    /// Takes lists of objects apart, as the model does.
    fn within(root: Node<'d>, inherited: Option<&'d str>, mut way: Way<'d>) -> Option<Cursor<'d>> {
        let (mut object, mut kind) = (root, root.get("kind").map(Node::text).or(inherited));
        while let [Step::Key("items"), Step::Item(_), ..] = way.steps[..]
            && let Some(items) = kind.and_then(|kind| kind.strip_suffix("List"))
        {
            object = *way.nodes.get(1)?;
            let own = object.get("kind").map(Node::text);
            kind = own.or((!items.is_empty()).then_some(items));
            way.steps.drain(..2);
            way.nodes.drain(..2);
        }
        let Way { steps, nodes, on, is_on_key, .. } = way;
        Some(Cursor { object, kind: kind.unwrap_or_default(), steps, nodes, on, is_on_key })
    }

    /// The value that holds what the cursor is on.
    pub(super) fn parent(&self) -> Node<'d> {
        let parents = self.nodes.len().checked_sub(2);
        parents.and_then(|at| self.nodes.get(at)).copied().unwrap_or(self.object)
    }

    /// The keys of the way, items left out.
    pub(super) fn keys(&self) -> Vec<&'d str> {
        let keys = self.steps.iter().filter_map(|step| match step {
            Step::Key(key) => Some(*key),
            Step::Item(_) => None,
        });
        keys.collect()
    }

    /// A text of the object's metadata.
    pub(super) fn metadata(&self, key: &str) -> Option<&'d str> {
        self.object.get("metadata")?.get(key).map(Node::text).filter(|text| !text.is_empty())
    }

    /// The object's namespace.
    pub(super) fn namespace(&self) -> &'d str {
        self.metadata("namespace").unwrap_or("default")
    }
}

struct Way<'d> {
    offset: u32,
    steps: Vec<Step<'d>>,
    nodes: Vec<Node<'d>>,
    on: Option<Span>,
    is_on_key: bool,
}

impl<'d> Way<'d> {
    fn enter(&mut self, mut node: Node<'d>) {
        loop {
            let next = match node.kind() {
                NodeKind::Scalar => {
                    self.on = holds(node.span(), self.offset).then_some(node.span());
                    return;
                }
                NodeKind::Mapping => self.entry(node),
                NodeKind::Sequence => {
                    let mut items = node.items().enumerate();
                    items.find(|(_, item)| holds(item.span(), self.offset)).map(|(at, item)| (Step::Item(at), item))
                }
            };
            let Some((step, value)) = next else { return };
            self.steps.push(step);
            self.nodes.push(value);
            if self.is_on_key {
                return;
            }
            node = value;
        }
    }

    fn entry(&mut self, mapping: Node<'d>) -> Option<(Step<'d>, Node<'d>)> {
        let (key, value) = mapping
            .entries()
            .find(|(key, value)| holds(key.span(), self.offset) || holds(value.span(), self.offset))?;
        if holds(key.span(), self.offset) {
            (self.on, self.is_on_key) = (Some(key.span()), true);
        }
        Some((Step::Key(key.text()), value))
    }
}

/// Whether a byte is in a span or right behind it.
fn holds(span: Span, offset: u32) -> bool {
    span.start <= offset && offset <= span.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_syntax::{SourceId, read};

    /// The path as findings have it: `spec.http[1].match`.
    fn path(steps: &[Step<'_>]) -> String {
        let step = |step: &Step<'_>| match step {
            Step::Key(key) => format!(".{key}"),
            Step::Item(index) => format!("[{index}]"),
        };
        let path: String = steps.iter().map(step).collect();
        path.trim_start_matches('.').to_owned()
    }

    /// Kind and path at the mark, and whether it is on a key.
    fn at(text: &str) -> (String, String, bool) {
        let offset = text.find('|').expect("a mark");
        let documents = read(SourceId(0), &text.replace('|', "")).documents;
        let cursor = Cursor::find(&documents, offset as u32).expect("it is in a document");
        (cursor.kind.to_owned(), path(&cursor.steps), cursor.is_on_key)
    }

    #[test]
    fn paths_lead_through_keys_and_items() {
        let found = at("kind: A\nspec:\n  http:\n  - x: 1\n  - match: [{uri: {pre|fix: /a}}]\n");
        assert_eq!(found, ("A".to_owned(), "spec.http[1].match[0].uri.prefix".to_owned(), true));
        let found = at("kind: A\nspec:\n  http:\n  - x: |1\n");
        assert_eq!(found, ("A".to_owned(), "spec.http[0].x".to_owned(), false));
    }

    #[test]
    fn each_document_and_each_item_of_a_list_is_an_object() {
        let found = at("kind: A\n---\nkind: B\nmetadata:\n  na|me: x\n");
        assert_eq!(found, ("B".to_owned(), "metadata.name".to_owned(), true));
        let found = at("kind: List\nitems:\n- kind: C\n  spec: {hosts: [a|]}\n");
        assert_eq!(found, ("C".to_owned(), "spec.hosts[0]".to_owned(), false));
        let found = at("kind: GatewayList\nitems:\n- spec: {a: b|}\n");
        assert_eq!(found, ("Gateway".to_owned(), "spec.a".to_owned(), false));
    }
}
