//! docs/testing.md does what it says: its files are written down, and its commands are run.

#[path = "support/command.rs"]
mod command;
#[path = "support/transcript.rs"]
mod transcript;

use command::{malha, tree, write};
use std::{fs, path::Path};

/// The `yaml` blocks of a page that begin with a comment that names a file, with their names.
fn files(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
    blocks.filter_map(|block| Some((block.lines().next()?.strip_prefix("# ")?, block))).collect()
}

#[test]
fn the_page_is_right() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/testing.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let directory = tree(&[]);
    let files = files(&page);
    assert!(files.len() > 4, "the page has lost its files: {files:?}");
    for (name, text) in &files {
        write(&directory, name, text);
    }
    let steps = transcript::steps(&page);
    assert!(steps.len() > 4, "the page has lost its commands");
    let replace = [("malha test".to_owned(), format!("{} test", env!("CARGO_BIN_EXE_malha")))];
    for step in &steps {
        transcript::run(step, directory.path(), &replace);
    }
    // Every file but the one that is to fail.
    for (name, _) in files.iter().filter(|(name, _)| !["shop.yaml", "wrong.test.yaml"].contains(name)) {
        let told = malha(directory.path(), &["test", "shop.yaml", name]);
        assert_eq!(told.status, 0, "{name}:\n{}{}", told.out, told.err);
    }
}
