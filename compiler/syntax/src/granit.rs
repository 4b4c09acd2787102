//! The complete reader: the events of granit-parser, as a tape.

mod refusals;

use crate::base64;
use crate::explain;
use crate::indicator::indicator;
use crate::problem::{MOST_PROBLEMS, Problem};
use crate::rules::{ALIAS_LIMIT, LOST_TEXT, SYNTAX_ERROR, UNKNOWN_ANCHOR};
use crate::span::Span;
use crate::split::is_separator;
use crate::tape::{Entry, Kind, Tape};
use granit_parser::{Event, Parser, ScalarStyle, Span as EventSpan, StructureStyle, Tag, options};
use std::collections::HashMap;

/// How deep mappings and sequences may nest.
pub(crate) const MAX_DEPTH: usize = 256;

/// What a reader left on the tape.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) problems: Vec<Problem>,
    /// Whether there are aliases or merge keys to resolve.
    pub(crate) unresolved: bool,
}

/// Reads `text`, which begins at byte `base` of its source, onto `tape`. Stops at the first error of syntax; the tape
/// then holds what came before it.
pub(crate) fn read(text: &str, base: u32, tape: &mut Tape) -> Outcome {
    let options = options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        bom_inside_document_as_content: true,
        block_scalar_eof_without_line_feed: true,
        // The scanner runs ahead of the events, which are counted.
        flow_nesting_limit: 16 * MAX_DEPTH,
        block_nesting_limit: 16 * MAX_DEPTH
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let tabs = memchr::memchr(b'\t', text.as_bytes()).is_some();
    let mut reader = Reader {
        text,
        base,
        tabs,
        tape,
        open: Vec::new(),
        behind: 0,
        last_end: base,
        anchors: HashMap::new(),
        outcome: Outcome::default(),
    };
    while let Some(event) = parser.next_event() {
        match event {
            Ok((Event::DocumentEnd, _)) => {
                let more = parser.next_event();
                if !matches!(more, None | Some(Ok((Event::StreamEnd, _)))) {
                    reader.lost_text();
                }
                break;
            }
            Ok((event, span)) => {
                let span = reader.span(&span);
                if reader.event(event, span).is_none() || reader.outcome.problems.len() >= MOST_PROBLEMS {
                    break;
                }
            }
            // Kubernetes does not look at what follows the root, but a plain scalar goes on until something else begins.
            Err(_) if reader.open.is_empty() && reader.tape.entries.first().is_some_and(|root| !root.plain) => {
                reader.lost_text();
                break;
            }
            Err(error) => {
                reader.outcome.problems.push(explain::syntax_error(&error, text, base));
                break;
            }
        }
    }
    reader.outcome
}

/// A container whose end has not come yet.
#[derive(Clone, Copy)]
struct Open {
    index: usize,
    style: StructureStyle,
    kind: Kind,
    /// How many nodes it has so far.
    count: usize,
    /// Whether its last key is announced by a `?`, and may go over several lines.
    explicit_key: bool,
}

struct Reader<'t> {
    text: &'t str,
    base: u32,
    /// Whether there is a tab anywhere in the text.
    tabs: bool,
    tape: &'t mut Tape,
    open: Vec<Open>,
    /// Where the last token that an event told of ended: what belongs to the next node comes behind it.
    behind: usize,
    /// Where the last node ended.
    last_end: u32,
    /// Where each anchor's node is on the tape.
    anchors: HashMap<usize, u32>,
    outcome: Outcome,
}

