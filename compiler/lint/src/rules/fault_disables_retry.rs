use crate::{
    rule::{Context, Example, Rule},
    written::{WrittenRule, written_rules},
};
use malha_mesh::faults_in_force;
use malha_syntax::{Finding, Group, RuleInfo, Span};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "T006", name: "fault-disables-retry", group: Group::Suspicious, aliases: &[] },
    what: "A rule injects a fault and sets retries or a timeout that the fault does not meet.",
    why: "Faults happen before a request is sent: an abort is answered by the proxy itself and never retried, and a delay is \
          over before the timeout begins to count. A test of retries or timeouts by such a rule shows nothing.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  http:
    - match:
        - headers: {x-chaos: {exact: \"on\"}}
      fault:
        abort: {httpStatus: 503, percentage: {value: 50}}
      retries: {attempts: 3, retryOn: 5xx}
      route:
        - destination: {host: orders.example.com}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders.example.com]
  http:
    - match:
        - headers: {x-chaos: {exact: \"on\"}}
      fault:
        abort: {httpStatus: 503, percentage: {value: 50}}
      route:
        - destination: {host: orders.example.com}
",
    ),
    facts: &["C46", "C64", "C66"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for written in written_rules(context.mesh) {
        findings.extend(unmet(&written));
    }
}

fn unmet(written: &WrittenRule<'_>) -> Option<Finding> {
    let route = written.rule.route;
    let fault = route.fault.as_ref().filter(|_| !route.route.is_empty())?;
    let (delay, abort) = faults_in_force(route);
    let retries = route.retries.as_ref().filter(|retries| retries.attempts.as_ref().is_some_and(|it| it.value > 0));
    let place = |key: Span, span: Span| if key.is_empty() { span } else { key };
    let (span, below, other, message) = if let (Some(_), Some(written), Some(retries)) = (&abort, &fault.abort, retries) {
        let message = "requests that are aborted here are not retried: the proxy answers them before they are sent";
        (place(written.key, written.span), "fault.abort", ("the retries", retries.span), message)
    } else if let (Some(_), Some(written), Some(timeout)) = (&delay, &fault.delay, &route.timeout) {
        let message = "this delay does not count against the `timeout`: it is over before a request is sent";
        (place(written.key, written.span), "fault.delay", ("the timeout", timeout.span), message)
    } else {
        return None;
    };
    let finding = written
        .finding(RULE.info, span, below, message.to_owned())
        .help("inject the fault in a rule of the service behind, so that this one meets it")
        .related(written.location(other.1), other.0);
    Some(finding)
}
