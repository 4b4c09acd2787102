//! The files of a tree, and writing them: none if one would replace another text.

use super::choice::{Clean, What};
use crate::{
    atomic,
    config::{self, Config},
    failure::Failure,
    values::json,
};
use malha_model::Kind;
use malha_syntax::{SourceId, read};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// How many files a failure names.
const SHOWN: usize = 5;

/// What is to be written, by path below the tree's directory.
pub(super) struct Tree {
    files: BTreeMap<PathBuf, Contents>,
    /// The file with the settings of the mesh, as `malha.toml` names it.
    settings: Option<String>,
}

struct Contents {
    text: String,
    /// For its owner alone.
    is_secret: bool,
}

/// What became of the files.
#[derive(Default)]
pub(super) struct Written {
    pub(super) fresh: usize,
    /// There already, with the same text.
    pub(super) unchanged: usize,
    /// What is left to do, for people.
    pub(super) notes: Vec<String>,
}

impl Tree {
    /// # Errors
    /// An object has a name that Kubernetes would not take.
    pub(super) fn of(objects: &[Clean]) -> Result<Tree, Failure> {
        let mut files = BTreeMap::new();
        let mut settings = None;
        for object in objects {
            let (text, extension) = text_of(&object.value)?;
            let path = path_of(object, extension)?;
            if object.what == What::MeshConfig {
                settings = Some(path.clone());
            }
            let is_secret = object.what == What::Object(Kind::Secret);
            files.insert(path, Contents { text, is_secret });
        }
        let parts = |path: &PathBuf| path.iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>();
        let settings = settings.map(|path| parts(&path).join("/"));
        if let Some(settings) = &settings {
            // Names of Kubernetes hold nothing that TOML would not take as it is.
            let text = format!("[mesh]\nconfig = \"{settings}\"\n");
            files.insert(PathBuf::from(config::FILE_NAME), Contents { text, is_secret: false });
        }
        Ok(Tree { files, settings })
    }

    /// Writes what is not there yet.
    ///
    /// # Errors
    /// Files are there that say something else, and may not be replaced: then none is written. Or one cannot be written.
    pub(super) fn write(&self, directory: &Path, replace: bool) -> Result<Written, Failure> {
        let (mut others, mut fresh, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut written = Written::default();
        for (path, contents) in &self.files {
            let whole = directory.join(path);
            if let Some(other) = in_other_form(&whole).filter(|other| other.exists()) {
                // Both would be one object twice.
                others.extend(in_other_form(path).map(|path| path.display().to_string()));
                gone.push(other);
            }
            match fs::read(&whole) {
                Ok(there) if there == contents.text.as_bytes() => {
                    written.unchanged += 1;
                    if contents.is_secret {
                        atomic::make_private(&whole)?;
                    }
                }
                // The settings of a mesh are its owner's.
                Ok(_) if path.as_os_str() == config::FILE_NAME => {
                    written.unchanged += 1;
                    written.notes.extend(self.settings_note(&whole));
                }
                Ok(_) => {
                    others.push(path.display().to_string());
                    fresh.push((whole, contents));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => fresh.push((whole, contents)),
                Err(error) => return Err(Failure::path(&whole, &error)),
            }
        }
        if !others.is_empty() && !replace {
            let more = others.len().saturating_sub(SHOWN);
            let shown = others.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            return Err(Failure::new(format!("{} holds other text for {shown}{more}", directory.display()))
                .help("--force replaces these files, or name another directory; nothing is written"));
        }
        for (path, contents) in fresh {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|error| Failure::path(parent, &error))?;
            }
            let write = if contents.is_secret { atomic::write_privately } else { atomic::write_atomically };
            write(&path, contents.text.as_bytes())?;
            written.fresh += 1;
        }
        for path in gone {
            fs::remove_file(&path).map_err(|error| Failure::path(&path, &error))?;
        }
        Ok(written)
    }

    /// What a `malha.toml` that was there lacks for the imported settings to be in force.
    fn settings_note(&self, file: &Path) -> Option<String> {
        let settings = self.settings.as_deref()?;
        let is_named =
            Config::load(file).is_ok_and(|config| config.mesh.config.as_deref() == Some(Path::new(settings)));
        let shown = file.display();
        let note = || format!("{shown} does not name the mesh's settings: say `config = \"{settings}\"` in its [mesh]");
        (!is_named).then(note)
    }
}

/// The file that would hold the same object as JSON, or as YAML.
fn in_other_form(path: &Path) -> Option<PathBuf> {
    match path.extension()?.to_str()? {
        "yaml" => Some(path.with_extension("json")),
        "json" => Some(path.with_extension("yaml")),
        _ => None,
    }
}

