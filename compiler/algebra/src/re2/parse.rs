//! The parser: operators, groups, flags. Classes and escapes are in [`super::class`].

use super::class::{self, Escape};
use super::syntax::{MAX_HEIGHT, Node, Repeat};
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange, Look};

/// Whose grammar. They differ in little: `\C`, names of Unicode classes and of groups, absurd counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Go,
    Re2,
}

/// What is wrong, and at which byte.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) offset: usize,
}

#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// How many capture groups.
    pub(super) groups: u32,
}

/// The most times that one thing may be repeated, nested counts multiplied.
const MAX_REPEAT: u32 = 1000;

/// Numbers with more digits than this are no numbers to RE2.
const MAX_DIGITS: usize = 9;

pub(super) fn parse(text: &str, reader: Reader) -> Result<Parsed, Fault> {
    let mut parser = Parser {
        text,
        reader,
        at: 0,
        flags: Flags::default(),
        no_more_posix: false,
        groups: 0,
        open: Vec::new(),
        branches: Vec::new(),
        items: Vec::new(),
    };
    while let Some(character) = parser.peek() {
        parser.step(character)?;
    }
    let item = parser.close_alternation()?;
    if let Some(group) = parser.open.pop() {
        return fail(group.offset, "missing closing `)` for this group");
    }
    Ok(Parsed { node: item.node, groups: parser.groups })
}

pub(super) fn fail<T>(offset: usize, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { message: message.into(), offset })
}

#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the dialect has four flags, and any of them may be set")]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    multi_line: bool,
    dot_newline: bool,
    swap_greed: bool,
}

/// A node and how high its tree is.
struct Item {
    node: Node,
    height: usize,
}

impl Item {
    fn leaf(node: Node) -> Self {
        Item { node, height: 1 }
    }
}

/// A group that is not closed yet, with what it interrupted.
struct Open {
    offset: usize,
    captures: bool,
    flags: Flags,
    branches: Vec<Item>,
    items: Vec<Item>,
}

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) reader: Reader,
    pub(super) at: usize,
    pub(super) flags: Flags,
    /// No `:]` comes any more: spares looking for one again and again.
    pub(super) no_more_posix: bool,
    groups: u32,
    open: Vec<Open>,
    branches: Vec<Item>,
    items: Vec<Item>,
}

impl<'t> Parser<'t> {
    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// Skips `prefix` if it comes next.
    pub(super) fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn step(&mut self, character: char) -> Result<(), Fault> {
        let offset = self.at;
        match character {
            '(' => self.open_group()?,
            ')' => self.close_group()?,
            '|' => {
                self.at += 1;
                self.end_branch()?;
            }
            '*' => self.repeat(offset, 1, 0, None)?,
            '+' => self.repeat(offset, 1, 1, None)?,
            '?' => self.repeat(offset, 1, 0, Some(1))?,
            '{' => match self.counts()? {
                Some((length, min, max)) => self.repeat(offset, length, min, max)?,
                None => self.literal('{'),
            },
            '[' => {
                let class = class::bracketed(self)?;
                self.push_class(class);
            }
            '^' => self.look(1, if self.flags.multi_line { Look::StartLF } else { Look::Start }),
            '$' => self.look(1, if self.flags.multi_line { Look::EndLF } else { Look::End }),
            '.' => self.dot(),
            '\\' => self.backslash()?,
            other => self.literal(other),
        }
        Ok(())
    }

    fn dot(&mut self) {
        self.at += 1;
        let mut class = ClassUnicode::empty();
        if !self.flags.dot_newline {
            class.push(ClassUnicodeRange::new('\n', '\n'));
        }
        class.negate();
        self.push_class(class);
    }

    fn push(&mut self, node: Node) {
        self.items.push(Item::leaf(node));
    }

    fn push_class(&mut self, class: ClassUnicode) {
        if let [range] = class.ranges()
            && range.start() == range.end()
        {
            return self.push(Node::Char(range.start()));
        }
        self.push(Node::Class(Box::new(class)));
    }

    fn literal(&mut self, character: char) {
        self.at += character.len_utf8();
        self.push_char(character);
    }

    fn push_char(&mut self, character: char) {
        if !self.flags.ignore_case {
            return self.push(Node::Char(character));
        }
        let mut class = ClassUnicode::new([ClassUnicodeRange::new(character, character)]);
        class::fold(&mut class);
        self.push_class(class);
    }

    fn look(&mut self, length: usize, look: Look) {
        self.at += length;
        self.push(Node::Look(look));
    }

