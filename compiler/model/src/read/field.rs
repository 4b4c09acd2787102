//! Reads fields: single values, lists and maps.

use crate::{
    Entries, Spanned,
    limits::Limits,
    read::{
        Value,
        reader::{Reader, Step, shorten},
    },
    rules::{DUPLICATE_ITEM, INVALID_TEXT, OUT_OF_RANGE},
};
use malha_syntax::{Node, NodeKind, Span};
use smol_str::SmolStr;
use std::collections::HashMap;

/// What a field of a message holds: an optional value, a list or a map.
pub(crate) trait Field: Default {
    /// The names of the fields of the message that it holds, if it holds one.
    const FIELDS: &'static [&'static str] = &[];

    /// Reads the value `node` that stands under `key`.
    fn read<'d>(&mut self, key: Span, node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>);
}

/// Whether the value is null, and so not to be read; says so where that is not allowed.
fn is_null<'d>(key: Span, node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) -> bool {
    // Few values begin as null does; only of those is it worth to ask.
    let unlike_null = |first: u8| !matches!(first, b'~' | b'n' | b'N');
    if node.text().as_bytes().first().copied().is_some_and(unlike_null) || !node.is_null() {
        return false;
    }
    if !limits.nullable && !reader.lenient() {
        reader.null(key, node);
    }
    true
}

fn read_single<'d, T: Value>(
    key: Span,
    node: Node<'d>,
    limits: &Limits,
    reader: &mut Reader<'d>,
) -> Option<Spanned<T>> {
    if is_null(key, node, limits, reader) {
        return None;
    }
    T::read(node, limits, reader).map(|value| Spanned::new(value, key, node.span()))
}

impl<T: Value> Field for Option<Spanned<T>> {
    const FIELDS: &'static [&'static str] = T::FIELDS;

    fn read<'d>(&mut self, key: Span, node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) {
        *self = read_single(key, node, limits, reader);
    }
}

impl<T: Value> Field for Option<Box<Spanned<T>>> {
    const FIELDS: &'static [&'static str] = T::FIELDS;

    fn read<'d>(&mut self, key: Span, node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) {
        *self = read_single(key, node, limits, reader).map(Box::new);
    }
}

impl<T: Value> Field for Vec<Spanned<T>> {
    const FIELDS: &'static [&'static str] = T::FIELDS;

    fn read<'d>(&mut self, key: Span, node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) {
        self.clear();
        if is_null(key, node, limits, reader) {
            return;
        }
        if node.kind() != NodeKind::Sequence {
            let fix = (node.kind() == NodeKind::Scalar).then(|| {
                let text = if node.is_plain() { node.text().to_owned() } else { format!("{:?}", node.text()) };
                (format!("make it a list: `[{text}]`"), format!("[{text}]"))
            });
            reader.wrong_type(node, "a list", fix);
            return;
        }
        let item_limits = limits.items.unwrap_or(&Limits::NONE);
        // Counting is cheap, and room for items that never come is not: messages are large.
        let count = node.items().count();
        self.reserve_exact(count);
        for (index, item) in node.items().enumerate() {
            reader.within(Step::Item(index), |reader| {
                self.extend(read_single(Span::empty(item.span().start), item, item_limits, reader));
            });
        }
        check_count(count, "items", key, limits, reader);
        for field in limits.unique_by {
            check_unique(node, field, reader);
        }
    }
}

impl<T: Value> Field for Entries<T> {
    fn read<'d>(&mut self, key: Span, node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) {
        *self = Entries::default();
        if is_null(key, node, limits, reader) || !reader.expect_mapping(node, "names with values") {
            return;
        }
        let item_limits = limits.items.unwrap_or(&Limits::NONE);
        let count = node.entries().count();
        *self = Entries::with_capacity(count);
        for (name, item) in node.entries() {
            reader.within(Step::Key(name.text()), |reader| {
                check_key(name, limits, reader);
                if let Some(value) = read_single(name.span(), item, item_limits, reader) {
                    let name = Spanned::new(SmolStr::new(name.text()), Span::empty(name.span().start), name.span());
                    self.push(name, value);
                }
            });
        }
        check_count(count, "entries", key, limits, reader);
    }
}

fn check_key<'d>(key: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) {
    let Some(pattern) = limits.keys.filter(|pattern| !(pattern.accepts)(key.text())) else { return };
    let message = format!("the key \"{}\" must {}", shorten(key.text()), pattern.demand);
    let finding = reader.finding(&INVALID_TEXT, key.span(), message);
    reader.report(finding);
}

fn check_count(count: usize, what: &str, key: Span, limits: &Limits, reader: &mut Reader<'_>) {
    let demand = match limits.max_items {
        Some(most) if count > most => format!("at most {most}"),
        _ if count < limits.min_items => format!("at least {}", limits.min_items),
        _ => return,
    };
    let message = format!("`{}` has {count} {what}, but must have {demand}", reader.field_name());
    let finding = reader.finding(&OUT_OF_RANGE, key, message);
    reader.report(finding);
}

/// Items must differ in `field`.
fn check_unique<'d>(list: Node<'d>, field: &'static str, reader: &mut Reader<'d>) {
    let mut known: HashMap<&str, Span> = HashMap::new();
    for (index, item) in list.items().enumerate() {
        let Some(value) = item.get(field).filter(|value| !value.is_null()) else { continue };
        let Some(first) = known.get(value.text()).copied() else {
            known.insert(value.text(), value.span());
            continue;
        };
        reader.within(Step::Item(index), |reader| {
            reader.within(Step::Key(field), |reader| {
                let message = format!("the {field} `{}` stands in this list twice", shorten(value.text()));
                let finding = reader
                    .finding(&DUPLICATE_ITEM, value.span(), message)
                    .related(reader.location(first), "the first one is here")
                    .help(format!("give each item another {field}"));
                reader.report(finding);
            });
        });
    }
}
