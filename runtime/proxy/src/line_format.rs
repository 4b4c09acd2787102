//! Lines of the access log as the mesh writes their format: text with Envoy's commands, or JSON whose texts have some
//! (semantics C85).

use crate::{logged::Logged, text_line::Line};
use http::HeaderName;
use malha_table::http::{HeaderSource, Piece, Template, Variable};
use serde_json::Value;
use std::collections::BTreeSet;

/// A format of access log lines, parsed.
#[derive(Clone, Debug)]
pub struct LineFormat {
    body: Body,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Body {
    Text(Template),
    Json(Json),
}

/// A value of JSON.
#[derive(Clone, Debug)]
enum Json {
    /// As it is written.
    Fixed(String),
    Template(Template),
    List(Vec<Json>),
    /// By name, as it is written.
    Object(Vec<(String, Json)>),
}

/// What must be kept of a request's messages, since lines tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) request: BTreeSet<Name>,
    pub(crate) response: BTreeSet<Name>,
    pub(crate) trailers: BTreeSet<Name>,
}

/// A header's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) HeaderName);

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

/// Commands whose value is a number in JSON.
const NUMBERS: [&str; 13] = [
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DURATION",
    "REQUEST_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_DURATION",
    "RESPONSE_TX_DURATION",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
];

impl LineFormat {
    /// Lines of text. A line feed at its end is the line's own.
    ///
    /// # Errors
    /// What Envoy would not load, in words.
    pub fn text(format: &str) -> Result<Self, String> {
        let format = format.strip_suffix('\n').unwrap_or(format);
        let template = Template::parse(format).map_err(|error| error.to_string())?;
        Ok(Self::of(Body::Text(template)))
    }

    /// Lines of JSON: an object whose texts have commands. A text that is one command and nothing else is a number where
    /// the command's value is one, and null where it has none.
    ///
    /// # Errors
    /// It is no object of JSON, or what Envoy would not load, in words.
    pub fn json(format: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(format).map_err(|error| format!("it is no JSON: {error}"))?;
        if !value.is_object() {
            return Err("it is no object of JSON".to_owned());
        }
        Ok(Self::of(Body::Json(json(&value)?)))
    }

    fn of(body: Body) -> Self {
        let mut format = LineFormat { body, wanted: Wanted::default() };
        let mut wanted = Wanted::default();
        format.each(&mut |variable| {
            let Variable::Header { source, name, other, .. } = variable else { return };
            let names = [Some(name), other.as_ref()].into_iter().flatten();
            let names = names.filter_map(|name| HeaderName::try_from(name.as_str()).ok()).map(Name);
            match source {
                HeaderSource::Request => wanted.request.extend(names),
                HeaderSource::Response => wanted.response.extend(names),
                HeaderSource::Trailers => wanted.trailers.extend(names),
            }
        });
        format.wanted = wanted;
        format
    }

    /// The commands in it that this proxy can say nothing of, by name: a dash or null stands for each.
    pub fn untold(&self) -> Vec<&'static str> {
        let mut untold = BTreeSet::new();
        self.each(&mut |variable| {
            if let Variable::Command { name, .. } = variable
                && !Logged::tells(name)
            {
                untold.insert(*name);
            }
        });
        untold.into_iter().collect()
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    fn each(&self, take: &mut impl FnMut(&Variable)) {
        match &self.body {
            Body::Text(template) => each_of(template, take),
            Body::Json(json) => json.each(take),
        }
    }

    /// Appends an entry's line, without its line feed.
    pub(crate) fn write(&self, logged: &Logged<'_>, lines: &mut Vec<u8>) {
        match &self.body {
            Body::Text(template) => {
                let mut line = Line(lines);
                for piece in template.pieces() {
                    match piece {
                        Piece::Text(text) => line.text(text),
                        Piece::Variable(variable) => line.plain(variable.value(logged).as_deref()),
                    };
                }
            }
            Body::Json(json) => json.write(logged, lines),
        }
    }
}

fn each_of(template: &Template, take: &mut impl FnMut(&Variable)) {
    for piece in template.pieces() {
        if let Piece::Variable(variable) = piece {
            take(variable);
        }
    }
}

fn json(value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::String(text) => {
            let template = Template::parse(text).map_err(|error| error.to_string())?;
            let has_commands = template.pieces().iter().any(|piece| matches!(piece, Piece::Variable(_)));
            if has_commands {
                Json::Template(template)
            } else {
                let text: String = template.pieces().iter().map(Piece::text).collect();
                Json::Fixed(Value::from(text).to_string())
            }
        }
        Value::Array(items) => Json::List(items.iter().map(json).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((Value::from(name.as_str()).to_string(), json(value)?)));
            let mut fields = fields.collect::<Result<Vec<_>, String>>()?;
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(fields)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Json::Fixed(value.to_string()),
    })
}

impl Json {
    fn each(&self, take: &mut impl FnMut(&Variable)) {
        match self {
            Json::Fixed(_) => {}
            Json::Template(template) => each_of(template, take),
            Json::List(items) => items.iter().for_each(|item| item.each(take)),
            Json::Object(fields) => fields.iter().for_each(|(_, value)| value.each(take)),
        }
    }

    fn write(&self, logged: &Logged<'_>, out: &mut Vec<u8>) {
        match self {
            Json::Fixed(text) => out.extend_from_slice(text.as_bytes()),
            Json::Template(template) => match template.pieces() {
                [Piece::Variable(variable)] => only(variable, logged, out),
                pieces => {
                    let text: String = pieces.iter().fold(String::new(), |mut text, piece| {
                        match piece {
                            Piece::Text(fixed) => text.push_str(fixed),
                            Piece::Variable(variable) => {
                                text.push_str(variable.value(logged).as_deref().unwrap_or("-"));
                            }
                        }
                        text
                    });
                    quoted(&text, out);
                }
            },
            Json::List(items) => {
                out.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    item.write(logged, out);
                }
                out.push(b']');
            }
            Json::Object(fields) => {
                out.push(b'{');
                for (place, (name, value)) in fields.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(name.as_bytes());
                    out.push(b':');
                    value.write(logged, out);
                }
                out.push(b'}');
            }
        }
    }
}

/// The value of a text that is one command.
fn only(variable: &Variable, logged: &Logged<'_>, out: &mut Vec<u8>) {
    let is_number = matches!(variable, Variable::Command { name, .. } if NUMBERS.contains(name));
    match variable.value(logged) {
        None => out.extend_from_slice(b"null"),
        Some(value) if is_number && value.parse::<u64>().is_ok() => out.extend_from_slice(value.as_bytes()),
        Some(value) => quoted(&value, out),
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    // What JSON leaves as it is, and terminals and readers of lines do not.
    let is_left = |char: char| matches!(char, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    let written = Value::from(text).to_string();
    if !written.contains(is_left) {
        return out.extend_from_slice(written.as_bytes());
    }
    for char in written.chars() {
        if is_left(char) {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
        } else {
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_json_are_lines_to_all_readers() {
        let mut out = Vec::new();
        quoted("a\u{9b}2J\u{7f}\u{2028}\n\"\u{e4}", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#""a\u009b2J\u007f\u2028\n\"ä""#);
    }
}
