//! Findings with the lines in question.

use super::{rendered::rendered_from, replay, source::IndexedSource};
use malha_syntax::{Finding, Location, Severity, Source, Sources, Span};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use std::fmt;

/// Prints findings with the lines in question on a page of so many columns; `colour` where a terminal shows it.
pub fn pretty(findings: &[(&Finding, &Sources)], colour: bool, columns: usize) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(columns).with_links(false);
    let mut out = String::new();
    for (finding, sources) in findings {
        let page = Page::new(finding, sources);
        // Writing to a string cannot fail, and positions are clamped to their sources.
        let _ = handler.render_report(&mut out, &page);
        out.push('\n');
    }
    out
}

/// One source with what is to be shown in it.
struct Page<'a> {
    title: &'a str,
    code: Option<String>,
    help: Option<String>,
    severity: miette::Severity,
    source: Option<IndexedSource<'a>>,
    labels: Vec<(Span, Option<&'a str>)>,
    /// Places in other sources, a page each: labels belong to one source.
    others: Vec<Page<'a>>,
}

impl<'a> Page<'a> {
    fn new(finding: &'a Finding, sources: &'a Sources) -> Self {
        let source = sources.get(finding.location.source).map(|source| &**source);
        let mut labels = vec![(clamp(finding.location, source), None)];
        let mut others: Vec<Page<'a>> = Vec::new();
        for related in &finding.related {
            if related.location.source == finding.location.source {
                labels.push((clamp(related.location, source), Some(related.message.as_str())));
                continue;
            }
            let source = sources.get(related.location.source).map(|source| &**source);
            others.push(Page {
                title: &related.message,
                code: None,
                help: None,
                severity: miette::Severity::Advice,
                source: source.map(IndexedSource),
                labels: vec![(clamp(related.location, source), None)],
                others: Vec::new(),
            });
        }
        Page {
            title: &finding.message,
            code: Some(format!("{} {}", finding.rule.code, finding.rule.name)),
            help: help(finding, sources),
            severity: match finding.severity {
                Severity::Error => miette::Severity::Error,
                Severity::Warning => miette::Severity::Warning,
                Severity::Info => miette::Severity::Advice,
            },
            source: source.map(IndexedSource),
            labels,
            others,
        }
    }
}

/// How to mend it, and the request that proves it as a command.
fn help(finding: &Finding, sources: &Sources) -> Option<String> {
    let command = finding.witness.as_ref().and_then(replay::command);
    let proof = command.map(|command| format!("to see it with `malha run`:\n  {command}"));
    let template = rendered_from(sources, finding.location);
    let template = template.map(|template| format!("it was rendered from {template}"));
    let parts: Vec<String> = finding.help.clone().into_iter().chain(template).chain(proof).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

/// A span inside its source, on one line: a whole block would push what matters off the page.
fn clamp(location: Location, source: Option<&Source>) -> Span {
    let Some(source) = source else { return Span::default() };
    let length = source.text.len() as u32;
    let start = location.span.start.min(length);
    let line = source.line_span(source.line_column(start).line);
    let line_end = line.map_or(length, |line| line.end).max(start);
    Span::new(start, location.span.end.clamp(start, line_end))
}

impl fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title)
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title)
    }
}

impl std::error::Error for Page<'_> {}

impl Diagnostic for Page<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.as_ref().map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let label = |(index, (span, text)): (usize, &(Span, Option<&str>))| {
            let place = (span.start as usize, (span.end - span.start) as usize);
            let text = text.map(str::to_owned);
            if index == 0 {
                LabeledSpan::new_primary_with_span(text, place)
            } else {
                LabeledSpan::new_with_span(text, place)
            }
        };
        Some(Box::new(self.labels.iter().enumerate().map(label)))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.others.iter().map(|page| page as &dyn Diagnostic)))
    }
}
