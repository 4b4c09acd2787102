//! Which documents of a mesh are route tests, and no configuration.

use malha_syntax::{Document, Finding, NodeKind, Span, Suppression};

/// Top-level keys by which a document is one of istio-config-validator's, whatever its file is called. Its reader does
/// not look at case.
pub(crate) const VALIDATOR_KEYS: [&str; 2] = ["testCases", "TestCases"];

/// The route tests of one file.
#[derive(Clone, Debug, Default)]
pub struct TestDocuments {
    /// The documents, in order.
    pub documents: Vec<Document>,
    /// What is wrong with their text.
    pub findings: Vec<Finding>,
    /// Whether the file holds nothing else.
    pub whole_file: bool,
}

/// Whether a file of this name holds tests: `routes.test.yaml`, `routes_test.yml`, `test.yaml`.
pub(super) fn is_named_as_tests(name: &str) -> bool {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    stem.strip_suffix("test").is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', '_']))
}

/// The tests of a file, with what of its findings and suppressions is about them; `whole_file` if it holds nothing else.
pub(super) fn gather(
    tests: Vec<Document>,
    whole_file: bool,
    findings: &mut Vec<Finding>,
    suppressions: &mut Vec<Suppression>,
) -> TestDocuments {
    if tests.is_empty() {
        return TestDocuments::default();
    }
    let inside = |span: Span| {
        whole_file || tests.iter().any(|test| test.span.start <= span.start && span.start <= test.span.end)
    };
    suppressions.retain(|suppression| !inside(suppression.span));
    let findings = findings.extract_if(.., |finding| inside(finding.location.span)).collect();
    TestDocuments { documents: tests, findings, whole_file }
}

/// Top-level keys of helm-unittest, whose files are called `*_test.yaml` too.
const HELM_UNITTEST_KEYS: [&str; 3] = ["suite", "template", "templates"];

/// Whether a document is a test: no object of Kubernetes, and in a file of tests or of istio-config-validator's form.
pub(super) fn is_test(document: &Document, named: bool) -> bool {
    if document.template.is_some() {
        return false;
    }
    let root = document.root().filter(|root| root.kind() == NodeKind::Mapping);
    let has_any = |keys: &[&str]| root.is_some_and(|root| keys.iter().any(|key| root.get(key).is_some()));
    if has_any(&["apiVersion", "kind"]) {
        return false;
    }
    if has_any(&VALIDATOR_KEYS) {
        return true;
    }
    // Of one that is broken not all may be there to look at.
    let object = |line: &str| line.starts_with("apiVersion:") || line.starts_with("kind:");
    let may_be_object = document.refused && document.text().lines().any(object);
    named && !may_be_object && !has_any(&HELM_UNITTEST_KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_syntax::{SourceId, read};

    fn tests_of(name: &str, text: &str) -> (usize, usize, usize) {
        let mut reading = read(SourceId(0), text);
        let named = is_named_as_tests(name);
        let found = reading.documents.extract_if(.., |document| is_test(document, named)).collect();
        let alone = reading.documents.is_empty();
        let tests = gather(found, alone, &mut reading.findings, &mut reading.suppressions);
        (tests.documents.len(), tests.findings.len(), reading.documents.len())
    }

    #[test]
    fn names_of_files() {
        for name in ["routes.test.yaml", "a/routes_test.yml", "test.yaml", "x.test.json"] {
            assert!(is_named_as_tests(name), "{name}");
        }
        for name in ["routes.yaml", "latest.yaml", "test/routes.yaml", "contest.yml", "routes-test.yaml", ""] {
            assert!(!is_named_as_tests(name), "{name}");
        }
    }

    #[test]
    fn objects_stay_objects_whatever_their_file_is_called() {
        let object = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n";
        assert_eq!(tests_of("load_test.yaml", object), (0, 0, 1));
        assert_eq!(tests_of("load_test.yaml", &format!("{object}---\ntests: []\n")), (1, 0, 1));
        // Broken ones too: they are to be found.
        assert_eq!(tests_of("load_test.yaml", "apiVersion: v1\nkind: [\n"), (0, 0, 1));
        assert_eq!(tests_of("load_test.yaml", "tests: [\n"), (1, 1, 0));
        assert_eq!(tests_of("chart_test.yaml", "suite: x\ntests: []\n"), (0, 0, 1));
    }

    #[test]
    fn documents_of_the_validator_are_known_by_their_key() {
        assert_eq!(tests_of("cases.yaml", "testCases: []\n"), (1, 0, 0));
        assert_eq!(tests_of("cases.yaml", "TestCases: []\n---\nreplicas: 2\n"), (1, 0, 1));
        assert_eq!(tests_of("cases.yaml", "tests: []\n"), (0, 0, 1));
        assert_eq!(tests_of("crd.yaml", "apiVersion: v1\nkind: X\ntestCases: []\n"), (0, 0, 1));
    }
}
