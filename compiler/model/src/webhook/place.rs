//! Where in an object a value stands, and how a finding points there.

use super::Judge;
use crate::{
    read::{Step, push_key},
    rules::EXCLUSIVE_FIELDS,
};
use malha_syntax::{Finding, Node, RuleInfo, Span};
use std::fmt::{self, Write};

/// A path into an object's `spec`, as a chain of the steps that led there: nothing is written down before something is
/// refused.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    above: Option<(&'p Place<'p>, Step<'p>)>,
}

impl Place<'_> {
    /// The `spec` itself.
    pub(super) const SPEC: Place<'static> = Place { above: None };

    /// The field `key` of what stands here.
    pub(super) fn key<'k>(&'k self, key: &'k str) -> Place<'k> {
        Place { above: Some((self, Step::Key(key))) }
    }

    /// The item `index` of the list that stands here.
    pub(super) fn item(&self, index: usize) -> Place<'_> {
        Place { above: Some((self, Step::Item(index))) }
    }

    /// What stands here below `spec`.
    fn find<'d>(&self, spec: Node<'d>) -> Option<Node<'d>> {
        match self.above {
            None => Some(spec),
            Some((parent, Step::Key(key))) => parent.find(spec)?.get(key),
            Some((parent, Step::Item(index))) => parent.find(spec)?.items().nth(index),
        }
    }

    /// The bytes to point at: the key, or the first key of an item. What is not there is missing from what stands
    /// around it.
    fn span_in(&self, judge: &Judge<'_, '_>) -> Span {
        let Some((parent, step)) = self.above else {
            return judge.object.entry_of("spec").map_or(judge.spec.span(), |(key, _)| key.span());
        };
        let Some(around) = parent.find(judge.spec) else { return parent.span_in(judge) };
        let here = match step {
            Step::Key(key) => around.entry_of(key).map(|(key, _)| key.span()),
            Step::Item(index) => around.items().nth(index).map(Judge::place_of),
        };
        here.or_else(|| around.entries().next().map(|(key, _)| key.span())).unwrap_or_else(|| parent.span_in(judge))
    }

    fn write(&self, path: &mut String) {
        match self.above {
            None => path.push_str("spec"),
            Some((parent, step)) => {
                parent.write(path);
                match step {
                    // Writing to a string cannot fail.
                    Step::Item(index) => _ = write!(path, "[{index}]"),
                    Step::Key(key) => push_key(path, key),
                }
            }
        }
    }
}

impl From<&Place<'_>> for String {
    /// As findings have it: `spec.http[0].match[1]`.
    fn from(place: &Place<'_>) -> String {
        let mut path = String::new();
        place.write(&mut path);
        path
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from(self))
    }
}

impl Judge<'_, '_> {
    /// Refuses what stands at `place`, whatever it is, or that nothing does.
    pub(super) fn refuse_at(
        &mut self,
        rule: &'static RuleInfo,
        place: &Place<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.refuse(rule, place, place.span_in(self), message, help);
    }

    /// Refuses that `owner` has both fields; `why` is the rest of the message. The later one is pointed at.
    pub(super) fn refuse_both(&mut self, owner: &Place<'_>, fields: [&str; 2], why: &str) {
        let [mut first, mut second] = fields.map(|field| (field, owner.key(field).span_in(self)));
        if second.1 < first.1 {
            (first, second) = (second, first);
        }
        let message = format!("`{}` and `{}` cannot stand together: {why}", first.0, second.0);
        let finding = Finding::new(&EXCLUSIVE_FIELDS, self.reader.location(second.1), message)
            .field(&owner.key(second.0))
            .related(self.reader.location(first.1), format!("`{}` is here", first.0))
            .help("keep one of them");
        self.reader.report(finding);
    }
}
