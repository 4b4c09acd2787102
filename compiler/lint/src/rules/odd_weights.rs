use crate::rule::{Context, Example, Rule};
use malha_model::{Resource, Spanned, Spec};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "D004", name: "odd-weights", group: Group::Suspicious, aliases: &["KIA1104"] },
    what: "Weights that hardly say what is meant: a destination without one beside others that have one, a weight on a lone destination, or percentages that do not \
           make 100.",
    why: "A weight is a share of the sum, whatever the sum is. A destination without a weight beside others that have one gets nothing. A lone destination gets \
          everything, whatever its weight. Shares such as 90 and 20 are allowed and mean 82 and 18 percent, which is seldom meant; other ratios, such as 1 and 2, are fine.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders}
          weight: 90
        - destination: {host: orders-next}
          weight: 20
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders}
          weight: 90
        - destination: {host: orders-next}
          weight: 10
",
    ),
    facts: &["C6", "C7", "A61"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        for (rule, http) in spec.http.iter().enumerate() {
            let routes = http.route.iter().map(|route| Share::of(route, route.weight.as_ref()));
            odd(resource, "http", rule, &routes.collect::<Vec<_>>(), findings);
        }
        let tls = spec.tls.iter().enumerate().map(|(rule, tls)| ("tls", rule, &tls.route));
        let tcp = spec.tcp.iter().enumerate().map(|(rule, tcp)| ("tcp", rule, &tcp.route));
        for (section, rule, routes) in tls.chain(tcp) {
            let routes = routes.iter().map(|route| Share::of(route, route.weight.as_ref()));
            odd(resource, section, rule, &routes.collect::<Vec<_>>(), findings);
        }
    }
}

/// One destination of several.
struct Share<'a> {
    place: malha_syntax::Span,
    weight: Option<&'a Spanned<i32>>,
}

impl<'a> Share<'a> {
    fn of<T>(route: &Spanned<T>, weight: Option<&'a Spanned<i32>>) -> Self {
        Share { place: route.span, weight }
    }

    fn value(&self) -> i64 {
        self.weight.map_or(0, |weight| i64::from(weight.value))
    }
}

fn odd(resource: &Resource, section: &str, rule: usize, shares: &[Share<'_>], findings: &mut Vec<Finding>) {
    let told = |at: usize, place, message: String, help: &str| {
        Finding::new(RULE.info, resource.location(place), message)
            .help(help)
            .resource(resource.resource_name())
            .field(format!("spec.{section}[{rule}].route[{at}]"))
    };
    if let [only] = shares {
        if let Some(weight) = only.weight.filter(|weight| (1..100).contains(&weight.value)) {
            let message = format!("a lone destination gets everything, whatever its weight: {} means 100 percent here", weight.value);
            findings.push(told(0, weight.span, message, "delete the weight, or add the destination that gets the rest"));
        }
        return;
    }
    let sum: i64 = shares.iter().map(Share::value).sum();
    if sum <= 0 {
        return;
    }
    for (at, share) in shares.iter().enumerate().filter(|(_, share)| share.weight.is_none()) {
        let message = "this destination has no weight beside others that have one, so it gets nothing".to_owned();
        findings.push(told(at, share.place, message, "give it a weight, or delete it; `weight: 0` says that it gets nothing"));
    }
    if is_slip_of_percent(shares, sum)
        && let Some((at, share)) = shares.iter().enumerate().rfind(|(_, share)| share.value() > 0)
    {
        let percent = share.value() * 100 / sum;
        let message = format!("the weights add up to {sum}, so {} is about {percent} percent here", share.value());
        let place = share.weight.map_or(share.place, |weight| weight.span);
        findings.push(told(at, place, message, "let the weights add up to 100, if percentages are meant"));
    }
}

/// Whether weights look like percentages that were meant to make 100: near to it, in steps of five, and not all alike.
fn is_slip_of_percent(shares: &[Share<'_>], sum: i64) -> bool {
    let given: Vec<i64> = shares.iter().map(Share::value).filter(|value| *value > 0).collect();
    let are_alike = given.windows(2).all(|pair| pair[0] == pair[1]);
    (90..=110).contains(&sum) && sum != 100 && !are_alike && given.iter().all(|value| value % 5 == 0)
}
