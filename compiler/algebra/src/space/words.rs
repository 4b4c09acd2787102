//! Products in words.

use super::{Axis, Literal, Product, Space};
use crate::PathTest;
use crate::language::Test;
use smol_str::SmolStr;
use std::fmt::Write as _;

/// More conditions than these are counted.
const SHOWN: usize = 6;

impl Space {
    /// The product in words, as `path prefix /a, header x is "1", but not path /a/b`.
    pub fn words(&self, product: &Product) -> String {
        let (demands, exceptions): (Vec<Literal>, Vec<Literal>) =
            product.literals().iter().partition(|literal| literal.holds);
        let listed = |literals: &[Literal], separator: &str| {
            let mut words: Vec<String> =
                literals.iter().take(SHOWN).map(|literal| self.condition_words(*literal)).collect();
            if literals.len() > SHOWN {
                words.push(format!("{} more", literals.len() - SHOWN));
            }
            words.join(separator)
        };
        let mut text = if demands.is_empty() { "any request".to_owned() } else { listed(&demands, ", ") };
        let is_absence = |literal: &Literal| matches!(self.test_of(*literal), (Test::Any, _));
        let (absent, exceptions): (Vec<Literal>, Vec<Literal>) = exceptions.into_iter().partition(is_absence);
        if !absent.is_empty() {
            let _ = write!(text, " without {}", listed(&absent, " or "));
        }
        if !exceptions.is_empty() {
            let _ = write!(text, ", but not {}", listed(&exceptions, " or "));
        }
        text
    }

    /// What a literal demands; for one that must not hold, what it forbids.
    fn condition_words(&self, literal: Literal) -> String {
        let (test, _) = self.test_of(literal);
        let subject = match self.axis_of(literal) {
            Axis::Path => return path_words(test),
            Axis::Field(field) => field.to_string(),
            Axis::Listener => "through".to_owned(),
            Axis::SourceNamespace => "a client in namespace".to_owned(),
            Axis::SourceLabel(name) => format!("a client with label {name}"),
            Axis::ServerName => "server name".to_owned(),
            Axis::Destination => "destination".to_owned(),
        };
        match test {
            Test::Any => subject,
            Test::Exact { value, .. } => format!("{subject} {value:?}"),
            Test::Prefix { value, .. } => format!("{subject} beginning with {value:?}"),
            Test::Regex(pattern) => format!("{subject} matching {pattern:?}"),
            Test::OneOf(values) => {
                format!("{subject} {}", values.iter().map(SmolStr::as_str).collect::<Vec<_>>().join(" or "))
            }
        }
    }
}

fn path_words(test: &Test) -> String {
    let path = match test {
        Test::Any => PathTest::Any,
        Test::Exact { value, ignore_case } => PathTest::Exact { value: value.clone(), ignore_case: *ignore_case },
        Test::Prefix { value, ignore_case } => PathTest::Prefix { value: value.clone(), ignore_case: *ignore_case },
        Test::Regex(pattern) => PathTest::Regex(pattern.clone()),
        Test::OneOf(values) => {
            return format!("path {}", values.iter().map(SmolStr::as_str).collect::<Vec<_>>().join(" or "));
        }
    };
    path.to_string()
}
