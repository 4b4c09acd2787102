//! The meshes that open documents are of, with the open texts in the place of the files'.

use super::documents::Documents;
use crate::{
    failure::Failure,
    house::House,
    inputs::{InputFile, Inputs, MeshInput},
    selection::Selection,
    watch::Change,
    workspace::{ReadFile, Workspace, mesh_config},
};
use malha_mesh::{Mesh, MeshConfig, program::Program};
use malha_syntax::{Finding, Location, Source};
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The meshes that have an open document each.
#[derive(Default)]
pub(super) struct Meshes {
    /// What the editor works in: inputs, as if a check was run there.
    folders: Vec<PathBuf>,
    checked: Vec<Checked>,
    /// Paths whose text may be another than was read.
    stale: BTreeSet<PathBuf>,
    /// Whether files may have come or gone, or settings changed.
    is_moved: bool,
}

/// A mesh with what was found in it.
pub(super) struct Checked {
    workspace: Workspace,
    selection: Selection,
    house: House,
    settings: MeshConfig,
    pub(super) mesh: Mesh,
    pub(super) program: Program,
    /// In order of file and position, in every file of the mesh.
    pub(super) findings: Vec<Finding>,
    /// Files whose text comes from the editor.
    overlaid: BTreeSet<PathBuf>,
}

impl Meshes {
    pub(super) fn new(folders: Vec<PathBuf>) -> Meshes {
        Meshes { folders, ..Meshes::default() }
    }

    /// Other folders than before.
    pub(super) fn move_to(&mut self, folders: Vec<PathBuf>) {
        self.folders = folders;
        self.is_moved = true;
    }

    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// A text that is open has changed.
    pub(super) fn edited(&mut self, path: PathBuf) {
        self.stale.insert(path);
    }

    /// A file may have come, gone, or changed; or it was opened or closed.
    pub(super) fn moved(&mut self, path: PathBuf) {
        self.stale.insert(path);
        self.is_moved = true;
    }

    /// Whether an update has something to do.
    pub(super) fn is_stale(&self) -> bool {
        self.is_moved || !self.stale.is_empty()
    }

    /// Brings everything up to date with the files and what lies over them.
    ///
    /// # Errors
    /// Something cannot be read, or a `malha.toml` is not understood: settings and lists of files are as before then.
    pub(super) fn update(&mut self, documents: &Documents) -> Result<(), Failure> {
        let stale = std::mem::take(&mut self.stale);
        let looked = if std::mem::take(&mut self.is_moved) { self.look_again(documents, &stale) } else { Ok(()) };
        // Where that fails the meshes are as they were found before, and what is typed in them still counts.
        let followed: Vec<_> = self.checked.iter_mut().map(|checked| checked.keep_up(documents, &stale)).collect();
        let updated = looked.and(followed.into_iter().collect());
        if updated.is_err() {
            // Whatever it was that could not be read is tried again with the next message.
            self.is_moved = true;
            self.stale = stale;
        }
        updated
    }

    /// Finds the meshes anew, and keeps those that are open.
    fn look_again(&mut self, documents: &Documents, stale: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        // Whether a file below a folder counts is for the folder's walk to say, if it is there to be walked over.
        let is_below = |path: &Path| self.folders.iter().any(|folder| path.starts_with(folder));
        let named = documents.iter().map(|(path, _)| path).filter(|path| !is_below(path) || !path.exists());
        let inputs = Inputs::of_editor(&self.folders, named.cloned())?;
        let is_open = |input: &MeshInput| {
            let mut paths = input.files.iter().filter_map(|file| file.path.as_ref());
            paths.any(|path| documents.get(path).is_some())
        };
        let chosen = if documents.iter().next().is_some() { inputs.meshes()? } else { Vec::new() };
        let mut before: HashMap<PathBuf, Checked> = HashMap::new();
        for checked in std::mem::take(&mut self.checked) {
            before.insert(checked.workspace.input().root.clone(), checked);
        }
        let mut failed = None;
        for input in chosen.into_iter().filter(is_open) {
            match before.remove(&input.root) {
                Some(mut checked) => {
                    if let Err(failure) = checked.follow(input, documents, stale) {
                        failed.get_or_insert(failure);
                    }
                    self.checked.push(checked);
                }
                None => match Checked::open(input, documents) {
                    Ok(checked) => self.checked.push(checked),
                    Err(failure) => drop(failed.get_or_insert(failure)),
                },
            }
        }
        failed.map_or(Ok(()), Err)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Checked> {
        self.checked.iter()
    }

    /// The mesh that a file is of, and what it holds.
    pub(super) fn find(&self, path: &Path) -> Option<(&Checked, &ReadFile)> {
        self.checked.iter().find_map(|checked| Some((checked, checked.file(path)?)))
    }
}

impl Checked {
    fn open(input: MeshInput, documents: &Documents) -> Result<Checked, Failure> {
        let selection = Selection::new(&input.config.lint, &[], &[])?;
        let house = House::load(&input)?;
        let settings = mesh_config(&input)?;
        let mut workspace = Workspace::empty(input.clone());
        let mut overlaid = BTreeSet::new();
        overlay(&mut workspace, &input, documents, &mut overlaid);
        workspace.update(input, &Change::Anything)?;
        let (mesh, program, findings) = examine(&mut workspace, &selection, &house, settings.clone());
        Ok(Checked { workspace, selection, house, settings, mesh, program, findings, overlaid })
    }

