//! Files that hold no objects until a tool has made them: templates of a Helm chart, patches of a kustomization.

use malha_syntax::{Node, NodeKind, SourceId, read};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What makes a directory a chart.
const CHART: &str = "Chart.yaml";

/// Where a chart keeps its templates.
const TEMPLATES: &str = "templates";

/// What makes a directory a kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// No kustomization is longer.
const LONGEST: u64 = 1 << 20;

/// Something that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeftOut {
    /// A file, or the directory of all that is left out below it.
    pub(crate) path: PathBuf,
    pub(crate) why: &'static str,
}

/// Takes out of `files` what no tool has made yet; tells what that is. A template that is in `asked` is left in: its
/// name was given, so it is read, and it is seen then whether it is one.
pub(crate) fn leave_out(files: &mut BTreeSet<PathBuf>, asked: &BTreeSet<PathBuf>) -> BTreeSet<LeftOut> {
    let mut left_out = BTreeSet::new();
    let mut charts: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let directories: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let patches: BTreeSet<PathBuf> = directories.into_iter().flat_map(patches).collect();
    files.retain(|file| {
        if patches.contains(file) {
            let why = "a kustomize patch; check what `kustomize build` prints";
            left_out.insert(LeftOut { path: file.clone(), why });
            return false;
        }
        let templates = file.ancestors().skip(1).find(|directory| {
            directory.file_name().is_some_and(|name| name == TEMPLATES)
                && directory
                    .parent()
                    .is_some_and(|chart| *charts.entry(chart.to_owned()).or_insert_with(|| chart.join(CHART).is_file()))
        });
        match templates.filter(|_| !asked.contains(file)) {
            Some(templates) => {
                let why = "the templates of a Helm chart; check what `helm template` prints";
                left_out.insert(LeftOut { path: templates.to_owned(), why });
                false
            }
            None => true,
        }
    });
    left_out
}

/// The files that the kustomization of a directory names as patches.
fn patches(directory: &Path) -> Vec<PathBuf> {
    let file = KUSTOMIZATIONS.iter().map(|name| directory.join(name)).find(|file| file.is_file());
    let short = file.filter(|file| fs::metadata(file).is_ok_and(|there| there.len() <= LONGEST));
    // What cannot be read is said when its objects are read.
    let Some(text) = short.and_then(|file| fs::read_to_string(file).ok()) else { return Vec::new() };
    let mut patches = Vec::new();
    for document in read(SourceId::default(), &text).documents {
        let Some(root) = document.root() else { continue };
        for key in ["patches", "patchesJson6902", "patchesStrategicMerge"] {
            for item in root.get(key).into_iter().flat_map(Node::items) {
                let path = if item.kind() == NodeKind::Scalar { Some(item) } else { item.get("path") };
                // A patch may be written in place, too.
                let path = path.map(|path| directory.join(path.text()));
                patches.extend(path.and_then(|path| fs::canonicalize(path).ok()));
            }
        }
    }
    patches
}
