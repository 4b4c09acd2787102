//! The files of a mesh: read once, and again only when their bytes change.

use super::route_tests::{self, TestDocuments};
use crate::{failure::Failure, inputs::InputFile, watch::Change};
use malha_model::{OtherObject, PassedOver, Resource, read_resources};
use malha_syntax::{Document, Finding, Source, SourceId, Sources, Suppression, read_each};
use rayon::prelude::*;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use xxhash_rust::xxh3::xxh3_64;

/// What one file holds.
#[derive(Clone, Debug)]
pub struct ReadFile {
    /// Its text.
    pub source: SourceId,
    /// Documents, those that hold nothing not counted.
    pub documents: usize,
    /// Objects of the kinds that Malha reads.
    pub resources: Vec<Arc<Resource>>,
    /// What was passed over.
    pub others: Vec<OtherObject>,
    /// What reading found.
    pub findings: Vec<Finding>,
    /// Comments that suppress findings.
    pub suppressions: Vec<Suppression>,
    /// Route tests, which are no part of the mesh.
    pub tests: TestDocuments,
    hash: u64,
}

/// The files of a mesh, by path relative to its root: the order of its sources, on whatever machine.
#[derive(Debug, Default)]
pub struct Files {
    sources: Sources,
    read: BTreeMap<String, ReadFile>,
    stdin: Option<Vec<u8>>,
    /// Bytes that are read in the place of those on the disk, by path.
    instead: HashMap<PathBuf, Vec<u8>>,
}

/// A file whose bytes are new.
struct Fresh<'f> {
    file: &'f InputFile,
    hash: u64,
    source: Source,
    findings: Vec<Finding>,
}

impl Files {
    /// Brings everything up to date with `files`, of which those in `change` may have changed. Returns how many were
    /// read anew.
    ///
    /// # Errors
    /// A file cannot be read; then nothing is changed.
    pub fn refresh(&mut self, files: &[InputFile], change: &Change) -> Result<usize, Failure> {
        self.refresh_telling(files, change, &|| {})
    }

    /// As [`Files::refresh`]; calls `is_read` after each file that is read anew.
    pub(super) fn refresh_telling(
        &mut self,
        files: &[InputFile],
        change: &Change,
        is_read: &(dyn Fn() + Sync),
    ) -> Result<usize, Failure> {
        if self.stdin.is_none() && files.iter().any(|file| file.path.is_none()) {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| Failure::new(format!("the standard input cannot be read: {error}")))?;
            self.stdin = Some(bytes);
        }
        let may_be_stale = |file: &&InputFile| match (&file.path, change) {
            _ if !self.read.contains_key(&file.relative) => true,
            (Some(path), Change::Files(changed)) => changed.contains(path),
            (path, Change::Anything) => path.is_some(),
            (None, Change::Files(_)) => false,
        };
        let stale: Vec<_> = files.iter().filter(may_be_stale).collect();
        let fresh: Vec<_> = stale.into_par_iter().map(|file| self.load(file)).collect::<Result<_, _>>()?;
        let fresh: Vec<Fresh<'_>> = fresh.into_iter().flatten().collect();

