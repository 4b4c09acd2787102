use crate::rule::{Context, Example, Rule};
use malha_model::{Spanned, Spec, istio::virtual_service::HttpBody};
use malha_syntax::{Finding, Group, RuleInfo};

/// Bytes from which on Istio warns; it refuses more than a megabyte (semantics C29).
const LARGE: usize = 100 * 1024;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "O022", name: "large-direct-response", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "The body of a `directResponse` has more than 100 KiB.",
    why: "It is a part of the configuration of every proxy that has the route, sent to each with every change and kept in \
          its memory. Istio warns from here on, and refuses the object at 1 MiB.",
    bad: Example::made(
        "# A VirtualService with a `directResponse` whose body has 102401 bytes.
",
        || of_bytes(LARGE + 1),
    ),
    good: Example::made(
        "# The same with a body of 102400 bytes.
",
        || of_bytes(LARGE),
    ),
    facts: &["C29"],
    check: Some(check),
};

fn of_bytes(count: usize) -> Vec<u8> {
    let body = "x".repeat(count);
    let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop}\nspec:\n  hosts: [shop.example.com]\n";
    format!("{head}  http:\n    - directResponse: {{status: 200, body: {{string: {body}}}}}\n").into_bytes()
}

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        for (index, rule) in spec.http.iter().enumerate() {
            let Some(body) = rule.direct_response.as_ref().and_then(|response| response.body.as_ref()) else { continue };
            let size = size(body);
            if size <= LARGE {
                continue;
            }
            let place = if body.key.is_empty() { body.span } else { body.key };
            let message = format!("this body has {size} bytes, and every proxy with the route keeps them in its memory");
            let finding = Finding::new(RULE.info, resource.location(place), message)
                .help("let a small service answer, or answer with a redirect to where the content is")
                .resource(resource.resource_name())
                .field(format!("spec.http[{index}].directResponse.body"));
            findings.push(finding);
        }
    }
}

fn size(body: &Spanned<HttpBody>) -> usize {
    match (&body.string, &body.bytes) {
        (Some(text), _) => text.len(),
        (None, Some(bytes)) => bytes.0.len(),
        (None, None) => 0,
    }
}
