use crate::{
    fix::NewField,
    policies::policies,
    rule::{Context, Example, Rule},
};
use malha_model::{
    Resource, Spanned, Spec,
    istio::{destination_rule::SimpleLb, virtual_service::HttpRoute},
};
use malha_syntax::{Edit, Finding, Fix, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "O004",
        name: "deprecated-field",
        group: Group::Suspicious,
        aliases: &["IST0002", "IST0133"],
    },
    what: "A field or a value that Istio's API has replaced by another.",
    why: "Most still work and may stop doing so. Some have stopped: `consecutiveErrors` of `outlierDetection` is read by \
          nobody, so that the ejection it asks for happens at five errors.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - route:
        - destination: {host: shop.example.com}
      mirror: {host: shop-next.example.com}
      mirrorPercent: 10
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - route:
        - destination: {host: shop.example.com}
      mirror: {host: shop-next.example.com}
      mirrorPercentage: {value: 10}
",
    ),
    facts: &["C65", "C71", "C77", "D26", "D42"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let mut told = Told { context, resource, findings };
        match &resource.spec {
            Spec::VirtualService(spec) => {
                for (index, rule) in spec.http.iter().enumerate() {
                    told.of_rule(&format!("spec.http[{index}]"), rule);
                }
            }
            Spec::DestinationRule(_) => told.of_policies(),
            Spec::Sidecar(spec) => {
                let policy = spec.outbound_traffic_policy.as_ref();
                if let Some(proxy) = policy.and_then(|policy| policy.egress_proxy.as_ref()) {
                    told.field("spec.outboundTrafficPolicy", "egressProxy", proxy, "Istio's own check calls it deprecated", "send such hosts through an egress gateway by ServiceEntries and VirtualServices");
                }
            }
            _ => {}
        }
    }
}

struct Told<'c, 'a> {
    context: &'c Context<'a>,
    resource: &'c Resource,
    findings: &'c mut Vec<Finding>,
}

impl Told<'_, '_> {
    fn of_rule(&mut self, path: &str, rule: &HttpRoute) {
        const SAME: &str = "`mirrorPercentage` says the same";
        for (name, percent) in [("mirrorPercent", &rule.mirror_percent), ("mirror_percent", &rule.mirror_percent_snake_case)] {
            let Some(percent) = percent else { continue };
            let new = NewField::number("value", percent.value.min(100)).within("mirrorPercentage");
            let is_alone = rule.mirror_percentage.is_none();
            self.replaced(path, name, percent, SAME, &new, is_alone.then_some(true));
        }
        let delay = rule.fault.as_ref().and_then(|fault| fault.delay.as_ref());
        if let Some(delay) = delay
            && let Some(percent) = delay.percent.as_ref().filter(|percent| percent.value > 0)
        {
            let new = NewField::number("value", percent.value.min(100)).within("percentage");
            let is_alone = delay.percentage.is_none();
            let path = format!("{path}.fault.delay");
            self.replaced(&path, "percent", percent, "`percentage` says the same", &new, is_alone.then_some(true));
        }
        if let Some(policy) = &rule.cors_policy
            && let Some(first) = policy.allow_origin.first()
        {
            let items: Vec<String> = policy.allow_origin.iter().map(|origin| format!("{{exact: \"{}\"}}", origin.value)).collect();
            let help = format!("write `allowOrigins: [{}]`", items.join(", "));
            self.field(&format!("{path}.corsPolicy"), "allowOrigin", first, "`allowOrigins` says the same", &help);
        }
    }

    fn of_policies(&mut self) {
        let Spec::DestinationRule(spec) = &self.resource.spec else { return };
        for policy in policies(spec) {
            if let Some(balancer) = policy.load_balancer {
                let path = format!("{}.loadBalancer", policy.path);
                if let Some(simple) = balancer.simple.as_ref().filter(|simple| simple.value == SimpleLb::LeastConn) {
                    self.value(&path, simple);
                }
                if let Some(duration) = &balancer.warmup_duration_secs {
                    let new = NewField::word("duration", &duration.value.to_string()).within("warmup");
                    let is_alone = balancer.warmup.is_none();
                    self.replaced(&path, "warmupDurationSecs", duration, "`warmup` says the same", &new, is_alone.then_some(true));
                }
                let hash = balancer.consistent_hash.as_ref();
                if let Some(hash) = hash
                    && let Some(size) = hash.minimum_ring_size.as_ref().filter(|size| size.value > 0)
                {
                    let new = NewField::number("minimumRingSize", size.value).within("ringHash");
                    let is_alone = hash.ring_hash.is_none() && hash.maglev.is_none();
                    let path = format!("{path}.consistentHash");
                    self.replaced(&path, "minimumRingSize", size, "`ringHash` says the same", &new, is_alone.then_some(true));
                }
            }
            if let Some(outliers) = policy.outlier_detection
                && let Some(errors) = outliers.consecutive_errors.as_ref().filter(|errors| errors.value != 0)
            {
                let path = format!("{}.outlierDetection", policy.path);
                let why = "Istio does not read it any more, so that the number that holds is that of `consecutive5xxErrors`";
                let new = NewField::number("consecutive5xxErrors", errors.value);
                let is_alone = outliers.consecutive_5xx_errors.is_none() && errors.value > 0;
                self.replaced(&path, "consecutiveErrors", errors, why, &new, is_alone.then_some(false));
            }
        }
    }

    /// A field with another that takes its place; `safe`: none where both are written.
    fn replaced<T>(&mut self, path: &str, name: &str, field: &Spanned<T>, why: &str, new: &NewField<'_>, safe: Option<bool>) {
        let title = format!("write `{}: {}`", new.name, new.yaml);
        let help = if safe.is_some() { title.clone() } else { format!("remove it: `{}` is written too", new.name) };
        let edit = safe.and_then(|_| self.context.field_replacement(self.resource.location(field.whole()), new));
        self.field(path, name, field, why, &help);
        let (Some(safe), Some(edit), Some(finding)) = (safe, edit, self.findings.last_mut()) else { return };
        finding.fix = Some(Fix { safe, title, edits: vec![edit] });
    }

    fn field<T>(&mut self, path: &str, name: &str, field: &Spanned<T>, why: &str, help: &str) {
        let span = if field.key.is_empty() { field.span } else { field.key };
        let finding = Finding::new(RULE.info, self.resource.location(span), format!("`{name}` is deprecated: {why}"))
            .help(help)
            .resource(self.resource.resource_name())
            .field(format!("{path}.{name}"));
        self.findings.push(finding);
    }

    fn value(&mut self, path: &str, simple: &Spanned<SimpleLb>) {
        let place = self.resource.location(simple.span);
        let mut finding = Finding::new(RULE.info, place, "`LEAST_CONN` is deprecated: `LEAST_REQUEST` is its name now")
            .help("write `LEAST_REQUEST`")
            .resource(self.resource.resource_name())
            .field(format!("{path}.simple"));
        let edit: Option<Edit> = self.context.replacement(place, SimpleLb::LeastRequest.name());
        finding.fix = edit.map(|edit| Fix { safe: true, title: "write `LEAST_REQUEST`".to_owned(), edits: vec![edit] });
        self.findings.push(finding);
    }
}
