//! Findings that the files themselves ask to be silent about.

use malha_model::Resource;
use malha_syntax::{Edit, Finding, Fix, Group, Location, ResourceName, RuleInfo, SourceId, Sources, Span, Suppression};
use std::collections::{HashMap, HashSet};

/// The rule about a comment or an annotation that suppresses nothing.
pub(crate) static UNUSED: RuleInfo =
    RuleInfo { code: "O005", name: "unused-suppression", group: Group::Suspicious, aliases: &[] };

/// Our annotation: codes, prefixes or names, separated by commas.
const ANNOTATION: &str = "malha.io/ignore";

/// That of `istioctl analyze`: its codes, or `*`.
const ISTIO_ANNOTATION: &str = "galley.istio.io/analyze-suppress";

/// Everything in the files that suppresses findings.
#[derive(Default)]
pub struct Suppressions {
    comments: HashMap<(SourceId, u32), Vec<Silencer>>,
    annotations: HashMap<ResourceName, Vec<Silencer>>,
    /// Rules that did not run: whether they have something to silence is not known.
    unjudged: Vec<&'static RuleInfo>,
}

/// What suppressions make of findings.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Those that nothing silences, and one for each suppression that no finding needed.
    pub left: Vec<Finding>,
    /// Those that are silenced, each with the reason that is given for it; empty where none is.
    pub silenced: Vec<(Finding, String)>,
}

/// One comment or annotation.
struct Silencer {
    codes: Vec<String>,
    /// Why, as far as somebody says it.
    reason: String,
    /// Where it is said.
    location: Location,
    dialect: Dialect,
    used: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Our codes, prefixes and names.
    Malha,
    /// Codes of `istioctl analyze`. They may be meant for that tool alone, so they are never unused.
    Istio,
}

impl Silencer {
    fn silences(&self, rule: &RuleInfo) -> bool {
        let equal = |code: &String, name: &str| code.eq_ignore_ascii_case(name);
        self.codes.iter().any(|code| match self.dialect {
            Dialect::Istio => {
                !rule.aliases.is_empty() && code == "*" || rule.aliases.iter().any(|alias| equal(code, alias))
            }
            Dialect::Malha => {
                equal(code, rule.code)
                    || equal(code, rule.name)
                    || code.strip_suffix('*').is_some_and(|prefix| rule.code.starts_with(prefix))
            }
        })
    }
}

impl Suppressions {
    /// Adds the comments of a source.
    pub fn add_comments(&mut self, source: SourceId, comments: &[Suppression]) {
        for comment in comments {
            let silencer = Silencer {
                codes: comment.codes.clone(),
                reason: comment.reason.clone(),
                location: Location { source, span: comment.span },
                dialect: Dialect::Malha,
                used: false,
            };
            self.comments.entry((source, comment.line)).or_default().push(silencer);
        }
    }

    /// Adds the annotations of an object.
    pub fn add_annotations(&mut self, resource: &Resource) {
        for (annotation, dialect) in [(ANNOTATION, Dialect::Malha), (ISTIO_ANNOTATION, Dialect::Istio)] {
            let Some(value) = resource.metadata.annotations.get(annotation) else { continue };
            let codes = value.value.split(',').map(str::trim).filter(|code| !code.is_empty());
            let silencer = Silencer {
                codes: codes.map(str::to_owned).collect(),
                reason: String::new(),
                location: resource.location(value.span),
                dialect,
                used: false,
            };
            self.annotations.entry(resource.resource_name()).or_default().push(silencer);
        }
    }

    /// Says that a rule did not run, so that nothing that silences it is called unneeded.
    pub fn leave_unjudged(&mut self, rule: &'static RuleInfo) {
        self.unjudged.push(rule);
    }

    /// Leaves out the findings that are suppressed, and adds one for each suppression that no finding needed.
    /// `line` gives the line of a position.
    ///
    /// A source that holds something refused is not judged: what is refused takes no part, so findings may be missing.
    pub fn apply(self, findings: Vec<Finding>, line: impl Fn(Location) -> u32) -> Vec<Finding> {
        self.judge(findings, line, |_| None).left
    }

    /// As [`Suppressions::apply`], and tells which findings are silenced; comments that silence nothing have a fix.
    pub fn judge_in(self, findings: Vec<Finding>, sources: &Sources) -> Judged {
        self.judge(findings, |location| sources.line_column(location).line, |comment| removal(comment, sources))
    }

    fn judge(
        mut self,
        findings: Vec<Finding>,
        line: impl Fn(Location) -> u32,
        fix: impl Fn(Location) -> Option<Fix>,
    ) -> Judged {
        if self.comments.is_empty() && self.annotations.is_empty() {
            return Judged { left: findings, silenced: Vec::new() };
        }
        let refused = findings.iter().filter(|finding| finding.rule.group == Group::Admission);
        let refused: HashSet<SourceId> = refused.map(|finding| finding.location.source).collect();
        let mut judged = Judged { left: Vec::with_capacity(findings.len()), silenced: Vec::new() };
        for finding in findings {
            let place = (finding.location.source, line(finding.location));
            let comments = self.comments.get_mut(&place).into_iter().flatten();
            let annotations = finding.resource.as_ref().and_then(|name| self.annotations.get_mut(name));
            let mut reason = None;
            for silencer in comments.chain(annotations.into_iter().flatten()) {
                if silencer.silences(finding.rule) {
                    silencer.used = true;
                    reason.get_or_insert_with(|| silencer.reason.clone());
                }
            }
            match reason {
                Some(reason) => judged.silenced.push((finding, reason)),
                None => judged.left.push(finding),
            }
        }
        let unneeded = |silencer: &Silencer| {
            !silencer.used
                && silencer.dialect == Dialect::Malha
                && !refused.contains(&silencer.location.source)
                && !self.unjudged.iter().any(|rule| silencer.silences(rule))
        };
        let comments = self.comments.values().flatten().filter(|silencer| unneeded(silencer));
        judged.left.extend(comments.map(|silencer| Finding { fix: fix(silencer.location), ..unused(silencer) }));
        let annotations = self.annotations.values().flatten().filter(|silencer| unneeded(silencer));
        judged.left.extend(annotations.map(unused));
        judged
    }
}

