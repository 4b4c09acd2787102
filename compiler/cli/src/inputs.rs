//! What the command line names: files, directories, stdin; and the meshes that they choose.

use crate::{
    config::{self, Config},
    failure::Failure,
    report::Skipped,
    unrendered,
};
use ignore::{DirEntry, WalkBuilder};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    env, fs,
    path::{Component, Path, PathBuf},
};

/// What people call the standard input.
pub const STDIN_NAME: &str = "<stdin>";

/// The arguments of a command, found on the disk.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Where relative paths begin.
    working_directory: PathBuf,
    items: Vec<Input>,
    /// Files that are not read, wherever they lie.
    passed_over: BTreeSet<PathBuf>,
    /// Whether naming a file counts for no more than reading the directory that it is in.
    force_exclude: bool,
}

#[derive(Clone, Debug)]
enum Input {
    Stdin,
    File(PathBuf),
    Directory(PathBuf),
}

/// One mesh that the inputs choose, with everything that it reads.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshInput {
    /// The directory that paths in tables are relative to.
    pub root: PathBuf,
    /// Its `malha.toml`; none: the inputs are a mesh of their own.
    pub config_path: Option<PathBuf>,
    /// What that says.
    pub config: Config,
    /// Everything that links together, in order of the relative path.
    pub files: Vec<InputFile>,
    /// What the inputs name, and is not read.
    pub skipped: Vec<Skipped>,
}

/// One file of a mesh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputFile {
    /// Where it is; none: the standard input.
    pub path: Option<PathBuf>,
    /// What people call it: relative to where they stand, if that is shorter.
    pub shown: String,
    /// Relative to the root of the mesh, with `/`.
    pub relative: String,
    /// Whether the inputs name it: findings are limited to such files.
    pub named: bool,
}

/// Files by the mesh they belong to.
#[derive(Default)]
struct Group {
    named: BTreeSet<PathBuf>,
    /// Those of them that are named one by one.
    asked: BTreeSet<PathBuf>,
    stdin: bool,
    /// Whether `named` already holds everything below the root.
    complete: bool,
}

impl Inputs {
    /// Looks up every argument; none at all mean the working directory.
    ///
    /// # Errors
    /// An argument names nothing.
    pub fn find(arguments: &[PathBuf]) -> Result<Inputs, Failure> {
        let working_directory = working_directory()?;
        let current = [PathBuf::from(".")];
        let arguments = if arguments.is_empty() { &current } else { arguments };
        let mut items = Vec::new();
        for argument in arguments {
            if argument.as_os_str() == "-" {
                items.push(Input::Stdin);
                continue;
            }
            let metadata = fs::metadata(argument).map_err(|error| Failure::path(argument, &error))?;
            if metadata.is_dir() {
                items.push(Input::Directory(canonical(argument)?));
            } else {
                let directory = match argument.parent() {
                    Some(parent) if !parent.as_os_str().is_empty() => canonical(parent)?,
                    _ => working_directory.clone(),
                };
                items.push(Input::File(directory.join(argument.file_name().unwrap_or_default())));
            }
        }
        Ok(Inputs { working_directory, items, passed_over: BTreeSet::new(), force_exclude: false })
    }

    /// Does not read a file that is not there to be checked, wherever it lies.
    pub fn pass_over(&mut self, file: &Path) {
        self.passed_over.extend(fs::canonicalize(file));
    }

    /// What an editor has open: folders, and files that need not be there yet, since their text is at hand.
    ///
    /// # Errors
    /// A folder is not there.
    #[cfg(feature = "lsp")]
    pub(crate) fn of_editor(folders: &[PathBuf], files: impl IntoIterator<Item = PathBuf>) -> Result<Inputs, Failure> {
        let mut inputs = if folders.is_empty() {
            let (items, passed_over) = (Vec::new(), BTreeSet::new());
            Inputs { working_directory: working_directory()?, items, passed_over, force_exclude: false }
        } else {
            Inputs::find(folders)?
        };
        inputs.items.extend(files.into_iter().map(Input::File));
        Ok(inputs)
    }

