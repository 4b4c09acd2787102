//! A JSON Schema of the house, asked about objects of one kind.

use super::{
    SCHEMA,
    cost::Cost,
    object::{Object, Step, written},
};
use crate::failure::Failure;
use jsonschema::{PatternOptions, Validator, error::ValidationErrorKind, paths::LocationSegment};
use malha_syntax::{Finding, Node};
use serde_json::Value;
use std::{fs, path::Path};
use xxhash_rust::xxh3::xxh3_64;

/// No more is said of one object.
const MOST_ERRORS: usize = 20;

/// A message quotes what it is about, which may be a whole object.
const LONGEST_MESSAGE: usize = 200;

pub(super) struct Schema {
    /// What people call it: its path in `malha.toml`.
    name: String,
    hash: u64,
    cost: Cost,
    validator: Validator,
}

impl Schema {
    /// Reads the schema at `path`, relative to the root of the mesh. Its patterns run in linear time, and its
    /// references stay inside of it: nothing is fetched.
    ///
    /// # Errors
    /// It cannot be read, is no JSON Schema, or is one that asks without end.
    pub(super) fn load(root: &Path, path: &Path) -> Result<Schema, Failure> {
        let name = path.display().to_string();
        let failed = |error: &dyn std::fmt::Display| Failure::new(format!("lint.schemas: {name}: {error}"));
        let text = fs::read_to_string(root.join(path)).map_err(|error| failed(&error))?;
        let schema: Value = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        let cost = Cost::of(&schema).map_err(|error| failed(&error))?;
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        let validator = options.build(&schema).map_err(|error| failed(&error))?;
        Ok(Schema { name, hash: xxh3_64(text.as_bytes()), cost, validator })
    }

    /// A hash of its text.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Adds a finding for each place that is not as the schema says.
    pub(super) fn check(&self, object: &Object<'_>, findings: &mut Vec<Finding>) {
        let value = object.json();
        if self.cost.is_too_much(&value) {
            let message = format!("asking `{}` about this object takes over {} steps", self.name, Cost::most(&value));
            let help = "let fewer references of the schema lead to the same part";
            findings.push(object.finding(&SCHEMA, object.named_at(), &[], message).help(help));
            return;
        }
        for error in self.validator.iter_errors(&value).take(MOST_ERRORS) {
            let segments: Vec<LocationSegment<'_>> = error.instance_path().iter().collect();
            let path: Vec<Step<'_>> = segments
                .iter()
                .map(|segment| match segment {
                    LocationSegment::Property(key) => Step::Key(key),
                    LocationSegment::Index(index) => Step::Index(*index),
                })
                .collect();
            let (node, _) = object.follow(&path);
            let parent = path.last().map(|_| object.follow(&path[..path.len() - 1]).0);
            // A mapping or a list is named by its key: its own span is all that it holds.
            let key = match path.last() {
                Some(Step::Key(key)) => parent.and_then(|parent| parent.entry_of(key)).map(|(key, _)| key.span()),
                _ => None,
            };
            let is_block = node.scalar().is_none();
            let mut span = if path.is_empty() { object.named_at() } else { node.span() };
            if let Some(key) = key.filter(|_| is_block || span.is_empty()) {
                span = key;
            }
            // Of several keys that should not be there, each is a place of its own.
            let unexpected = match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected }
                | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected.as_slice(),
                _ => &[],
            };
            if !unexpected.is_empty() {
                findings.extend(unexpected.iter().map(|key| self.unexpected(object, node, &path, key)));
                continue;
            }
            let field = if path.is_empty() { String::new() } else { format!("`{}`: ", written(&path)) };
            let message = format!("{field}{} ({})", shortened(&error.to_string()), self.name);
            findings.push(object.finding(&SCHEMA, span, &path, message).help(HELP));
        }
    }

    fn unexpected(&self, object: &Object<'_>, node: Node<'_>, path: &[Step<'_>], key: &str) -> Finding {
        let path: Vec<Step<'_>> = path.iter().copied().chain([Step::Key(key)]).collect();
        let span = node.entry_of(key).map_or(node.span(), |(key, _)| key.span());
        let message =
            format!("`{}` is not among the keys that the house's schema allows ({})", written(&path), self.name);
        object.finding(&SCHEMA, span, &path, message).help(HELP)
    }
}

const HELP: &str = "write it as the schema says, or change the schema";

fn shortened(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_MESSAGE) {
        // What is wrong is said at the end, what it is wrong with before that.
        Some(_) => {
            let tail: Vec<char> = line.chars().rev().take(LONGEST_MESSAGE).collect();
            format!("...{}", tail.into_iter().rev().collect::<String>())
        }
        None => line,
    }
}
