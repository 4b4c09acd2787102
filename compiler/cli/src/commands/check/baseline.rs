//! The baseline: what was found before, and is not to be told again.
//!
//! A finding is known by its rule, its file, its object, its field and the lines that it is about, and by how many there
//! are of it; so it stays known when the file is edited elsewhere, and is told again once its own lines change.

use super::meshes::{Meshes, Placed, real};
use crate::{
    atomic::write_atomically,
    failure::Failure,
    inputs::{InputFile, STDIN_NAME, relative},
    report::{Fingerprint, count},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    env, fs,
    path::{Path, PathBuf},
};

const VERSION: u32 = 1;

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    findings: Vec<Entry>,
}

/// Findings that are alike.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Relative to the baseline.
    file: String,
    code: String,
    /// How many there are.
    count: usize,
    /// What the first one said, for people.
    message: String,
    fingerprint: String,
}

/// A baseline.
pub(super) struct Baseline {
    path: PathBuf,
    /// What the files of its entries are relative to.
    directory: PathBuf,
    entries: BTreeMap<Fingerprint, Entry>,
}

/// What a baseline knows of a report.
#[derive(Default)]
pub(super) struct Known {
    /// By mesh and index.
    findings: HashSet<(usize, usize)>,
    /// How many findings there were, and are no more.
    gone: usize,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(super) fn load(path: &Path) -> Result<Baseline, Failure> {
        let help = "`--write-baseline` writes it";
        let text = fs::read_to_string(path).map_err(|error| Failure::path(path, &error).help(help))?;
        let failed = |what: &dyn std::fmt::Display| {
            Failure::new(format!("{}: this is no baseline: {what}", path.display())).help(help)
        };
        let document: Document = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        if document.version != VERSION {
            return Err(failed(&format!("it is of version {}, not {VERSION}", document.version)));
        }
        let mut baseline = Baseline::empty(path)?;
        for entry in document.findings {
            let fingerprint = Fingerprint::parse(&entry.fingerprint);
            let fingerprint = fingerprint.ok_or_else(|| failed(&format!("`{}`", entry.fingerprint)))?;
            baseline.entries.insert(fingerprint, entry);
        }
        Ok(baseline)
    }

    /// The baseline that knows all that is to be told. What an older one in its place knows of files and rules that were
    /// not looked at stays.
    ///
    /// # Errors
    /// There is no such directory, or what is in its place is no baseline.
    pub(super) fn of(path: &Path, meshes: &Meshes) -> Result<Baseline, Failure> {
        let mut baseline = if path.exists() { Baseline::load(path)? } else { Baseline::empty(path)? };
        let seen = baseline.seen(meshes);
        let mut entries = std::mem::take(&mut baseline.entries);
        entries.retain(|_, entry| !baseline.is_about(entry, &seen, meshes));
        baseline.entries = entries;
        for placed in meshes.placed() {
            let file = baseline.name(placed.file);
            let fingerprint = Fingerprint::new(placed.finding, placed.sources, &file);
            let new = || Entry {
                file,
                code: placed.finding.rule.code.to_owned(),
                count: 0,
                message: placed.finding.message.clone(),
                fingerprint: fingerprint.to_string(),
            };
            baseline.entries.entry(fingerprint).or_insert_with(new).count += 1;
        }
        Ok(baseline)
    }

    fn empty(path: &Path) -> Result<Baseline, Failure> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = env::current_dir().map(|current| current.join(parent)).and_then(fs::canonicalize);
        let directory = directory.map_err(|error| Failure::path(parent, &error))?;
        Ok(Baseline { path: path.to_owned(), directory, entries: BTreeMap::new() })
    }

    /// Writes it, in an order that changes little when findings come and go.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self) -> Result<(), Failure> {
        let mut findings: Vec<Entry> = self.entries.values().cloned().collect();
        let key = |entry: &Entry| (entry.file.clone(), entry.code.clone(), entry.fingerprint.clone());
        findings.sort_by_cached_key(key);
        let document = Document { version: VERSION, findings };
        let text = serde_json::to_string_pretty(&document);
        let text = text.map_err(|error| Failure::new(format!("the baseline cannot be written: {error}")))?;
        write_atomically(&self.path, (text + "\n").as_bytes())
    }

    /// How many findings it knows.
    pub(super) fn len(&self) -> usize {
        self.entries.values().map(|entry| entry.count).sum()
    }

    /// The files that were looked at, as entries call them.
    fn seen(&self, meshes: &Meshes) -> HashSet<String> {
        meshes.named().map(|file| self.name(file)).collect()
    }

    /// Whether an entry is about what was looked at, and so would be found again. A file that is gone was.
    fn is_about(&self, entry: &Entry, seen: &HashSet<String>, meshes: &Meshes) -> bool {
        let is_seen = seen.contains(&entry.file) || !self.directory.join(&entry.file).exists();
        is_seen && meshes.look_for(&entry.code)
    }

    /// Which findings of a report it knows. Of several that are alike, the first ones are.
    pub(super) fn known(&self, meshes: &Meshes) -> Known {
        let mut left: BTreeMap<Fingerprint, usize> =
            self.entries.iter().map(|(fingerprint, entry)| (*fingerprint, entry.count)).collect();
        let mut known = Known::default();
        for placed in meshes.placed() {
            let fingerprint = Fingerprint::new(placed.finding, placed.sources, &self.name(placed.file));
            if let Some(count) = left.get_mut(&fingerprint).filter(|count| **count > 0) {
                *count -= 1;
                known.findings.insert((placed.mesh, placed.index));
            }
        }
        let seen = self.seen(meshes);
        let is_gone = |entry: &Entry| self.is_about(entry, &seen, meshes);
        let gone = self.entries.iter().filter(|(_, entry)| is_gone(entry));
        known.gone = gone.filter_map(|(fingerprint, _)| left.get(fingerprint)).sum();
        known
    }

    /// What entries call a file.
    fn name(&self, file: &InputFile) -> String {
        match &file.path {
            None => STDIN_NAME.to_owned(),
            Some(path) => {
                let path = real(path);
                relative(&path, &self.directory).unwrap_or_else(|| path.to_string_lossy().into_owned())
            }
        }
    }
}

impl Known {
    /// Whether the baseline knows a finding.
    pub(super) fn holds(&self, placed: &Placed<'_>) -> bool {
        self.findings.contains(&(placed.mesh, placed.index))
    }

    /// What there is to say of it, a line for each.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.findings.is_empty() {
            notes.push(format!("{} left out: the baseline knows them", count(self.findings.len(), "finding")));
        }
        if self.gone > 0 {
            let gone = count(self.gone, "finding");
            notes.push(format!("{gone} of the baseline no longer found: `--write-baseline` forgets them"));
        }
        notes
    }
}