    /// Calls files as they are called from this directory.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn call_from(&mut self, directory: &Path) -> Result<(), Failure> {
        self.working_directory = canonical(directory)?;
        Ok(())
    }

    /// Leaves out of the files that are named what reading a directory leaves out.
    pub fn exclude_by_force(&mut self) {
        self.force_exclude = true;
    }

    /// Whether the standard input is one of them.
    pub fn have_stdin(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Input::Stdin))
    }

    /// The meshes that the inputs choose, in order of their roots.
    ///
    /// # Errors
    /// A directory cannot be read, or a `malha.toml` is not understood.
    pub fn meshes(&self) -> Result<Vec<MeshInput>, Failure> {
        let mut owners = Owners::default();
        let mut groups: BTreeMap<Option<PathBuf>, Group> = BTreeMap::new();
        for item in &self.items {
            match item {
                Input::Stdin => groups.entry(None).or_default().stdin = true,
                Input::File(file) => {
                    let owner = owners.of(file.parent().unwrap_or(file));
                    let group = groups.entry(owner).or_default();
                    group.named.insert(file.clone());
                    group.asked.insert(file.clone());
                }
                Input::Directory(directory) => {
                    let owner = owners.of(directory);
                    if let Some(root) = &owner {
                        groups.entry(owner.clone()).or_default().complete |= root == directory;
                    }
                    for file in walk(directory, &|_| true)? {
                        let owner = owners.of(file.parent().unwrap_or(directory));
                        let inside = owner.as_ref().is_some_and(|root| root.starts_with(directory));
                        let group = groups.entry(owner).or_default();
                        group.complete |= inside;
                        let is_passed_over = self.passed_over.contains(&file);
                        if config::FILE_NAME != file.file_name().unwrap_or_default() && !is_passed_over {
                            group.named.insert(file);
                        }
                    }
                }
            }
        }
        if groups.is_empty() {
            groups.insert(None, Group::default());
        }
        groups
            .into_iter()
            .map(|(root, mut group)| {
                let excluded = if self.force_exclude { self.exclude(root.as_deref(), &mut group)? } else { Vec::new() };
                let mut mesh = self.mesh(root, &group)?;
                mesh.skipped.extend(excluded);
                Ok(mesh)
            })
            .collect()
    }

    /// Takes out of a group the files that are there only because they are named; tells which.
    fn exclude(&self, root: Option<&Path>, group: &mut Group) -> Result<Vec<Skipped>, Failure> {
        let asked = std::mem::take(&mut group.asked);
        let Some(common) = common_directory(&asked) else { return Ok(Vec::new()) };
        // Hidden directories and ignore files above the named ones count, too, as far as people look from here.
        let top =
            root.unwrap_or(if common.starts_with(&self.working_directory) { &self.working_directory } else { &common });
        let below: BTreeSet<PathBuf> = walk(top, &|entry| {
            let directory = entry.path();
            common.starts_with(directory) || directory.starts_with(&common)
        })?
        .into_iter()
        .collect();
        let excluded = asked.into_iter().filter(|file| file.starts_with(top) && !below.contains(file));
        let skipped = excluded.map(|file| {
            group.named.remove(&file);
            Skipped { file: self.shown(&file), reason: "hidden, ignored, or of another type".to_owned() }
        });
        Ok(skipped.collect())
    }

    /// The one mesh that the inputs choose.
    ///
    /// # Errors
    /// As [`Inputs::meshes`]; or they choose several.
    pub fn mesh_alone(&self) -> Result<MeshInput, Failure> {
        let mut meshes = self.meshes()?;
        if meshes.len() > 1 {
            let names: Vec<_> = meshes.iter().map(|mesh| self.mesh_name(mesh)).collect();
            return Err(Failure::new(format!("these are {} meshes: {}", meshes.len(), names.join(", ")))
                .help("name one of them: this command works on one mesh"));
        }
        meshes.pop().ok_or_else(|| Failure::new("no input"))
    }

    /// The directories to watch for changes of a mesh: each with whether what lies below counts too.
    pub fn watched(&self, mesh: &MeshInput) -> BTreeMap<PathBuf, bool> {
        let mut watched = BTreeMap::new();
        let mut watch = |path: &Path, is_directory: bool| {
            let directory = if is_directory { path } else { path.parent().unwrap_or(path) };
            *watched.entry(directory.to_owned()).or_insert(false) |= is_directory;
        };
        if mesh.config_path.is_some() {
            watch(&mesh.root, true);
            for include in &mesh.config.mesh.include {
                let path = canonical(&mesh.root.join(include)).unwrap_or_else(|_| mesh.root.join(include));
                watch(&path, path.is_dir());
            }
            let schemas = mesh.config.lint.schemas.iter().map(|(_, schema)| schema);
            for file in mesh.config.mesh.config.iter().chain(schemas) {
                watch(&mesh.root.join(file), false);
            }
        }
        for item in &self.items {
            match item {
                Input::Stdin => {}
                Input::File(file) => watch(file, false),
                Input::Directory(directory) => watch(directory, true),
            }
        }
        watched
    }

    fn mesh_name(&self, mesh: &MeshInput) -> String {
        match &mesh.config_path {
            Some(path) => self.shown(path),
            None => "the files under no malha.toml".to_owned(),
        }
    }

    fn mesh(&self, root: Option<PathBuf>, group: &Group) -> Result<MeshInput, Failure> {
        let Some(root) = root else {
            let root = common_directory(&group.named).unwrap_or_else(|| self.working_directory.clone());
            let mut files = group.named.clone();
            let skipped = self.leave_out(&mut files, group);
            let mut files: Vec<_> = files.iter().map(|file| self.file(&root, file, true)).collect();
            if group.stdin {
                let name = STDIN_NAME.to_owned();
                files.push(InputFile { path: None, shown: name.clone(), relative: name, named: true });
            }
            files.sort_by(|left, right| left.relative.cmp(&right.relative));
            return Ok(MeshInput { root, config_path: None, config: Config::default(), files, skipped });
        };
        let config_path = root.join(config::FILE_NAME);
        let text = fs::read_to_string(&config_path).map_err(|error| Failure::path(&config_path, &error))?;
        let config = Config::parse(&self.shown(&config_path), &text)?;
        let own = |entry: &DirEntry| entry.depth() == 0 || !entry.path().join(config::FILE_NAME).is_file();
        let mut files = group.named.clone();
        if !group.complete {
            files.extend(walk(&root, &own)?);
        }
        for include in &config.mesh.include {
            let path = canonical(&root.join(include)).map_err(|failure| {
                Failure::new(format!("{}: mesh.include: {}", self.shown(&config_path), failure.message()))
            })?;
            if path.is_dir() {
                files.extend(walk(&path, &own)?);
            } else {
                files.insert(path);
            }
        }
        files.remove(&config_path);
        files.retain(|file| !self.passed_over.contains(file));
        let schemas = config.lint.schemas.iter().map(|(_, schema)| schema);
        for file in config.mesh.config.iter().chain(schemas) {
            files.remove(&canonical(&root.join(file)).unwrap_or_else(|_| root.join(file)));
        }
        let skipped = self.leave_out(&mut files, group);
        let mut files: Vec<_> = files.iter().map(|file| self.file(&root, file, group.named.contains(file))).collect();
        files.sort_by(|left, right| left.relative.cmp(&right.relative));
        Ok(MeshInput { root, config_path: Some(config_path), config, files, skipped })
    }

    /// Takes out what no tool has made yet; tells what of that the inputs name.
    fn leave_out(&self, files: &mut BTreeSet<PathBuf>, group: &Group) -> Vec<Skipped> {
        let left_out = unrendered::leave_out(files, &group.asked).into_iter();
        let named = left_out.filter(|left_out| group.named.iter().any(|file| file.starts_with(&left_out.path)));
        let skipped =
            named.map(|left_out| Skipped { file: self.shown(&left_out.path), reason: left_out.why.to_owned() });
        skipped.collect()
    }

    fn file(&self, root: &Path, path: &Path, named: bool) -> InputFile {
        InputFile {
            path: Some(path.to_owned()),
            shown: self.shown(path),
            relative: relative(path, root).unwrap_or_else(|| slashes(path)),
            named,
        }
    }

    /// What people call a path.
    fn shown(&self, path: &Path) -> String {
        relative(path, &self.working_directory).unwrap_or_else(|| slashes(path))
    }
}

