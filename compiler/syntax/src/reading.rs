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
use crate::suppression::{Suppression, suppressions};
use crate::tape::Tape;
use crate::template;

/// No more documents of a source are read than this.
const MOST_DOCUMENTS: usize = 500_000;

/// About how many findings of a source are kept.
const MOST_FINDINGS: usize = 10_000;

/// What a source says.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Its documents, in order, without those that hold nothing.
    pub documents: Vec<Document>,
    /// What is wrong with them, in order.
    pub findings: Vec<Finding>,
    /// The comments that suppress findings.
    pub suppressions: Vec<Suppression>,
}

/// Reads `text`, the text of `source`: the documents of a YAML stream, or JSON. Never fails, and never gives up a
/// document for another one's faults.
///
/// The stream is split as Kubernetes splits it: at every line that begins with `---`, be it inside a block scalar.
pub fn read(source: SourceId, text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut tape = Tape::default();
    let parts: Box<dyn Iterator<Item = Span>> = match json_values(text) {
        Some(values) => Box::new(values.into_iter()),
        None => Box::new(split(text)),
    };
    for span in parts {
        if reading.documents.len() == MOST_DOCUMENTS {
            let place = Location { source, span: Span::empty(span.start) };
            let message =
                format!("there are over {MOST_DOCUMENTS} documents here; those from this one on are not read");
            reading.findings.push(Finding::new(&TOO_LARGE, place, message).help("split the file"));
            break;
        }
        read_document(source, text, span, &mut tape, &mut reading);
    }
    reading.suppressions = suppressions(text, &reading.documents);
    reading
}

fn read_document(source: SourceId, text: &str, span: Span, tape: &mut Tape, reading: &mut Reading) {
    let Some(part) = text.get(span.start as usize..span.end as usize) else { return };
    tape.clear();
    let outcome = match survey(part, span.start) {
        Ok(characters) => nodes(part, span.start, characters, tape),
        Err(problem) => Outcome { problems: vec![*problem], unresolved: false },
    };
    if tape.entries.is_empty() && outcome.problems.is_empty() {
        return;
    }
    let refused = refused(&outcome.problems);
    let template =
        if refused { template::in_text(part, span.start) } else { template::in_scalars(tape, part, span.start) };
    if template.is_some() {
        tape.clear();
    } else if reading.findings.len() < MOST_FINDINGS {
        reading.findings.extend(outcome.problems.into_iter().map(|problem| problem.into_finding(source)));
    }
    let document = document(source, part, span, tape);
    reading.documents.push(Document { template, refused: refused && template.is_none(), ..document });
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
