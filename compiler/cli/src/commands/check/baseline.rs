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
    collections::{BTreeMap, HashMap, HashSet},
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
    /// How many there were of what it knows, and are not now.
    left: BTreeMap<Fingerprint, usize>,
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
        let looked_at = baseline.looked_at(meshes);
        baseline.entries.retain(|fingerprint, _| !looked_at.contains(fingerprint));
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

    /// The entries that are about what was looked at, and so would be found again. A file that is gone was.
    fn looked_at(&self, meshes: &Meshes) -> HashSet<Fingerprint> {
        let named: HashSet<String> = meshes.named().map(|file| self.name(file)).collect();
        let (mut files, mut codes) = (HashMap::new(), HashMap::new());
        let mut is_about = |entry: &Entry| {
            let (file, code) = (entry.file.clone(), entry.code.clone());
            let is_seen = |file: &String| named.contains(file) || !self.directory.join(file).exists();
            *files.entry(file).or_insert_with_key(is_seen)
                && *codes.entry(code).or_insert_with_key(|code| meshes.look_for(code))
        };
        self.entries.iter().filter(|(_, entry)| is_about(entry)).map(|(fingerprint, _)| *fingerprint).collect()
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
        known.left = left;
        known
    }

    /// What there is to say of what it knows, a line for each.
    pub(super) fn notes(&self, known: &Known, meshes: &Meshes) -> Vec<String> {
        let mut notes = Vec::new();
        if !known.findings.is_empty() {
            notes.push(format!("{} left out: the baseline knows them", count(known.findings.len(), "finding")));
        }
        let gone: usize = self.looked_at(meshes).iter().filter_map(|fingerprint| known.left.get(fingerprint)).sum();
        if gone > 0 {
            let gone = count(gone, "finding");
            notes.push(format!("{gone} of the baseline no longer found: `--write-baseline` forgets them"));
        }
        notes
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
}