    fn backslash(&mut self) -> Result<(), Fault> {
        let look = match self.rest().as_bytes().get(1) {
            Some(b'A') => Look::Start,
            Some(b'z') => Look::End,
            Some(b'b') => Look::WordAscii,
            Some(b'B') => Look::WordAsciiNegate,
            Some(b'Q') => {
                self.quoted();
                return Ok(());
            }
            Some(b'C') if self.reader == Reader::Re2 => {
                self.at += 2;
                self.push(Node::AnyByte);
                return Ok(());
            }
            _ => {
                match class::escape(self)? {
                    Escape::Char(character) => self.push_char(character),
                    Escape::Surrogate => self.push(Node::Class(Box::new(ClassUnicode::empty()))),
                    Escape::Class(class) => self.push_class(class),
                }
                return Ok(());
            }
        };
        self.look(2, look);
        Ok(())
    }

    /// `\Q...\E`: the text between stands for itself. Without `\E` it goes on to the end.
    fn quoted(&mut self) {
        self.at += 2;
        let rest = self.rest();
        let (literal, length) = match rest.find(r"\E") {
            Some(end) => (rest.get(..end).unwrap_or_default(), end + 2),
            None => (rest, rest.len()),
        };
        for character in literal.chars() {
            self.push_char(character);
        }
        self.at += length;
    }

    /// Reads a count at `{` without passing it: its length and bounds. `None`: the brace stands for itself.
    fn counts(&self) -> Result<Option<(usize, u32, Option<u32>)>, Fault> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let Some(length) = inside.find(|character: char| !character.is_ascii_digit() && character != ',') else {
            return Ok(None);
        };
        let (inside, after) = inside.split_at(length);
        if !after.starts_with('}') {
            return Ok(None);
        }
        let length = length + 2;
        let (min, max) = match inside.split_once(',') {
            None => (inside, Some(inside)),
            Some((min, "")) => (min, None),
            Some((min, max)) => (min, Some(max)),
        };
        let digits = |number: &str| {
            let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            plain && (number.len() == 1 || !number.starts_with('0'))
        };
        if !digits(min) || max.is_some_and(|max| !digits(max)) {
            return Ok(None);
        }
        if self.reader == Reader::Re2 && (min.len() > MAX_DIGITS || max.is_some_and(|max| max.len() > MAX_DIGITS)) {
            return Ok(None);
        }
        let value = |number: &str| number.parse::<u32>().unwrap_or(u32::MAX);
        let (min, max) = (value(min), max.map(value));
        let shown = self.rest().get(..length).unwrap_or_default();
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT) {
            return fail(self.at, format!("`{shown}` repeats more often than {MAX_REPEAT} times"));
        }
        if max.is_some_and(|max| max < min) {
            return fail(self.at, format!("`{shown}` has its bounds in the wrong order"));
        }
        Ok(Some((length, min, max)))
    }

    fn repeat(&mut self, offset: usize, length: usize, min: u32, max: Option<u32>) -> Result<(), Fault> {
        self.at += length;
        let greedy = !self.eat("?") ^ self.flags.swap_greed;
        let shown = self.text.get(offset..self.at).unwrap_or_default();
        let Some(Item { node, height }) = self.items.pop() else {
            return fail(offset, format!("`{shown}` has nothing to repeat"));
        };
        let (node, min, max) = squash(node, min, max, greedy);
        check_height(offset, height + 1)?;
        let repeat = Node::Repeat(Box::new(Repeat { node, min, max, greedy }));
        let zero_hides = self.reader == Reader::Go;
        if max.unwrap_or(min) >= 2 && repeat.copies(zero_hides) > u64::from(MAX_REPEAT) {
            return fail(offset, format!("`{shown}` and the repetitions in it are more than {MAX_REPEAT} in all"));
        }
        self.items.push(Item { node: repeat, height: height + 1 });
        // Perl has meanings for `a**` and `a++` that neither reader knows.
        let again = match self.peek() {
            Some('*' | '+' | '?') => true,
            Some('{') => self.counts()?.is_some(),
            _ => false,
        };
        if again {
            return fail(self.at, "a repetition cannot follow another one directly; use a group");
        }
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), Fault> {
        let offset = self.at;
        self.at += 1;
        let outer = self.flags;
        let mut captures = true;
        if self.eat("?") {
            if self.eat("P<") || self.eat("<") {
                self.group_name(offset)?;
            } else if self.flag_group(offset)? {
                captures = false;
            } else {
                return Ok(());
            }
        }
        self.groups += u32::from(captures);
        self.open.push(Open {
            offset,
            captures,
            flags: outer,
            branches: std::mem::take(&mut self.branches),
            items: std::mem::take(&mut self.items),
        });
        Ok(())
    }

    fn group_name(&mut self, offset: usize) -> Result<(), Fault> {
        let rest = self.rest();
        let Some(end) = rest.find('>') else {
            if rest.starts_with(['=', '!']) {
                return fail(offset, "there is no look-behind in this dialect");
            }
            return fail(offset, "missing `>` after the name of a group");
        };
        let name = rest.get(..end).unwrap_or_default();
        if rest.starts_with(['=', '!']) {
            return fail(offset, "there is no look-behind in this dialect");
        }
        let allowed = |character: char| match self.reader {
            Reader::Go => character == '_' || character.is_ascii_alphanumeric(),
            Reader::Re2 => class::in_group_name(character),
        };
        if name.is_empty() || !name.chars().all(allowed) {
            return fail(offset, format!("`{name}` is no name for a group: letters, digits and `_` only"));
        }
        self.at += end + 1;
        Ok(())
    }

    /// Reads `i`, `m`, `s`, `U`, `-` after `(?`. True: a group follows; false: the flags hold from here on.
    fn flag_group(&mut self, offset: usize) -> Result<bool, Fault> {
        let mut flags = self.flags;
        let mut value = true;
        let mut pending = false;
        loop {
            match self.next() {
                Some('i') => flags.ignore_case = value,
                Some('m') => flags.multi_line = value,
                Some('s') => flags.dot_newline = value,
                Some('U') => flags.swap_greed = value,
                Some('-') if value => {
                    value = false;
                    pending = true;
                    continue;
                }
                Some(end @ (':' | ')')) if !pending => {
                    self.flags = flags;
                    return Ok(end == ':');
                }
                Some('=' | '!') if self.at == offset + 3 => {
                    return fail(offset, "there is no look-ahead in this dialect");
                }
                _ => {
                    let shown = self.text.get(offset..self.at).unwrap_or_default();
                    return fail(offset, format!("`{shown}` opens no group that this dialect has"));
                }
            }
            pending = false;
        }
    }

    fn close_group(&mut self) -> Result<(), Fault> {
        let offset = self.at;
        if self.open.is_empty() {
            return fail(offset, "this `)` closes nothing");
        }
        let mut item = self.close_alternation()?;
        let Some(group) = self.open.pop() else { return fail(offset, "this `)` closes nothing") };
        self.at += 1;
        self.flags = group.flags;
        self.branches = group.branches;
        self.items = group.items;
        if group.captures {
            item = Item { height: item.height + 1, node: Node::Group(Box::new(item.node)) };
            check_height(offset, item.height)?;
        }
        self.items.push(item);
        Ok(())
    }

    fn end_branch(&mut self) -> Result<(), Fault> {
        let items = std::mem::take(&mut self.items);
        let branch = self.join(items, Node::Empty, Node::Concat)?;
        self.branches.push(branch);
        Ok(())
    }

    fn close_alternation(&mut self) -> Result<Item, Fault> {
        self.end_branch()?;
        let branches = merge_classes(std::mem::take(&mut self.branches));
        self.join(branches, Node::Empty, Node::Alternate)
    }

    fn join(&self, mut items: Vec<Item>, empty: Node, many: fn(Vec<Node>) -> Node) -> Result<Item, Fault> {
        if items.len() < 2 {
            return Ok(items.pop().unwrap_or(Item::leaf(empty)));
        }
        let height = 1 + items.iter().map(|item| item.height).max().unwrap_or(0);
        check_height(self.at, height)?;
        Ok(Item { node: many(items.into_iter().map(|item| item.node).collect()), height })
    }
}

