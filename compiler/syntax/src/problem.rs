//! What the readers find, before it becomes a finding.

use crate::finding::{Edit, Finding, Fix, RuleInfo};
use crate::span::{Location, SourceId, Span};

/// After so many, a document is not looked at any further.
pub(crate) const MOST_PROBLEMS: usize = 100;

/// Something wrong in a document.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) rule: &'static RuleInfo,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) related: Option<(Span, &'static str)>,
    pub(crate) fix: Option<(&'static str, Span, String)>,
}

impl Problem {
    pub(crate) fn new(rule: &'static RuleInfo, span: Span, message: impl Into<String>) -> Self {
        Problem { rule, span, message: message.into(), help: None, related: None, fix: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn rule(mut self, rule: &'static RuleInfo) -> Self {
        self.rule = rule;
        self
    }

    pub(crate) fn fix(mut self, title: &'static str, span: Span, text: String) -> Self {
        self.fix = Some((title, span, text));
        self
    }

    pub(crate) fn related(mut self, span: Span, message: &'static str) -> Self {
        self.related = Some((span, message));
        self
    }

    pub(crate) fn into_finding(self, source: SourceId) -> Finding {
        let at = |span| Location { source, span };
        let mut finding = Finding::new(self.rule, at(self.span), self.message);
        finding.help = self.help;
        if let Some((span, message)) = self.related {
            finding = finding.related(at(span), message);
        }
        if let Some((title, span, text)) = self.fix {
            let edits = vec![Edit { location: at(span), text }];
            // A document that is refused has no treatment to keep.
            finding = finding.fix(Fix { safe: true, title: title.to_owned(), edits });
        }
        finding
    }
}