/// Finds the mesh of a directory: the nearest one at or above it with a `malha.toml`.
#[derive(Default)]
struct Owners {
    known: HashMap<PathBuf, Option<PathBuf>>,
}

impl Owners {
    fn of(&mut self, directory: &Path) -> Option<PathBuf> {
        if let Some(owner) = self.known.get(directory) {
            return owner.clone();
        }
        let owner = if directory.join(config::FILE_NAME).is_file() {
            Some(directory.to_owned())
        } else {
            directory.parent().and_then(|parent| self.of(parent))
        };
        self.known.insert(directory.to_owned(), owner.clone());
        owner
    }
}

/// The files below a directory that may hold documents, and every `malha.toml`; `.gitignore` holds.
fn walk(directory: &Path, enter: &(dyn Fn(&DirEntry) -> bool + Sync)) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let walk =
        WalkBuilder::new(directory).require_git(false).git_global(false).git_exclude(false).follow_links(true).build();
    let mut left: Option<PathBuf> = None;
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            // A link to nowhere, or round in a circle, adds nothing that is not found otherwise.
            Err(error) if is_about_links(&error) => continue,
            Err(error) => return Err(Failure::new(error.to_string())),
        };
        if left.as_ref().is_some_and(|left| entry.path().starts_with(left)) {
            continue;
        }
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            if !enter(&entry) {
                left = Some(entry.into_path());
            }
        } else if entry.file_name() == config::FILE_NAME || may_hold_documents(entry.path()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Whether a file of this name is read when a directory is.
pub(crate) fn may_hold_documents(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

fn is_about_links(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { path, err } => path.is_symlink() || is_about_links(err),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => is_about_links(err),
        _ => false,
    }
}

fn working_directory() -> Result<PathBuf, Failure> {
    let found = env::current_dir().and_then(fs::canonicalize);
    found.map_err(|error| Failure::new(format!("the working directory cannot be read: {error}")))
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(path).map_err(|error| Failure::path(path, &error))
}

fn common_directory(files: &BTreeSet<PathBuf>) -> Option<PathBuf> {
    // In sorted order, what the first and the last share is shared by all.
    let (first, last) = (files.first()?.parent()?, files.last()?);
    first.ancestors().find(|ancestor| last.starts_with(ancestor)).map(Path::to_owned)
}

/// The way from `base` to `path`, with `/`; none where they share nothing but the root.
pub(crate) fn relative(path: &Path, base: &Path) -> Option<String> {
    let shared = path.components().zip(base.components()).take_while(|(left, right)| left == right).count();
    if shared <= 1 && path.is_absolute() {
        return None;
    }
    let up = base.components().skip(shared).map(|_| "..".to_owned());
    let down = path.components().skip(shared).filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    Some(up.chain(down).collect::<Vec<_>>().join("/"))
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn tree(files: &[&str]) -> TempDir {
        let directory = TempDir::new().expect("a temporary directory");
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            let text = if file.ends_with("a/malha.toml") { "[mesh]\ninclude = [\"../shared\"]\n" } else { "" };
            fs::write(path, text).expect("a file");
        }
        directory
    }

    /// Root, and per file its path in the mesh, in brackets if the inputs do not name it.
    fn chosen(directory: &TempDir, arguments: &[&str]) -> Vec<(String, Vec<String>)> {
        let arguments: Vec<_> = arguments.iter().map(|argument| directory.path().join(argument)).collect();
        let base = directory.path().canonicalize().expect("it exists");
        let meshes = Inputs::find(&arguments).and_then(|inputs| inputs.meshes()).expect("meshes");
        let file = |file: &InputFile| {
            if file.named { file.relative.clone() } else { format!("({})", file.relative) }
        };
        meshes
            .iter()
            .map(|mesh| {
                let root = mesh.root.strip_prefix(&base).expect("below").display().to_string();
                (root, mesh.files.iter().map(file).collect())
            })
            .collect()
    }

    #[test]
    fn inputs_choose_meshes() {
        let tree = tree(&[
            "a/malha.toml",
            "a/one.yaml",
            "a/deep/two.yml",
            "a/inner/malha.toml",
            "a/inner/three.json",
            "shared/four.yaml",
            "loose.yaml",
            "notes.txt",
        ]);
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            chosen(&tree, &["a/one.yaml"]),
            [("a".to_owned(), own(&["(../shared/four.yaml)", "(deep/two.yml)", "one.yaml"]))]
        );
        assert_eq!(
            chosen(&tree, &["a/deep"]),
            [("a".to_owned(), own(&["(../shared/four.yaml)", "deep/two.yml", "(one.yaml)"]))]
        );
        assert_eq!(
            chosen(&tree, &["."]),
            [
                (String::new(), own(&["loose.yaml", "shared/four.yaml"])),
                ("a".to_owned(), own(&["(../shared/four.yaml)", "deep/two.yml", "one.yaml"])),
                ("a/inner".to_owned(), own(&["three.json"])),
            ]
        );
        assert_eq!(chosen(&tree, &["notes.txt"]), [(String::new(), own(&["notes.txt"]))]);
    }

    #[test]
    fn ignored_files_stay_out() {
        let tree = tree(&["kept.yaml", "dropped.yaml", "build/dropped.yaml"]);
        fs::write(tree.path().join(".gitignore"), "dropped.yaml\n").expect("a file");
        assert_eq!(chosen(&tree, &["."]), [(String::new(), vec!["kept.yaml".to_owned()])]);
        // A file that is named is meant.
        let named = chosen(&tree, &["dropped.yaml"]);
        assert_eq!(named[0].1, ["dropped.yaml"]);
    }

    #[test]
    fn several_meshes_are_named() {
        let tree = tree(&["a/malha.toml", "a/one.yaml", "b/malha.toml", "b/two.yaml", "shared/x.yaml"]);
        let arguments = [tree.path().join("a"), tree.path().join("b")];
        let failure = Inputs::find(&arguments).and_then(|inputs| inputs.mesh_alone()).expect_err("two meshes");
        assert!(failure.message().starts_with("these are 2 meshes: "), "{failure}");
        assert!(failure.message().contains("b/malha.toml"), "{failure}");
    }

    #[test]
    fn paths_lead_from_the_base() {
        assert_eq!(relative(Path::new("/a/b/c"), Path::new("/a/b")).as_deref(), Some("c"));
        assert_eq!(relative(Path::new("/a/x"), Path::new("/a/b")).as_deref(), Some("../x"));
        assert_eq!(relative(Path::new("/t/x"), Path::new("/a/b")), None);
    }
}