impl Reader<'_> {
    fn span(&self, span: &EventSpan) -> Span {
        let at = |offset: Option<usize>| self.base + offset.unwrap_or(0).min(self.text.len()) as u32;
        Span::new(at(span.start.byte_offset()), at(span.end.byte_offset()))
    }

    fn written(&self, span: Span) -> &str {
        let (start, end) = (span.start - self.base, span.end - self.base);
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    fn report(&mut self, problem: Problem) {
        self.outcome.problems.push(problem);
    }

    /// Takes one event; `None` if there is no use in reading on.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::MappingStart(style, anchor, _) => self.container(Kind::Mapping, style, anchor, span)?,
            Event::SequenceStart(style, anchor, _) => self.container(Kind::Sequence, style, anchor, span)?,
            Event::MappingEnd | Event::SequenceEnd => self.close(span),
            Event::Scalar(value, style, anchor, tag) => {
                self.arrive(span)?;
                self.anchor(anchor);
                let place = self.place(span, style);
                self.scalar(place, &value, style, tag.as_deref());
                self.leave(span, place.end);
            }
            Event::Alias(id) => {
                self.arrive(span)?;
                self.alias(id, span)?;
                self.leave(span, span.end);
            }
            Event::UnresolvedAlias(name) => {
                self.arrive(span)?;
                self.unresolved_alias(span, &name);
                self.tape.scalar(span, Kind::Bare, false);
                self.leave(span, span.end);
            }
            Event::Anchor(_, name) => self.check_anchor(span, &name),
            _ => {}
        }
        Some(())
    }

    fn container(&mut self, kind: Kind, style: StructureStyle, anchor: usize, span: Span) -> Option<()> {
        self.arrive(span)?;
        if self.open.len() >= MAX_DEPTH {
            self.report(explain::too_deep(span));
            return None;
        }
        let on_separator = is_separator(self.text, 0) && !self.written(Span::new(self.base, span.start)).contains('\n');
        if on_separator && style == StructureStyle::Block {
            let problem = Problem::new(&SYNTAX_ERROR, span, "a document cannot begin on the line of its `---`");
            self.report(problem.help("put a line break after `---`"));
            return None;
        }
        self.anchor(anchor);
        let mut start = span.start;
        if style == StructureStyle::Flow {
            self.leave(span, span.end);
        } else if kind == Kind::Sequence {
            // A sequence begins at its first dash.
            start = indicator(self.text, self.behind, b'-').map_or(start, |dash| self.base + dash as u32);
        }
        let index = self.tape.open(kind, start);
        self.open.push(Open { index, style, kind, count: 0, explicit_key: false });
        Some(())
    }

    fn close(&mut self, span: Span) {
        let Some(open) = self.open.pop() else { return };
        // A block ends where its last node does, not where the next token begins.
        if open.style == StructureStyle::Flow {
            self.leave(span, span.end);
        }
        self.tape.close(open.index, self.last_end);
    }

    /// Goes behind the dash or the colon that belongs to the node which begins at `span`.
    fn arrive(&mut self, span: Span) -> Option<()> {
        self.tab_before(span)?;
        let Some(open) = self.open.last_mut() else { return Some(()) };
        let mark = match open.kind {
            Kind::Mapping if open.count % 2 == 1 => Some(b':'),
            Kind::Sequence if open.style == StructureStyle::Block => Some(b'-'),
            _ => None,
        };
        if open.kind == Kind::Mapping && open.count.is_multiple_of(2) {
            let start = (span.start - self.base) as usize;
            let before = self.text.get(..start).unwrap_or_default();
            let mark = indicator(self.text, self.behind, b'?').filter(|mark| *mark < start || span.is_empty());
            open.explicit_key = mark.is_some() || before.trim_end_matches([' ', '\t', '\n', '\r']).ends_with('?');
            self.behind = mark.map_or(self.behind, |mark| mark + 1);
        }
        open.count += 1;
        let explicit_key = open.explicit_key;
        if let Some(at) = mark.and_then(|mark| indicator(self.text, self.behind, mark)) {
            let before = self.text.get(self.behind..at).unwrap_or_default();
            if mark == Some(b':') && !explicit_key && before.contains(['\n', '\r']) {
                let at = self.base + at as u32;
                let problem =
                    Problem::new(&SYNTAX_ERROR, Span::new(at, at + 1), "this `:` is not on the line of its key");
                self.report(problem.help("put the key and its `:` on one line"));
            }
            self.behind = at + 1;
        }
        Some(())
    }

    fn leave(&mut self, span: Span, end: u32) {
        self.last_end = end;
        if !span.is_empty() {
            self.behind = (span.end - self.base) as usize;
        }
    }

    /// Where a scalar with the event span `span` stands.
    fn place(&self, span: Span, style: ScalarStyle) -> Span {
        let header = match style {
            // A value that is not there stands behind its dash or colon.
            ScalarStyle::Plain if span.is_empty() => return Span::empty(self.base + self.behind as u32),
            ScalarStyle::Literal => b'|',
            ScalarStyle::Folded => b'>',
            _ => return span,
        };
        // A block scalar begins with its header and ends with its last line.
        let start = indicator(self.text, self.behind, header).map_or(span.start, |at| self.base + at as u32);
        let span = Span::new(start, span.end.max(start));
        Span::new(start, start + self.written(span).trim_end().len() as u32)
    }

    fn anchor(&mut self, id: usize) {
        if id != 0 {
            self.anchors.insert(id, self.tape.len());
        }
    }

    fn scalar(&mut self, span: Span, value: &str, style: ScalarStyle, tag: Option<&Tag>) {
        let plain = match tag {
            Some(tag) => self.is_plain_by_tag(span, value, tag),
            None => style == ScalarStyle::Plain,
        };
        match style {
            ScalarStyle::DoubleQuoted => self.check_escapes(span),
            ScalarStyle::Plain => {
                self.check_flow(span);
                if self.tabs {
                    self.check_tabs_after(span);
                }
            }
            _ => {}
        }
        self.check_key(span);
        if tag.and_then(yaml_suffix) == Some("binary") {
            return self.binary(span, value);
        }
        let written = self.written(span);
        // A value that is not there comes with a span of no bytes and a text of its own.
        if span.is_empty() || written == value {
            self.outcome.unresolved |= plain && written == "<<";
            return self.tape.scalar(span, Kind::Bare, plain);
        }
        let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
        if quoted && written.len() == value.len() + 2 && written.get(1..written.len() - 1) == Some(value) {
            return self.tape.scalar(span, Kind::Quoted, plain);
        }
        self.tape.owned(span, value, plain);
    }

    fn binary(&mut self, span: Span, value: &str) {
        let decoded = base64::decode(value).and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(text) = decoded {
            return self.tape.owned(span, &text, false);
        }
        let problem = Problem::new(&SYNTAX_ERROR, span, "the value of a `!!binary` is to be base64 of UTF-8 text");
        self.report(problem.help("leave the tag out, or encode the value"));
        self.tape.scalar(span, Kind::Bare, false);
    }

    fn alias(&mut self, id: usize, span: Span) -> Option<()> {
        let Some(&target) = self.anchors.get(&id) else { return Some(()) };
        if self.open.iter().any(|open| open.index as u32 == target) {
            let message =
                format!("`{}` stands inside the value that it names, so there is no end to it", self.written(span));
            self.report(
                Problem::new(&ALIAS_LIMIT, span, message).help("name another value, or quote it if text is meant"),
            );
            return None;
        }
        let entry = self.tape.entries.get(target as usize).copied();
        match entry {
            Some(scalar @ Entry { kind: Kind::Bare | Kind::Quoted | Kind::Owned, .. }) => {
                self.tape.entries.push(scalar);
            }
            _ => self.tape.entries.push(Entry { span, link: target, kind: Kind::Alias, plain: false }),
        }
        self.outcome.unresolved = true;
        Some(())
    }

    fn unresolved_alias(&mut self, span: Span, name: &str) {
        if name.starts_with(['.', '-']) || name.contains('*') {
            return self.report(explain::unquoted_wildcard(span, self.written(span)));
        }
        let message = format!("there is no anchor `&{name}` above for `*{name}` to stand for");
        let problem = Problem::new(&UNKNOWN_ANCHOR, span, message);
        self.report(problem.help("quote it if text is meant, or define the anchor before it is used"));
    }

    /// Reports what follows the document, which Kubernetes does not look at.
    fn lost_text(&mut self) {
        let end = self.tape.entries.iter().map(|entry| entry.span.end).max().unwrap_or(self.base);
        let mut start = (end - self.base) as usize;
        // What is left of the document's last line may be a comment.
        for line in self.text.get(start..).unwrap_or_default().split_inclusive('\n') {
            let content = line.trim();
            if !content.is_empty() && !content.starts_with('#') && content != "..." {
                start += line.len() - line.trim_start().len();
                let span = Span::new(self.base + start as u32, self.base + (start + content.len()) as u32);
                let message = "the document ends before this line, and Kubernetes drops what follows in silence";
                let problem = Problem::new(&LOST_TEXT, span, message);
                return self
                    .report(problem.help("indent it as the lines above it are, or begin a document with `---`"));
            }
            start += line.len();
        }
    }
}

/// What `tag` says behind `!!`.
fn yaml_suffix(tag: &Tag) -> Option<&str> {
    (tag.handle() == "tag:yaml.org,2002:").then(|| tag.suffix())
}
