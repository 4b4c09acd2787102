//! Typed access to a TOML document that remembers every mistake and where it is.

use crate::failure::Failure;
use malha_syntax::nearest;
use std::{collections::BTreeMap, fmt::Write as _, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A table, with what people call it.
pub(super) struct Table<'i> {
    /// As `[run.endpoints]` without the brackets; empty for the document.
    path: String,
    /// Whether it is one of an array.
    repeated: bool,
    span: Range<usize>,
    entries: DeTable<'i>,
}

/// One value where one or several may stand.
pub(super) enum Item<'i> {
    Text(Text),
    Table(Table<'i>),
}

/// A string and where it is.
pub(super) struct Text {
    value: String,
    span: Range<usize>,
}

struct Problem {
    offset: usize,
    message: String,
    help: Option<String>,
}

/// Reads one document.
pub(super) struct Reader<'i> {
    name: &'i str,
    text: &'i str,
    problems: Vec<Problem>,
}

impl Table<'_> {
    /// The keys in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        self.entries.keys().map(|key| key.get_ref().to_string())
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn heading(&self) -> String {
        match (self.path.as_str(), self.repeated) {
            ("", _) => "malha.toml".to_owned(),
            (path, true) => format!("[[{path}]]"),
            (path, false) => format!("[{path}]"),
        }
    }
}

impl<'i> Reader<'i> {
    pub(super) fn new(name: &'i str, text: &'i str) -> Self {
        Reader { name, text, problems: Vec::new() }
    }