        self.forget_all_but(files);
        let placed: Vec<_> = fresh
            .into_iter()
            .map(|fresh| {
                let source = Arc::new(fresh.source);
                let id = match self.read.get(&fresh.file.relative) {
                    Some(known) => known.source,
                    None => self.sources.add(Arc::clone(&source)),
                };
                self.sources.replace(id, Arc::clone(&source));
                (fresh.file, fresh.hash, id, source, fresh.findings)
            })
            .collect();
        let read: Vec<_> = placed
            .into_par_iter()
            .map(|(file, hash, id, source, findings)| {
                let read = read_file(id, &source, hash, findings);
                is_read();
                (file.relative.clone(), read)
            })
            .collect();
        let count = read.len();
        self.read.extend(read);
        self.put_sources_in_order();
        Ok(count)
    }

    /// Has a file read as if it held these bytes, from the next refresh on.
    pub(super) fn read_instead(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.instead.insert(path, bytes);
    }

    /// Has a file read from the disk again, from the next refresh on.
    #[cfg(feature = "lsp")]
    pub(super) fn read_from_disk(&mut self, path: &Path) {
        self.instead.remove(path);
    }

    /// The sources that positions lie in.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What a file holds.
    pub fn get(&self, file: &InputFile) -> Option<&ReadFile> {
        self.read.get(&file.relative)
    }

    /// What every file holds, in the order of the sources.
    pub fn iter(&self) -> impl Iterator<Item = &ReadFile> {
        self.read.values()
    }

    /// The objects of every file, which has none after that.
    pub(super) fn take_resources(&mut self) -> Vec<Vec<Arc<Resource>>> {
        self.read.values_mut().map(|file| std::mem::take(&mut file.resources)).collect()
    }

    fn load<'f>(&self, file: &'f InputFile) -> Result<Option<Fresh<'f>>, Failure> {
        let bytes = match (&file.path, &self.stdin) {
            (Some(path), _) => match self.instead.get(path) {
                Some(bytes) => Cow::from(bytes),
                None => Cow::from(fs::read(path).map_err(|error| Failure::path(Path::new(&file.shown), &error))?),
            },
            (None, Some(bytes)) => Cow::from(bytes),
            (None, None) => Cow::default(),
        };
        let hash = xxh3_64(&bytes);
        if self.read.get(&file.relative).is_some_and(|known| known.hash == hash) {
            return Ok(None);
        }
        let (source, findings) = Source::decode(file.shown.clone(), bytes);
        Ok(Some(Fresh { file, hash, source, findings }))
    }

    fn forget_all_but(&mut self, files: &[InputFile]) {
        self.read.retain(|relative, _| files.binary_search_by(|file| file.relative.cmp(relative)).is_ok());
    }

    /// Numbers the sources in the order of their files, as if all had been read at once: where an object is written
    /// twice, that order decides.
    fn put_sources_in_order(&mut self) {
        let in_order = self.read.values().is_sorted_by_key(|file| file.source);
        if in_order && self.read.len() == self.sources.len() {
            return;
        }
        let mut sources = Sources::default();
        for file in self.read.values_mut() {
            let source = self.sources.get(file.source).map(Arc::clone).unwrap_or_default();
            file.move_to(sources.add(source));
        }
        self.sources = sources;
    }
}

impl ReadFile {
    /// A hash of its bytes.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    fn move_to(&mut self, id: SourceId) {
        if self.source == id {
            return;
        }
        self.source = id;
        for resource in &mut self.resources {
            Arc::make_mut(resource).source = id;
        }
        for other in &mut self.others {
            other.location.source = id;
        }
        for document in &mut self.tests.documents {
            document.source = id;
        }
        for finding in self.findings.iter_mut().chain(&mut self.tests.findings) {
            finding.location.source = id;
            finding.related.iter_mut().for_each(|related| related.location.source = id);
            let edits = finding.fix.iter_mut().flat_map(|fix| &mut fix.edits);
            edits.for_each(|edit| edit.location.source = id);
        }
    }
}

fn read_file(id: SourceId, source: &Source, hash: u64, mut findings: Vec<Finding>) -> ReadFile {
    for finding in &mut findings {
        finding.location.source = id;
    }
    let named = route_tests::is_named_as_tests(&source.name);
    // Each document is dropped as soon as its objects are read: a large file's take much memory.
    let reading = read_each(id, &source.text, |document| {
        if route_tests::is_test(&document, named) {
            return Err(document);
        }
        Ok((document.refused, read_resources(&document)))
    });
    findings.extend(reading.findings);
    let mut suppressions = reading.suppressions;
    let (parts, tests): (Vec<_>, Vec<_>) = reading.documents.into_iter().partition(Result::is_ok);
    let tests: Vec<Document> = tests.into_iter().filter_map(Result::err).collect();
    let documents = parts.len();
    let tests = route_tests::gather(tests, documents == 0, &mut findings, &mut suppressions);
    let (mut resources, mut others) = (Vec::new(), Vec::new());
    for (refused, part) in parts.into_iter().flatten() {
        resources.extend(part.resources.into_iter().map(Arc::new));
        findings.extend(part.findings);
        // A text that is broken has its findings; that no kind is left of it says nothing.
        others.extend(part.others.into_iter().filter(|other| !refused || other.reason != PassedOver::NoKind));
    }
    ReadFile { source: id, documents, resources, others, findings, suppressions, tests, hash }
}

/// Why something was passed over, in words; none for objects of other kinds, which are no surprise.
pub(super) fn reason(passed_over: PassedOver) -> Option<&'static str> {
    match passed_over {
        PassedOver::OtherKind => None,
        PassedOver::Template => Some("a Helm or Jinja template; render it first"),
        PassedOver::Kustomization => Some("a kustomization; check what `kustomize build` prints"),
        PassedOver::KustomizePatch => Some("a kustomize patch; check what `kustomize build` prints"),
        PassedOver::NoKind => Some("no `apiVersion` and `kind`, so no Kubernetes object"),
    }
}
