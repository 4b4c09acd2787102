//! Fixes that write a value or a field, in the style of what stands there.

use crate::rule::Context;
use malha_syntax::{Edit, Location, Span};

/// A field as a fix writes it: its name, and its value in YAML's flow style and in JSON.
#[derive(Clone, Debug)]
pub(crate) struct NewField<'a> {
    pub(crate) name: &'a str,
    pub(crate) yaml: String,
    pub(crate) json: String,
}

impl<'a> NewField<'a> {
    /// A field whose value is a number.
    pub(crate) fn number(name: &'a str, value: impl Into<i128>) -> NewField<'a> {
        let value = value.into().to_string();
        NewField { name, yaml: value.clone(), json: value }
    }

    /// A field whose value is a text that YAML needs no quotes for.
    pub(crate) fn word(name: &'a str, value: &str) -> NewField<'a> {
        NewField { name, yaml: value.to_owned(), json: format!("\"{value}\"") }
    }

    /// A field that holds this one alone.
    pub(crate) fn within(self, name: &'a str) -> NewField<'a> {
        let yaml = format!("{{{}}}", self.written(false));
        let json = format!("{{{}}}", self.written(true));
        NewField { name, yaml, json }
    }

    fn written(&self, as_json: bool) -> String {
        if as_json { format!("\"{}\": {}", self.name, self.json) } else { format!("{}: {}", self.name, self.yaml) }
    }
}

impl Context<'_> {
    /// The edit that writes `value` in the place of a text or a key, quoted as that is.
    ///
    /// None where that is not plainly right: the source is not at hand, the text stands in several places, or it is one
    /// of several lines.
    pub(crate) fn replacement(&self, place: Location, value: &str) -> Option<Edit> {
        let text = self.text_without_references(place.source)?;
        let text = scalar_like(slice(text, place.span)?, value)?;
        Some(Edit { location: place, text })
    }

    /// The edit that writes `field` in the place of another, of which `place` is key and value.
    pub(crate) fn field_replacement(&self, place: Location, field: &NewField<'_>) -> Option<Edit> {
        let written = slice(self.text_without_references(place.source)?, place.span)?;
        let is_plain = !written.contains('\n') && !written.contains('#');
        is_plain.then(|| Edit { location: place, text: field.written(written.starts_with('"')) })
    }

    /// The edit that puts `field` in front of the fields of the mapping at `place`, which has some.
    pub(crate) fn first_field(&self, place: Location, field: &NewField<'_>) -> Option<Edit> {
        let text = self.text_without_references(place.source)?;
        let written = slice(text, place.span)?;
        let (inside, is_flow) = match written.strip_prefix('{') {
            Some(rest) => (1 + rest.len() - rest.trim_start().len(), true),
            None => (0, false),
        };
        let first = written.get(inside..)?;
        if first.starts_with(['}', '#', '?', '-']) {
            return None;
        }
        let at = place.span.start + inside as u32;
        let own = field.written(first.starts_with('"'));
        let text = if is_flow {
            format!("{own}, ")
        } else {
            let line = text.get(..at as usize)?.rsplit('\n').next()?;
            // Only the dashes of lists stand before the first field of a mapping in block style.
            if !line.chars().all(|character| matches!(character, ' ' | '-')) {
                return None;
            }
            let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
            format!("{own}{end}{}", " ".repeat(line.len()))
        };
        Some(Edit { location: Location { span: Span::empty(at), ..place }, text })
    }
}

fn slice(text: &str, span: Span) -> Option<&str> {
    text.get(span.start as usize..span.end as usize)
}

/// `value` as a scalar in the style of `written`.
fn scalar_like(written: &str, value: &str) -> Option<String> {
    let is_one_line = |text: &str| !text.contains(['\n', '\r']);
    if !is_one_line(written) || value.chars().any(char::is_control) {
        return None;
    }
    let quoted = || format!("'{}'", value.replace('\'', "''"));
    match written.as_bytes().first()? {
        b'\'' => Some(quoted()),
        b'"' => serde_json::to_string(value).ok(),
        b'|' | b'>' | b'&' | b'*' | b'!' => None,
        _ => Some(if is_plain(value) { value.to_owned() } else { quoted() }),
    }
}

/// Whether a text is surely itself without quotes, in block and in flow style.
fn is_plain(value: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let is_path = value.starts_with('/');
    let is_word = value.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_other =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].iter().any(|it| value.eq_ignore_ascii_case(it));
    let digits = value.trim_end_matches(['h', 'm', 's']);
    let is_duration = digits.len() < value.len() && !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    value.bytes().all(is_inner) && (is_path || (is_word && !is_other) || is_duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_mesh::{Mesh, MeshConfig, program::Program};
    use malha_syntax::Sources;

    /// The text after an edit of the part between `<` and `>`; none if it is left alone.
    fn edited(marked: &str, edit: impl Fn(&Context<'_>, Location) -> Option<Edit>) -> Option<String> {
        let (before, rest) = marked.split_once('<').expect("a start");
        let (part, after) = rest.split_once('>').expect("an end");
        let mut text = format!("{before}{part}{after}");
        let mut sources = Sources::default();
        let (source, _) = sources.decode("a.yaml", text.as_bytes());
        let (mesh, program) = (Mesh::link(Vec::new(), MeshConfig::default()), Program::default());
        let context = Context::new(&mesh, &program).with_sources(Some(&sources));
        let span = Span::new(before.len() as u32, (before.len() + part.len()) as u32);
        let edit = edit(&context, Location { source, span })?;
        text.replace_range(edit.location.span.start as usize..edit.location.span.end as usize, &edit.text);
        Some(text)
    }

    #[test]
    fn a_value_keeps_its_quotes() {
        for (marked, value, expected) in [
            ("a: </b> # c\n", "/d", Some("a: /d # c\n")),
            ("a: <'/b'>\n", "it's", Some("a: 'it''s'\n")),
            ("{\"a\": <\"b\">}\n", "c\\.d", Some("{\"a\": \"c\\\\.d\"}\n")),
            ("a: <b>\n", "c: d", Some("a: 'c: d'\n")),
            ("a: <b>\n", "true", Some("a: 'true'\n")),
            ("a: <b>\n", "1e3", Some("a: '1e3'\n")),
            ("a: <10s>\n", "15s", Some("a: 15s\n")),
            ("a: <|\n  b\n>c: d\n", "e", None),
            ("a: &x <b>\nc: *x\n", "e", None),
        ] {
            let made = edited(marked, |context, place| context.replacement(place, value));
            assert_eq!(made.as_deref(), expected, "{marked}");
        }
    }

    #[test]
    fn a_field_takes_the_place_of_another() {
        let field = NewField::number("value", 50).within("percentage");
        for (marked, expected) in [
            ("- <percent: 50> # c\n", Some("- percentage: {value: 50} # c\n")),
            ("{<\"percent\": 50>, \"a\": 1}\n", Some("{\"percentage\": {\"value\": 50}, \"a\": 1}\n")),
            ("<percent: # c\n  50>\n", None),
        ] {
            let made = edited(marked, |context, place| context.field_replacement(place, &field));
            assert_eq!(made.as_deref(), expected, "{marked}");
        }
    }

    #[test]
    fn a_field_comes_first() {
        let field = NewField::number("attempts", 2).within("retries");
        for (marked, expected) in [
            ("a:\n  - <b: 1\n    c: 2>\n", Some("a:\n  - retries: {attempts: 2}\n    b: 1\n    c: 2\n")),
            ("a:\r\n- <b: 1>\r\n", Some("a:\r\n- retries: {attempts: 2}\r\n  b: 1\r\n")),
            ("a: [<{ b: 1 }>]\n", Some("a: [{ retries: {attempts: 2}, b: 1 }]\n")),
            ("{\"a\": [<{\"b\": 1}>]}\n", Some("{\"a\": [{\"retries\": {\"attempts\": 2}, \"b\": 1}]}\n")),
            ("a: <{}>\n", None),
            ("- ? <b: 1>\n", None),
        ] {
            let made = edited(marked, |context, place| context.first_field(place, &field));
            assert_eq!(made.as_deref(), expected, "{marked}");
        }
    }
}
