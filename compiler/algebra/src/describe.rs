//! Predicates in words, as messages and explanations show them.

use crate::predicate::{Condition, Field, PathTest, Predicate, Static, ValueTest};
use std::fmt::{Display, Formatter, Result};

impl Display for PathTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (value, ignore_case) = match self {
            PathTest::Any => return f.write_str("any path"),
            PathTest::Regex(pattern) => return write!(f, "path matches {pattern:?}"),
            PathTest::Exact { value, ignore_case } => {
                write!(f, "path is ")?;
                (value, ignore_case)
            }
            PathTest::Prefix { value, ignore_case } => {
                write!(f, "path prefix ")?;
                (value, ignore_case)
            }
        };
        // A path with a space in it, or none at all, would run into the words around it.
        if value.is_empty() || value.contains(|character: char| character.is_whitespace() || character.is_control()) {
            write!(f, "{value:?}")?;
        } else {
            f.write_str(value)?;
        }
        f.write_str(if *ignore_case { " (in any case)" } else { "" })
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Field::Method => f.write_str("method"),
            Field::Scheme => f.write_str("scheme"),
            Field::Authority => f.write_str("authority"),
            Field::PathWithQuery => f.write_str("path with query"),
            Field::Header(name) => write!(f, "header {name}"),
            Field::Query(name) => write!(f, "query parameter {name}"),
            Field::Claim(path) => write!(f, "claim {path}"),
        }
    }
}

impl Display for ValueTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            ValueTest::Present => f.write_str("is present"),
            ValueTest::Exact(text) => write!(f, "is {text:?}"),
            ValueTest::Prefix(text) => write!(f, "begins with {text:?}"),
            ValueTest::Regex(pattern) => write!(f, "matches {pattern:?}"),
        }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match (self.negated, &self.test) {
            (true, ValueTest::Present) => write!(f, "no {}", self.field),
            (true, test) => write!(f, "no {} {test}", self.field),
            (false, test) => write!(f, "{} {test}", self.field),
        }
    }
}

/// Nothing at all if it says nothing.
impl Display for Static {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut parts = Vec::new();
        if let Some(port) = self.port {
            parts.push(format!("port {port}"));
        }
        match self.gateways.as_slice() {
            [] => {}
            [one] => parts.push(format!("gateway {one}")),
            several => parts.push(format!("gateway {}", several.join(" or "))),
        }
        if let Some(namespace) = &self.source_namespace {
            parts.push(format!("from namespace {namespace}"));
        }
        parts.extend(self.source_labels.iter().map(|(key, value)| format!("from label {key}={value}")));
        f.write_str(&parts.join(", "))
    }
}

impl Display for Predicate {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.path)?;
        for condition in &self.conditions {
            write!(f, ", {condition}")?;
        }
        if self.fixed != Static::default() {
            write!(f, ", {}", self.fixed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::re2::Pattern;

    #[test]
    fn in_words() {
        let regex = |text: &str| Pattern::parse(text).expect("a pattern");
        let prefix = |value: &str, ignore_case| PathTest::Prefix { value: value.into(), ignore_case };
        let exact = |text: &str| ValueTest::Exact(text.into());
        let paths = [
            (PathTest::Any, "any path"),
            (prefix("/foo", false), "path prefix /foo"),
            (prefix("", false), "path prefix \"\""),
            (PathTest::Exact { value: "/a b".into(), ignore_case: true }, "path is \"/a b\" (in any case)"),
            (PathTest::Regex(regex("/v[0-9]")), "path matches //v[0-9]/"),
        ];
        for (path, words) in paths {
            assert_eq!(path.to_string(), words);
        }
        let conditions = [
            (Condition::header("X-A", exact("1")), "header x-a is \"1\""),
            (Condition::header("x-a", ValueTest::Present), "header x-a is present"),
            (Condition::without_header("x", ValueTest::Present), "no header x"),
            (Condition::without_header("x", ValueTest::Regex(regex("re"))), "no header x matches /re/"),
            (Condition::new(Field::Method, exact("GET")), "method is \"GET\""),
            (Condition::query("v", ValueTest::Prefix("2".into())), "query parameter v begins with \"2\""),
            (Condition::new(Field::Claim("sub".into()), ValueTest::Present), "claim sub is present"),
        ];
        for (condition, words) in conditions {
            assert_eq!(condition.to_string(), words);
        }
    }

    #[test]
    fn whole_predicates() {
        let predicate = Predicate {
            path: PathTest::Any,
            conditions: vec![Condition::header("host", ValueTest::Exact("a".into()))],
            fixed: Static {
                port: Some(80),
                gateways: vec!["ns/one".into(), "mesh".into()],
                source_namespace: Some("web".into()),
                source_labels: vec![("app".into(), "x".into())],
            },
        };
        let words =
            "any path, authority is \"a\", port 80, gateway ns/one or mesh, from namespace web, from label app=x";
        assert_eq!(predicate.to_string(), words);
        assert_eq!(Predicate::any().to_string(), "any path");
    }
}