/// `NAMESPACE/KIND-NAME.yaml`.
fn path_of(object: &Clean, extension: &str) -> Result<PathBuf, Failure> {
    let kind = match object.what {
        What::Object(kind) => kind.name().to_lowercase(),
        What::MeshConfig => "configmap".to_owned(),
    };
    for name in [&object.namespace, &object.name] {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        if !name.bytes().all(is_plain) || name.starts_with('.') {
            return Err(Failure::new(format!("{kind} \"{}\": this is no name of Kubernetes", name.escape_debug())));
        }
    }
    if object.name.is_empty() {
        return Err(Failure::new(format!("a {kind} has no name")).help("was it printed by kubectl?"));
    }
    Ok(if object.what == What::Object(Kind::Namespace) {
        Path::new(&object.name).join(format!("namespace.{extension}"))
    } else {
        Path::new(&object.namespace).join(format!("{kind}-{}.{extension}", object.name))
    })
}

/// The text of a file and its extension: YAML, or JSON should no YAML say the same.
fn text_of(value: &Value) -> Result<(String, &'static str), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("an object cannot be written: {error}"));
    let yaml = serde_yaml::to_string(value).map_err(|error| failed(&error))?;
    if says(&yaml, value) {
        return Ok((yaml, "yaml"));
    }
    let yaml = with_quotes(value, &yaml).map_err(|error| failed(&error))?;
    if says(&yaml, value) {
        return Ok((yaml, "yaml"));
    }
    let json = serde_json::to_string_pretty(value).map_err(|error| failed(&error))?;
    Ok((json + "\n", "json"))
}

/// Whether Kubernetes reads this value in a text.
fn says(yaml: &str, value: &Value) -> bool {
    let reading = read(SourceId(0), yaml);
    let root = match reading.documents.as_slice() {
        [only] => only.root(),
        _ => None,
    };
    reading.findings.is_empty() && root.map(json).as_ref() == Some(value)
}

/// The YAML of a value with quotes around each text that Kubernetes would take for something else, as `on`; `plain` is
/// without.
fn with_quotes(value: &Value, plain: &str) -> Result<String, serde_yaml::Error> {
    // What no text holds stands for those texts until all is written: of so many marks one is missing from the text,
    // since each would take a place of its own in it.
    let mark = (0..=plain.len()).map(|number| format!("quoted{number}t")).find(|mark| !plain.contains(mark.as_str()));
    let mut quotes = Quotes { mark: mark.unwrap_or_default(), texts: Vec::new() };
    let marked = quotes.take(value);
    let mut yaml = serde_yaml::to_string(&marked)?;
    for (number, text) in quotes.texts.iter().enumerate() {
        // In quotes YAML writes texts as JSON does.
        yaml = yaml.replace(&quotes.mark_of(number), &Value::from(text.as_str()).to_string());
    }
    Ok(yaml)
}

/// Texts that need quotes, and what stands for them.
struct Quotes {
    mark: String,
    texts: Vec<String>,
}

impl Quotes {
    fn mark_of(&self, number: usize) -> String {
        format!("{}{number}.", self.mark)
    }

    /// A value with marks in their place, as keys too.
    fn take(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.marked(text)),
            Value::Array(items) => items.iter().map(|item| self.take(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, field)| (self.marked(name), self.take(field))).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }

    fn marked(&mut self, text: &str) -> String {
        let value = Value::from(text);
        if serde_yaml::to_string(&value).is_ok_and(|yaml| says(&yaml, &value)) {
            return text.to_owned();
        }
        self.texts.push(text.to_owned());
        self.mark_of(self.texts.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_that_yaml_reads_otherwise_are_quoted() {
        let texts =
            ["on", "off", "yes", "No", "y", "1.0", "1e3", "0x1F", "012", "1_000", "~", "null", "true", "12:30:45"];
        for text in texts {
            let value = json!({"metadata": {"labels": {text: text, "a": "quoted0t0.", "list": [text, {"x": "a b"}]}}});
            let (written, extension) = text_of(&value).unwrap();
            assert_eq!(extension, "yaml", "{text}: {written}");
            assert!(says(&written, &value), "{text}: {written}");
            assert_eq!(written.matches(text).count(), 3, "{written}");
        }
        let plain = json!({"a": "b", "text": "one\ntwo\n", "number": 7});
        assert_eq!(text_of(&plain).unwrap().0, serde_yaml::to_string(&plain).unwrap(), "others are as they were");
    }
}