fn check_height(offset: usize, height: usize) -> Result<(), Fault> {
    if height > MAX_HEIGHT {
        return fail(offset, format!("the pattern nests deeper than {MAX_HEIGHT} levels"));
    }
    Ok(())
}

/// `(?:a*)+` and the like are `a*`, as RE2 has it. Counted repetitions are not touched.
fn squash(node: Node, min: u32, max: Option<u32>, greedy: bool) -> (Node, u32, Option<u32>) {
    let simple = |min, max| matches!((min, max), (0 | 1, None) | (0, Some(1)));
    match node {
        Node::Repeat(inner) if inner.greedy == greedy && simple(min, max) && simple(inner.min, inner.max) => {
            if (inner.min, inner.max) == (min, max) { (inner.node, min, max) } else { (inner.node, 0, None) }
        }
        node => (node, min, max),
    }
}

/// `a|[bc]|d` is `[abcd]`: a branch that is one character is merged with the one before it if that is one too.
fn merge_classes(branches: Vec<Item>) -> Vec<Item> {
    let mut merged: Vec<Item> = Vec::with_capacity(branches.len());
    for branch in branches {
        match (merged.last_mut().and_then(|last| as_class(&last.node)), as_class(&branch.node)) {
            (Some(mut class), Some(other)) => {
                class.union(&other);
                merged.pop();
                merged.push(Item::leaf(Node::Class(Box::new(class))));
            }
            _ => merged.push(branch),
        }
    }
    merged
}

fn as_class(node: &Node) -> Option<ClassUnicode> {
    match node {
        Node::Char(character) => Some(ClassUnicode::new([ClassUnicodeRange::new(*character, *character)])),
        Node::Class(class) => Some((**class).clone()),
        _ => None,
    }
}