    /// Follows what is typed in the files that the mesh is known to have.
    fn keep_up(&mut self, documents: &Documents, stale: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        let input = self.workspace.input().clone();
        let own = input.files.iter().filter_map(|file| file.path.as_ref()).filter(|path| stale.contains(*path));
        let own = own.cloned().collect();
        self.follow(input, documents, &own)
    }

    /// Checks again, if something is not as it was.
    fn follow(&mut self, input: MeshInput, documents: &Documents, stale: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        let is_other = input != *self.workspace.input();
        let is_ours = |path: &PathBuf| input.files.iter().any(|file| file.path.as_ref() == Some(path));
        let settings_are_stale = stale.iter().any(|path| !is_ours(path));
        if !is_other && !settings_are_stale && !stale.iter().any(is_ours) {
            return Ok(());
        }
        // All that may fail comes before the files count as read: what is read once is not looked at again.
        let settings = if is_other || settings_are_stale {
            let selection = Selection::new(&input.config.lint, &[], &[])?;
            Some((selection, House::load(&input)?, mesh_config(&input)?))
        } else {
            None
        };
        let mut changed = overlay(&mut self.workspace, &input, documents, &mut self.overlaid);
        changed.extend(stale.iter().cloned());
        let read = self.workspace.update(input, &Change::Files(changed))?;
        let mut is_examined_anew = is_other;
        if let Some((selection, house, settings)) = settings {
            is_examined_anew |= !house.is_same(&self.house) || settings != self.settings;
            (self.selection, self.house, self.settings) = (selection, house, settings);
        }
        if read > 0 || is_examined_anew {
            let Checked { workspace, selection, house, settings, .. } = self;
            (self.mesh, self.program, self.findings) = examine(workspace, selection, house, settings.clone());
        }
        Ok(())
    }

    /// What a file holds, if it is of this mesh.
    pub(super) fn file(&self, path: &Path) -> Option<&ReadFile> {
        let file = self.workspace.input().files.iter().find(|file| file.path.as_deref() == Some(path))?;
        self.workspace.files().get(file)
    }

    /// Its files that are on a disk, each with what it holds.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, &InputFile, &ReadFile)> {
        self.workspace.read_files().filter_map(|(file, read)| Some((file.path.as_ref()?, file, read)))
    }

    /// The source of a position.
    pub(super) fn source(&self, location: Location) -> Option<&Arc<Source>> {
        self.workspace.files().sources().get(location.source)
    }

    /// The path of a position.
    pub(super) fn path(&self, location: Location) -> Option<&PathBuf> {
        self.files().find(|(_, _, read)| read.source == location.source).map(|(path, ..)| path)
    }

    /// Tells the file of a position, and its line.
    pub(super) fn places(&self) -> impl Fn(Location) -> (String, u32) {
        self.workspace.places()
    }
}

/// Lays the open texts over the files of a mesh; tells which files may be others now.
fn overlay(
    workspace: &mut Workspace,
    input: &MeshInput,
    documents: &Documents,
    overlaid: &mut BTreeSet<PathBuf>,
) -> BTreeSet<PathBuf> {
    let mut changed = BTreeSet::new();
    let paths = input.files.iter().filter_map(|file| file.path.as_ref());
    let open: BTreeSet<PathBuf> = paths.filter(|path| documents.get(path).is_some()).cloned().collect();
    for path in overlaid.difference(&open) {
        workspace.read_from_disk(path);
        changed.insert(path.clone());
    }
    for path in &open {
        if let Some(document) = documents.get(path) {
            workspace.read_instead(path.clone(), document.text.clone().into_bytes());
            changed.insert(path.clone());
        }
    }
    *overlaid = open;
    changed
}

/// Links, lowers and lints what was read.
fn examine(
    workspace: &mut Workspace,
    selection: &Selection,
    house: &House,
    settings: MeshConfig,
) -> (Mesh, Program, Vec<Finding>) {
    let mesh = workspace.link_with(settings);
    let proxies = workspace.proxies(&mesh);
    let (program, _) = workspace.lower(&mesh, &proxies);
    let mut findings = workspace.findings(&mesh, &program, selection);
    if !house.is_empty() {
        findings.extend(house.check(workspace));
    }
    let reported = workspace.report(findings, selection, &[]);
    // An editor shows every file: one that is not open may be what a change broke.
    (mesh, program, reported.findings.into_iter().chain(reported.elsewhere).collect())
}