    /// The whole document, as far as its syntax holds.
    pub(super) fn document(&mut self) -> Option<Table<'i>> {
        match DeTable::parse(self.text) {
            Ok(document) => {
                let span = document.span();
                Some(Table { path: String::new(), repeated: false, span, entries: document.into_inner() })
            }
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                self.report(offset, error.message().replace('\n', ", "), None);
                None
            }
        }
    }

    /// Succeeds if there were no mistakes.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.problems.sort_by_key(|problem| problem.offset);
        let mut told = String::new();
        for problem in &self.problems {
            let before = &self.text[..self.text.floor_char_boundary(problem.offset)];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let separator = if told.is_empty() { "" } else { "\n" };
            let _ = write!(told, "{separator}{}:{line}:{column}: {}", self.name, problem.message);
            if let Some(help) = &problem.help {
                let _ = write!(told, "\n  help: {help}");
            }
        }
        if told.is_empty() { Ok(()) } else { Err(Failure::new(told)) }
    }

    /// Reports the keys that are none of `known`.
    pub(super) fn know(&mut self, table: &Table<'_>, known: &[&str]) {
        for key in table.entries.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let help = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("its keys are {}", list(known.iter().copied())),
            };
            self.report(key.span().start, format!("`{name}` is not a key of {}", table.heading()), Some(help));
        }
    }

    pub(super) fn table<'t>(&mut self, table: &Table<'t>, key: &str) -> Option<Table<'t>> {
        let value = table.entries.get(key)?;
        let DeValue::Table(entries) = value.get_ref() else { return self.mistyped(table, key, value, "a table") };
        let (span, entries) = (value.span(), entries.clone());
        Some(Table { path: table.path_of(key), repeated: false, span, entries })
    }

    pub(super) fn tables<'t>(&mut self, table: &Table<'t>, key: &str) -> Vec<Table<'t>> {
        let mut tables = Vec::new();
        let Some(value) = table.entries.get(key) else { return tables };
        let DeValue::Array(items) = value.get_ref() else {
            self.mistyped::<()>(table, key, value, "a list of tables");
            return tables;
        };
        for item in items {
            match item.get_ref() {
                DeValue::Table(entries) => tables.push(Table {
                    path: table.path_of(key),
                    repeated: true,
                    span: item.span(),
                    entries: entries.clone(),
                }),
                _ => {
                    self.mistyped::<()>(table, key, item, "a table");
                }
            }
        }
        tables
    }

    pub(super) fn string(&mut self, table: &Table<'_>, key: &str) -> Option<String> {
        self.text(table, key).map(|text| text.value)
    }

    /// What people call the document.
    pub(super) fn name(&self) -> &str {
        self.name
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, table: &Table<'_>, key: &str) -> String {
        if !table.entries.contains_key(key) {
            self.report(table.span.start, format!("a table of {} has no `{key}`", table.heading()), None);
        }
        self.string(table, key).unwrap_or_default()
    }

    /// A string with a form of its own.
    pub(super) fn parsed<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(table, key)?;
        self.parse_item(&text, parse)
    }

    pub(super) fn parse_item<T>(&mut self, text: &Text, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        parse(&text.value).map_err(|message| self.report(text.span.start, message, None)).ok()
    }

    pub(super) fn strings(&mut self, table: &Table<'_>, key: &str) -> Vec<String> {
        self.texts(table, key).into_iter().map(|text| text.value).collect()
    }

    pub(super) fn texts(&mut self, table: &Table<'_>, key: &str) -> Vec<Text> {
        let Some(value) = table.entries.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.mistyped::<()>(table, key, value, "a list of strings");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push(Text { value: text.to_string(), span: item.span() }),
                _ => {
                    self.mistyped::<()>(table, key, item, "a string");
                }
            }
        }
        texts
    }

    /// A string, or a list of them.
    pub(super) fn one_or_more(&mut self, table: &Table<'_>, key: &str) -> Vec<String> {
        match table.entries.get(key).map(Spanned::get_ref) {
            None => Vec::new(),
            Some(DeValue::Array(_)) => self.strings(table, key),
            Some(_) => self.string(table, key).into_iter().collect(),
        }
    }

    /// A string or a table, or a list of them.
    pub(super) fn one_or_many<'t>(&mut self, table: &Table<'t>, key: &str) -> Vec<Item<'t>> {
        let Some(value) = table.entries.get(key) else { return Vec::new() };
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut read = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => read.push(Item::Text(Text { value: text.to_string(), span: item.span() })),
                DeValue::Table(entries) => read.push(Item::Table(Table {
                    path: table.path_of(key),
                    repeated: false,
                    span: item.span(),
                    entries: entries.clone(),
                })),
                _ => {
                    self.mistyped::<()>(table, key, item, "an address, or a table with one");
                }
            }
        }
        read
    }

    pub(super) fn labels(&mut self, table: &Table<'_>, key: &str) -> BTreeMap<String, String> {
        let Some(labels) = self.table(table, key) else { return BTreeMap::new() };
        let keys: Vec<_> = labels.keys().collect();
        keys.into_iter().filter_map(|key| self.string(&labels, &key).map(|value| (key, value))).collect()
    }

    pub(super) fn bool(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.entries.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.mistyped(table, key, value, "true or false"),
        }
    }

    pub(super) fn choice<T: Copy>(&mut self, table: &Table<'_>, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(table, key)?;
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == text.value) {
            return Some(*chosen);
        }
        let names = choices.iter().map(|(name, _)| *name);
        let help = match nearest(&text.value, names.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("its values are {}", list(names)),
        };
        self.report(text.span.start, format!("`{}` is not a value of {}", text.value, table.path_of(key)), Some(help));
        None
    }

    /// Reports a key whose form is wrong.
    pub(super) fn wrong_key(&mut self, table: &Table<'_>, key: &str, message: String, help: &str) {
        let offset = table.entries.get_key_value(key).map_or(table.span.start, |(key, _)| key.span().start);
        self.report(offset, message, Some(help.to_owned()));
    }

    fn text(&mut self, table: &Table<'_>, key: &str) -> Option<Text> {
        let value = table.entries.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Text { value: text.to_string(), span: value.span() }),
            _ => self.mistyped(table, key, value, "a string"),
        }
    }

    fn mistyped<T>(&mut self, table: &Table<'_>, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> Option<T> {
        let kind = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.report(value.span().start, format!("{} is {kind}, not {wanted}", table.path_of(key)), None);
        None
    }

    fn report(&mut self, offset: usize, message: String, help: Option<String>) {
        self.problems.push(Problem { offset, message, help });
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
