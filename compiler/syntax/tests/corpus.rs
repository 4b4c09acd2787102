//! Replays the seeds of the fuzz target `reader`, and whatever a run of it adds to them.

use malha_syntax::{Sources, read, read_both};
use std::path::Path;

#[test]
fn the_fuzz_corpus_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/reader");
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("the corpus is there") {
        let path = file.expect("the corpus can be listed").path();
        let bytes = std::fs::read(&path).expect("a seed can be read");
        let mut sources = Sources::default();
        let (source, _) = sources.decode(path.display().to_string(), &bytes);
        let text = sources.get(source).expect("the source was added").text.clone();
        let reading = read(source, &text);
        for finding in &reading.findings {
            let span = finding.location.span;
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "{}: {finding:?}", path.display());
        }
        if let (Some(quick), complete) = read_both(&text) {
            let complete = complete.expect("what the quick reader reads, the complete one reads");
            assert_eq!(quick.outline(), complete.outline(), "{}", path.display());
        }
        count += 1;
    }
    assert!(count >= 13, "{count} seeds");
}
