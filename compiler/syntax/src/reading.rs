//! From a source's text to its documents.

use crate::alias;
use crate::characters::{Characters, survey, with_line_feeds};
use crate::document::Document;
use crate::fast;
use crate::finding::{Finding, Group};
use crate::granit::{self, Outcome};
use crate::keys;
use crate::problem::Problem;
use crate::rules::TOO_LARGE;
use crate::span::{Location, SourceId, Span};
use crate::split::{json_values, split};
use crate::suppression::{self, Scalars, Suppression, suppressions};
use crate::tape::Tape;
use crate::template;
use rayon::prelude::*;

/// No more documents of a source are read than this.
const MOST_DOCUMENTS: usize = 500_000;

/// About how many findings of a source are kept.
const MOST_FINDINGS: usize = 10_000;

/// Documents that one thread reads at a time.
const DOCUMENTS_AT_ONCE: usize = 32;

/// Documents that are read before it is looked whether there are too many findings.
const DOCUMENTS_IN_A_ROW: usize = 1024;

/// What a source says.
#[derive(Clone, Debug)]
pub struct Reading<T = Document> {
    /// Its documents, in order, without those that hold nothing.
    pub documents: Vec<T>,
    /// What is wrong with them, in order.
    pub findings: Vec<Finding>,
    /// The comments that suppress findings.
    pub suppressions: Vec<Suppression>,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Reading { documents: Vec::new(), findings: Vec::new(), suppressions: Vec::new() }
    }
}

/// Reads `text`, the text of `source`: the documents of a YAML stream, or JSON. Never fails, and never gives up a
/// document for another one's faults.
///
/// The stream is split as Kubernetes splits it: at every line that begins with `---`, be it inside a block scalar.
pub fn read(source: SourceId, text: &str) -> Reading {
    read_each(source, text, |document| document)
}

/// Reads as [`read`] does, and keeps of each document what `each` makes of it.
///
/// Large sources are read by several threads, and no more documents are held than are being read.
pub fn read_each<T: Send>(source: SourceId, text: &str, each: impl Fn(Document) -> T + Sync) -> Reading<T> {
    let mut reading = Reading::default();
    let mut scalars = Vec::new();
    let parts: Vec<Span> = json_values(text).unwrap_or_else(|| split(text).collect());
    let mut left = parts.as_slice();
    while let Some(first) = left.first() {
        let room = left.len().min(DOCUMENTS_IN_A_ROW).min(MOST_DOCUMENTS - reading.documents.len());
        if room == 0 {
            let place = Location { source, span: Span::empty(first.start) };
            let message =
                format!("there are over {MOST_DOCUMENTS} documents here; those from this one on are not read");
            reading.findings.push(Finding::new(&TOO_LARGE, place, message).help("split the file"));
            break;
        }
        let (row, others) = left.split_at(room);
        let findings = MOST_FINDINGS.saturating_sub(reading.findings.len());
        let read = |parts: &[Span]| read_some(source, text, parts, findings, &each);
        let read: Vec<Part<T>> = if row.len() <= DOCUMENTS_AT_ONCE {
            vec![read(row)]
        } else {
            row.par_chunks(DOCUMENTS_AT_ONCE).map(read).collect()
        };
        for some in read {
            reading.documents.extend(some.documents);
            if reading.findings.len() < MOST_FINDINGS {
                reading.findings.extend(some.findings);
            }
            scalars.extend(some.scalars);
        }
        left = others;
    }
    reading.suppressions = suppressions(text, &scalars);
    reading
}

/// What some documents say.
struct Part<T> {
    documents: Vec<T>,
    findings: Vec<Finding>,
    /// Of the documents that may hold suppressions.
    scalars: Vec<Scalars>,
}

/// Reads `parts` of `text`, and keeps about `most` findings.
fn read_some<T>(source: SourceId, text: &str, parts: &[Span], most: usize, each: impl Fn(Document) -> T) -> Part<T> {
    let mut some = Part { documents: Vec::new(), findings: Vec::new(), scalars: Vec::new() };
    let mut tape = Tape::default();
    for span in parts {
        let Some((document, problems)) = read_document(source, text, *span, &mut tape) else { continue };
        if some.findings.len() < most {
            some.findings.extend(problems.into_iter().map(|problem| problem.into_finding(source)));
        }
        if suppression::is_possible(&document.text) {
            some.scalars.push(Scalars::new(span.end, document.scalar_spans()));
        }
        some.documents.push(each(document));
    }
    some
}

/// The document at `span`, and what is wrong with it; none if there is nothing.
fn read_document(source: SourceId, text: &str, span: Span, tape: &mut Tape) -> Option<(Document, Vec<Problem>)> {
    let part = text.get(span.start as usize..span.end as usize)?;
    tape.clear();
    let outcome = match survey(part, span.start) {
        Ok(characters) => nodes(part, span.start, characters, tape),
        Err(problem) => Outcome { problems: vec![*problem], unresolved: false },
    };
    if tape.entries.is_empty() && outcome.problems.is_empty() {
        return None;
    }
    let refused = refused(&outcome.problems);
    let template =
        if refused { template::in_text(part, span.start) } else { template::in_scalars(tape, part, span.start) };
    let mut problems = outcome.problems;
    if template.is_some() {
        tape.clear();
        problems.clear();
    }
    let document = document(source, part, span, tape);
    Some((Document { template, refused: refused && template.is_none(), ..document }, problems))
}

fn document(source: SourceId, part: &str, span: Span, tape: &mut Tape) -> Document {
    Document {
        source,
        span,
        template: None,
        refused: false,
        text: part.into(),
        entries: tape.entries.as_slice().into(),
        strings: std::mem::take(&mut tape.strings).into(),
    }
}

/// Reads `text` as one document by each of the two readers: what the quick one says, unless it gives up, and what the
/// complete one says. They are to agree; tests hold them to it.
#[doc(hidden)]
pub fn read_both(text: &str) -> (Option<Document>, Option<Document>) {
    let Ok(characters) = survey(text, 0) else { return (None, None) };
    let span = Span::new(0, text.len() as u32);
    let mut tape = Tape::default();
    let simple = characters == Characters::Simple && fast::read(text, 0, &mut tape).is_ok();
    let quick = simple.then(|| document(SourceId::default(), text, span, &mut tape));
    tape.clear();
    let outcome = granit::read(text, 0, &mut tape);
    let complete = outcome.problems.is_empty().then(|| document(SourceId::default(), text, span, &mut tape));
    (quick, complete)
}

/// Reads `part` onto `tape`, every key a string, every alias resolved.
fn nodes(part: &str, base: u32, characters: Characters, tape: &mut Tape) -> Outcome {
    if characters == Characters::Simple && fast::read(part, base, tape).is_ok() {
        let mut outcome = Outcome::default();
        keys::check(tape, part, base, &mut outcome.problems);
        return outcome;
    }
    tape.clear();
    let mut outcome = granit::read(part, base, tape);
    if characters == Characters::Broken {
        let lines = with_line_feeds(part, base, tape);
        tape.clear();
        outcome = granit::read(&lines, base, tape);
    }
    keys::check(tape, part, base, &mut outcome.problems);
    if outcome.unresolved && !refused(&outcome.problems) {
        alias::resolve(tape, part, base, &mut outcome.problems);
    }
    outcome
}

fn refused(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.rule.group == Group::Admission)
}