/// The fix that removes a comment: with its line, if it stands alone there.
fn removal(comment: Location, sources: &Sources) -> Option<Fix> {
    let text = sources.get(comment.source)?.text.as_str();
    let (start, end) = (comment.span.start as usize, comment.span.end as usize);
    let before = text.get(..start)?;
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let code = text.get(line..start)?.trim_end_matches([' ', '\t']);
    let span = if code.is_empty() {
        let rest = text.get(end..)?;
        line..end + rest.find('\n').map_or(rest.len(), |at| at + 1)
    } else {
        line + code.len()..end
    };
    let location = Location { source: comment.source, span: Span::new(span.start as u32, span.end as u32) };
    let edits = vec![Edit { location, text: String::new() }];
    Some(Fix { safe: true, title: "remove the comment".to_owned(), edits })
}

fn unused(silencer: &Silencer) -> Finding {
    let what = match silencer.codes.as_slice() {
        [] => "it names no code".to_owned(),
        [code] => format!("there is no {code} here"),
        codes => format!("there is none of {} here", codes.join(", ")),
    };
    let message = format!("this suppresses nothing: {what}");
    Finding::new(&UNUSED, silencer.location, message).help("remove it, or correct the code")
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_syntax::Span;

    static RULE: RuleInfo =
        RuleInfo { code: "H007", name: "gateway-missing", group: Group::Correctness, aliases: &["IST0101"] };

    fn comment(codes: &[&str], line: u32) -> Suppression {
        Suppression {
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            reason: String::new(),
            line,
            span: Span::new(line * 10, line * 10 + 5),
        }
    }

    fn finding(line: u32) -> Finding {
        Finding::new(&RULE, Location { source: SourceId(0), span: Span::empty(line * 10) }, "x")
    }

    fn left(comments: &[Suppression], findings: &[u32]) -> Vec<(&'static str, u32)> {
        let mut suppressions = Suppressions::default();
        suppressions.add_comments(SourceId(0), comments);
        let line = |location: Location| location.span.start / 10;
        let left = suppressions.apply(findings.iter().map(|line| finding(*line)).collect(), line);
        left.iter().map(|finding| (finding.rule.code, line(finding.location))).collect()
    }

    #[test]
    fn a_comment_silences_its_line() {
        assert_eq!(left(&[comment(&["H007"], 3)], &[3, 4]), [("H007", 4)]);
        assert_eq!(left(&[comment(&["gateway-missing"], 3)], &[3]), []);
        assert_eq!(left(&[comment(&["H*"], 3)], &[3, 3]), []);
    }

    #[test]
    fn what_silences_nothing_is_named() {
        assert_eq!(left(&[comment(&["D001"], 3)], &[3]), [("H007", 3), ("O005", 3)]);
        assert_eq!(left(&[comment(&[], 5)], &[]), [("O005", 5)]);
    }

    #[test]
    fn what_silences_a_rule_that_did_not_run_is_not_judged() {
        let mut suppressions = Suppressions::default();
        suppressions.add_comments(SourceId(0), &[comment(&["H007"], 3), comment(&["D001"], 4)]);
        suppressions.leave_unjudged(&RULE);
        let left = suppressions.apply(Vec::new(), |location| location.span.start / 10);
        assert_eq!(left.iter().map(|finding| finding.location.span.start / 10).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn a_comment_that_silences_nothing_can_be_removed() {
        let cases = [
            ("a: 1 # malha: ignore[H007] gone\r\nb: 2\n", "a: 1\r\nb: 2\n"),
            ("a:\n  # malha: ignore[H007]\n  b: 2\n", "a:\n  b: 2\n"),
            ("a: 1\n# malha: ignore[H007]", "a: 1\n"),
        ];
        for (text, expected) in cases {
            let mut sources = Sources::default();
            let (source, _) = sources.decode("a.yaml", text.as_bytes());
            let mut suppressions = Suppressions::default();
            suppressions.add_comments(source, &malha_syntax::read(source, text).suppressions);
            let judged = suppressions.judge_in(Vec::new(), &sources);
            let fix = judged.left[0].fix.as_ref().expect("it has a fix");
            let span = fix.edits[0].location.span;
            let mut mended = text.to_owned();
            mended.replace_range(span.start as usize..span.end as usize, "");
            assert_eq!((mended.as_str(), fix.safe), (expected, true));
        }
    }

    #[test]
    fn codes_of_istio_are_understood_in_its_annotation_alone() {
        let silencer = |codes: &[&str], dialect| Silencer {
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            reason: String::new(),
            location: Location::default(),
            dialect,
            used: false,
        };
        assert!(silencer(&["IST0101"], Dialect::Istio).silences(&RULE));
        assert!(silencer(&["*"], Dialect::Istio).silences(&RULE));
        assert!(!silencer(&["IST0101"], Dialect::Malha).silences(&RULE));
        assert!(!silencer(&["*"], Dialect::Istio).silences(&UNUSED));
    }
}
