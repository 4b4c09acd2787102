//! Reads single values: texts, numbers, booleans, durations, bytes.

use crate::{
    Bytes, Duration,
    kubernetes::{Confidential, IntOrString},
    limits::Limits,
    read::{
        Value,
        reader::{Reader, list, shorten},
        regex::check_regex,
    },
    rules::{INVALID_DURATION, INVALID_TEXT, OUT_OF_RANGE, UNKNOWN_ENUM_VALUE},
};
use malha_syntax::{Edit, Fix, Node, Scalar, nearest};
use smol_str::SmolStr;
use std::borrow::Cow;

/// The text of a string value, or a finding that it is none.
fn read_text<'d>(node: Node<'d>, reader: &mut Reader<'d>, expected: &str) -> Option<Cow<'d, str>> {
    match node.scalar() {
        Some(Scalar::String(text)) => return Some(text),
        Some(Scalar::Bool(_) | Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_)) => {
            let quoted = format!("\"{}\"", node.text());
            reader.wrong_type(node, expected, Some((format!("quote it: `{quoted}`"), quoted)));
        }
        _ => reader.wrong_type(node, expected, None),
    }
    None
}

impl Value for SmolStr {
    fn read<'d>(node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) -> Option<Self> {
        let text = read_text(node, reader, "a string")?;
        check_text(&text, node, limits, reader);
        Some(SmolStr::new(text))
    }
}

fn check_text<'d>(text: &str, node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) {
    if let Some(longest) = limits.max_length
        && text.len() > longest
        && text.chars().count() > longest
    {
        let message = format!(
            "`{}` has {} characters, and may have no more than {longest}",
            reader.field_name(),
            text.chars().count()
        );
        let finding = reader.finding(&OUT_OF_RANGE, node.span(), message).help("shorten it");
        reader.report(finding);
    }
    if let Some(pattern) = limits.pattern
        && !(pattern.accepts)(text)
    {
        let message = format!("`{}` is \"{}\", but must {}", reader.field_name(), shorten(text), pattern.demand);
        let finding = reader.finding(&INVALID_TEXT, node.span(), message);
        reader.report(finding);
    }
    if limits.regex {
        check_regex(text, node, reader);
    }
}

impl Value for bool {
    fn read<'d>(node: Node<'d>, _: &Limits, reader: &mut Reader<'d>) -> Option<Self> {
        if let Some(Scalar::Bool(value)) = node.scalar() {
            return Some(value);
        }
        let plain = match node.text() {
            "true" => Some("true"),
            "false" => Some("false"),
            _ => None,
        };
        let fix = plain.map(|text| (format!("remove the quotes: `{text}`"), text.to_owned()));
        reader.wrong_type(node, "`true` or `false`", fix);
        None
    }
}

/// The whole number that a scalar stands for. Kubernetes takes `80.0` for 80.
fn whole_number(scalar: &Scalar<'_>) -> Option<i128> {
    match *scalar {
        Scalar::Int(value) => Some(i128::from(value)),
        Scalar::Uint(value) => Some(i128::from(value)),
        // Beyond these bounds every number of this type is whole, and out of any field's range.
        Scalar::Float(value) if value.fract() == 0.0 => Some(value.clamp(-1e30, 1e30) as i128),
        _ => None,
    }
}

fn read_whole<'d>(node: Node<'d>, least: i128, most: i128, limits: &Limits, reader: &mut Reader<'d>) -> Option<i128> {
    let Some(value) = node.scalar().as_ref().and_then(whole_number) else {
        let quoted = matches!(node.scalar(), Some(Scalar::String(_)))
            .then(|| node.text().parse::<i64>().ok())
            .flatten()
            .map(|number| (format!("remove the quotes: `{number}`"), number.to_string()));
        reader.wrong_type(node, "a whole number", quoted);
        return None;
    };
    let least = limits.minimum.map_or(least, |minimum| least.max(i128::from(minimum)));
    let most = limits.maximum.map_or(most, |maximum| most.min(i128::from(maximum)));
    if (least..=most).contains(&value) {
        return Some(value);
    }
    let message = format!("`{}` is {}, but must lie between {least} and {most}", reader.field_name(), node.text());
    let finding = reader.finding(&OUT_OF_RANGE, node.span(), message);
    reader.report(finding);
    None
}

macro_rules! whole_numbers {
    ($($type:ident)*) => {$(
        impl Value for $type {
            fn read<'d>(node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) -> Option<Self> {
                let value = read_whole(node, i128::from($type::MIN), i128::from($type::MAX), limits, reader)?;
                $type::try_from(value).ok()
            }
        }
    )*};
}

whole_numbers!(i32 i64 u32 u64);

