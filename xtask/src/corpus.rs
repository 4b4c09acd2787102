//! A config repository of any size, the same for the same numbers: what the benches and the scale tests read.

use std::fmt::Write;

/// Services that the rules send to; each has two subsets.
const SERVICES: u64 = 200;

/// A file with `count` VirtualServices of about 2 kB each (four rules, eight destinations), one Gateway, and the
/// Services and DestinationRules they refer to. `check` has nothing to say about it.
pub(crate) fn corpus(count: u64) -> String {
    let mut out = String::with_capacity(usize::try_from(count).unwrap_or(0).saturating_mul(2200) + 200_000);
    out.push_str(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata:\n  name: public\n  namespace: edge\nspec:\n  \
         selector:\n    istio: ingressgateway\n  servers:\n  - port:\n      number: 80\n      name: http\n      \
         protocol: HTTP\n    hosts:\n    - \"*.example.com\"\n",
    );
    for service in 0..SERVICES {
        service_with_subsets(&mut out, service);
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for index in 0..count {
        virtual_service(&mut out, index, &mut dice);
    }
    out
}

fn service_with_subsets(out: &mut String, service: u64) {
    let namespace = service % 20;
    let _ = write!(
        out,
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: svc-{service}\n  namespace: team-{namespace}\nspec:\n  \
         selector:\n    app: svc-{service}\n  ports:\n  - name: http\n    port: 8080\n---\n\
         apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: svc-{service}\n  \
         namespace: team-{namespace}\nspec:\n  host: svc-{service}\n  subsets:\n"
    );
    for version in ["v1", "v2"] {
        let _ = write!(out, "  - name: {version}\n    labels:\n      version: {version}\n");
    }
}

fn virtual_service(out: &mut String, index: u64, dice: &mut Dice) {
    let namespace = index % 20;
    let _ = write!(
        out,
        "---\n# Owned by team {namespace}\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  \
         name: app-{index}\n  namespace: team-{namespace}\n  labels:\n    app.kubernetes.io/name: app-{index}\n    \
         app.kubernetes.io/managed-by: \"argo\"\n  annotations:\n    owner: team-{namespace}@example.com\nspec:\n  \
         hosts:\n  - app-{index}.example.com\n  gateways:\n  - edge/public\n  http:\n"
    );
    for rule in 0..3 {
        let depth = dice.below(1000);
        match dice.below(3) {
            0 => {
                let _ = write!(
                    out,
                    "  - name: rule-{rule}\n    match:\n    - uri:\n        prefix: /api/v{rule}/p{depth}/\n"
                );
            }
            1 => {
                let _ = write!(
                    out,
                    "  - name: rule-{rule}\n    match:\n    - uri:\n        exact: /api/v{rule}/item{depth}\n"
                );
            }
            _ => {
                let _ = write!(
                    out,
                    "  - name: rule-{rule}\n    match:\n    - uri:\n        prefix: /v{rule}/area{depth}\n      headers:\n        \
                     x-tenant:\n          exact: \"tenant-{depth}\"\n      method:\n        exact: GET\n"
                );
            }
        }
        if dice.below(4) == 0 {
            let _ = write!(
                out,
                "    - queryParams:\n        channel:\n          exact: beta\n      uri:\n        prefix: /beta{rule}/\n"
            );
        }
        destinations(out, namespace, dice);
        let _ = write!(
            out,
            "    timeout: {}s\n    retries:\n      attempts: {}\n      perTryTimeout: 2s\n      \
             retryOn: connect-failure,refused-stream\n",
            5 + dice.below(20),
            1 + dice.below(3)
        );
        if dice.below(3) == 0 {
            out.push_str(
                "    headers:\n      request:\n        set:\n          x-forwarded-prefix: /api\n      response:\n        \
                 remove:\n        - x-powered-by\n",
            );
        }
    }
    out.push_str("  - name: default\n");
    destinations(out, namespace, dice);
}

fn destinations(out: &mut String, namespace: u64, dice: &mut Dice) {
    out.push_str("    route:\n");
    let weight = 50 + dice.below(50);
    let service = dice.below(SERVICES / 20) * 20 + namespace;
    for (version, share) in [("v1", weight), ("v2", 100 - weight)] {
        let _ = write!(
            out,
            "    - destination:\n        host: svc-{service}.team-{namespace}.svc.cluster.local\n        subset: \
             {version}\n        port:\n          number: 8080\n      weight: {share}\n"
        );
    }
}

/// A small repeatable generator (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
