//! Conditions on texts as files write them, and what their languages are.

use crate::rule::Context;
use malha_algebra::language::{Answer, Automata, Form, Limits, Test, shortest};
use malha_algebra::re2::Pattern;
use malha_mesh::analysis::Worlds;
use malha_model::istio::virtual_service::{HttpMatchRequest, HttpRoute, StringMatch};
use malha_model::{Resource, Spec};
use malha_syntax::{Finding, Location, RuleInfo};
use std::fmt;

/// Which text of a request a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    Uri,
    Scheme,
    Method,
    Authority,
    Header(&'a str),
    WithoutHeader(&'a str),
    Query(&'a str),
    Origin(usize),
}

impl fmt::Display for Subject<'_> {
    /// Its path below a match; of an origin below the rule.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (map, key) = match self {
            Subject::Uri => return formatter.write_str("uri"),
            Subject::Scheme => return formatter.write_str("scheme"),
            Subject::Method => return formatter.write_str("method"),
            Subject::Authority => return formatter.write_str("authority"),
            Subject::Origin(index) => return write!(formatter, "corsPolicy.allowOrigins[{index}]"),
            Subject::Header(name) => ("headers", name),
            Subject::WithoutHeader(name) => ("withoutHeaders", name),
            Subject::Query(name) => ("queryParams", name),
        };
        if key.contains(['.', '[', ']', '"']) {
            write!(formatter, "{map}[\"{key}\"]")
        } else {
            write!(formatter, "{map}.{key}")
        }
    }
}

/// One condition.
pub(crate) struct Condition<'a> {
    pub(crate) resource: &'a Resource,
    /// Index of the rule in `spec.http`.
    rule: usize,
    /// Index of the match, for all but origins.
    item: Option<usize>,
    pub(crate) route: &'a HttpRoute,
    pub(crate) request: Option<&'a HttpMatchRequest>,
    pub(crate) subject: Subject<'a>,
    pub(crate) test: &'a StringMatch,
}

impl Condition<'_> {
    /// Whether the case of letters is ignored in `exact` and `prefix`.
    pub(crate) fn ignores_case(&self) -> bool {
        let ignore = self.request.and_then(|request| request.ignore_uri_case.as_ref());
        self.subject == Subject::Uri && ignore.is_some_and(|ignore| ignore.value)
    }

    /// A finding at its text.
    pub(crate) fn finding(&self, info: &'static RuleInfo, message: String) -> Option<Finding> {
        let (text, field) = (self.test.text()?, self.test.field()?);
        let item = self.item.map_or_else(String::new, |item| format!(".match[{item}]"));
        let path = format!("spec.http[{}]{item}.{}.{field}", self.rule, self.subject);
        Some(
            Finding::new(info, self.resource.location(text.span), message)
                .resource(self.resource.resource_name())
                .field(path),
        )
    }

    /// Where its text is.
    pub(crate) fn location(&self) -> Option<Location> {
        Some(self.resource.location(self.test.text()?.span))
    }

    /// Where the key of its text is: `regex`, say.
    pub(crate) fn key(&self) -> Option<Location> {
        Some(self.resource.location(self.test.text()?.key))
    }
}

/// Calls `visit` for the conditions of all rules for HTTP, delegates' rules too, where they are written.
pub(crate) fn conditions<'a>(context: &Context<'a>, mut visit: impl FnMut(&Condition<'a>)) {
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        for (rule, route) in spec.http.iter().enumerate() {
            for (item, request) in route.matches.iter().enumerate() {
                let mut tell = |subject: Subject<'a>, test: &'a StringMatch| {
                    let (item, request) = (Some(item), Some(&request.value));
                    visit(&Condition { resource, rule, item, route: &route.value, request, subject, test });
                };
                if let Some(test) = &request.uri {
                    tell(Subject::Uri, test);
                }
                let others = [
                    (Subject::Scheme, &request.scheme),
                    (Subject::Method, &request.method),
                    (Subject::Authority, &request.authority),
                ];
                for (subject, test) in others {
                    if let Some(test) = test {
                        tell(subject, test);
                    }
                }
                request.headers.iter().for_each(|(name, test)| tell(Subject::Header(name), test));
                request.without_headers.iter().for_each(|(name, test)| tell(Subject::WithoutHeader(name), test));
                request.query_params.iter().for_each(|(name, test)| tell(Subject::Query(name), test));
            }
            for (index, test) in route.cors_policy.iter().flat_map(|policy| policy.allow_origins.iter().enumerate()) {
                let (subject, route) = (Subject::Origin(index), &route.value);
                visit(&Condition { resource, rule, item: None, route, request: None, subject, test });
            }
        }
    }
}

/// The regular expressions among them that RE2 takes, with their conditions.
pub(crate) fn expressions<'a>(context: &Context<'a>, mut visit: impl FnMut(&Condition<'a>, &'a str, Pattern)) {
    conditions(context, |condition| {
        let StringMatch::Regex(text) = condition.test else { return };
        if let Ok(pattern) = Pattern::parse(text) {
            visit(condition, text, pattern);
        }
    });
}

/// Compares languages of the texts that requests of a mesh hold.
pub(crate) struct Languages {
    worlds: Worlds,
    automata: Automata,
}

impl Languages {
    pub(crate) fn of(context: &Context<'_>) -> Languages {
        Languages { worlds: Worlds::new(context.mesh.config().settings()), automata: Automata::default() }
    }

    /// Whether it is proved that two tests hold for the same texts of a subject; `utf8`: for those that are UTF-8.
    pub(crate) fn are_equal(&mut self, subject: Subject<'_>, one: &Test, other: &Test, utf8: bool) -> bool {
        let form = match subject {
            Subject::Uri => Form::Path(self.worlds.gateway.path),
            Subject::Scheme => Form::Choice(["http", "https"].map(Into::into).to_vec()),
            Subject::Method => Form::Choice(self.worlds.gateway.methods.clone()),
            Subject::Authority => Form::Authority,
            Subject::Query(_) => Form::QueryValue,
            Subject::Header(_) | Subject::WithoutHeader(_) | Subject::Origin(_) => Form::HeaderLine,
        };
        let text = Test::utf8();
        let mut is_within = |inner: &Test, outer: &Test| {
            let both = [inner, &text];
            let inside = if utf8 { &both[..] } else { &both[..1] };
            shortest(&form, inside, &[outer], Limits::default(), &mut self.automata) == Answer::Empty
        };
        is_within(one, other) && is_within(other, one)
    }
}