impl Value for f64 {
    #[allow(clippy::cast_precision_loss, reason = "a number of this type has that precision")]
    fn read<'d>(node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) -> Option<Self> {
        let value = match node.scalar() {
            Some(Scalar::Int(value)) => value as f64,
            Some(Scalar::Uint(value)) => value as f64,
            Some(Scalar::Float(value)) => value,
            _ => {
                let quoted = matches!(node.scalar(), Some(Scalar::String(_)))
                    .then(|| node.text().parse::<f64>().ok().filter(|number| number.is_finite()))
                    .flatten()
                    .map(|_| (format!("remove the quotes: `{}`", node.text()), node.text().to_owned()));
                reader.wrong_type(node, "a number", quoted);
                return None;
            }
        };
        let low =
            limits.minimum.filter(|minimum| value < f64::from(*minimum)).map(|minimum| format!("at least {minimum}"));
        let high =
            limits.maximum.filter(|maximum| value > f64::from(*maximum)).map(|maximum| format!("at most {maximum}"));
        let Some(demand) = low.or(high) else { return Some(value) };
        let message = format!("`{}` is {}, but must be {demand}", reader.field_name(), node.text());
        let finding = reader.finding(&OUT_OF_RANGE, node.span(), message);
        reader.report(finding);
        None
    }
}

impl Value for Duration {
    fn read<'d>(node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) -> Option<Self> {
        if matches!(node.scalar(), Some(Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_))) {
            reader.wrong_type(node, "a duration with its unit, as `10s`", None);
            return None;
        }
        let text = read_text(node, reader, "a duration, as `10s`")?;
        let problem = match Duration::parse(&text) {
            Some(duration) if limits.positive && duration < Duration::from_milliseconds(1) => {
                "but must be at least 1ms"
            }
            Some(duration) => return Some(duration),
            None => "which is no duration",
        };
        let message = format!("`{}` is \"{}\", {problem}", reader.field_name(), shorten(&text));
        let finding = reader
            .finding(&INVALID_DURATION, node.span(), message)
            .help("write numbers with units (ms, s, m, h), as `500ms`, `10s` or `1h30m`");
        reader.report(finding);
        None
    }
}

impl Value for Bytes {
    fn read<'d>(node: Node<'d>, _: &Limits, reader: &mut Reader<'d>) -> Option<Self> {
        let text = read_text(node, reader, "a string (base64)")?;
        let bytes = Bytes::decode(&text);
        if bytes.is_none() {
            let message = format!("`{}` is not base64", reader.field_name());
            let finding = reader.finding(&INVALID_TEXT, node.span(), message);
            reader.report(finding);
        }
        bytes
    }
}

impl Value for IntOrString {
    fn read<'d>(node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) -> Option<Self> {
        match node.scalar() {
            Some(Scalar::String(text)) => Some(IntOrString::String(SmolStr::new(text))),
            Some(Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_)) => {
                i32::read(node, limits, reader).map(IntOrString::Int)
            }
            _ => {
                reader.wrong_type(node, "a port's number or name", None);
                None
            }
        }
    }
}

impl Value for Confidential {
    /// Takes anything: what is wrong with a secret's value must not be shown.
    fn read<'d>(node: Node<'d>, _: &Limits, _: &mut Reader<'d>) -> Option<Self> {
        Some(match node.scalar() {
            Some(Scalar::String(text)) => Confidential::new(&text),
            _ => Confidential::default(),
        })
    }
}

/// Reads a value that is one of a few names.
pub(crate) fn read_choice<'d, T: Copy>(
    node: Node<'d>,
    reader: &mut Reader<'d>,
    names: &[&'static str],
    values: &[T],
) -> Option<T> {
    // Quotes would not help a number or a boolean: no API has names that look like these.
    let Some(Scalar::String(text)) = node.scalar() else {
        reader.wrong_type(node, &format!("one of {}", list(names, "or")), None);
        return None;
    };
    if let Some(index) = names.iter().position(|name| *name == text) {
        return values.get(index).copied();
    }
    let message = format!("\"{}\" is not a value of `{}`", shorten(&text), reader.field_name());
    let finding = reader.finding(&UNKNOWN_ENUM_VALUE, node.span(), message);
    let finding = match nearest(&text, names.iter().copied()) {
        Some(name) => finding.help(format!("did you mean `{name}`?")).fix(Fix {
            safe: false,
            title: format!("replace it with `{name}`"),
            edits: vec![Edit { location: reader.location(node.span()), text: name.to_owned() }],
        }),
        None => finding.help(format!("its values are {}", list(names, "and"))),
    };
    reader.report(finding);
    None
}
