//! What gateways take from whoever stands in front of them: settings of the whole mesh.

use super::{Class, Detail, Difference, Frame, Sides, paths};
use crate::analysis::Names;
use crate::analysis::host::entrance_of_table;
use crate::program::{GatewayTopology, Listener, Role};
use malha_table::{Lines, Request};

/// One setting: its name, what requests notice it, how it reads, and what headers a request has that notices it; none: such
/// a request cannot be shown.
struct Setting {
    what: &'static str,
    region: &'static str,
    value: fn(GatewayTopology) -> String,
    headers: fn([GatewayTopology; 2]) -> Option<Headers>,
}

/// Names and values.
type Headers = Vec<(&'static str, String)>;

const SETTINGS: [Setting; 3] = [
    Setting {
        what: "trusted proxies",
        region: "whose x-forwarded-for or x-forwarded-proto tells of another client",
        value: |topology| topology.trusted_proxies.to_string(),
        headers: |topologies| {
            // One address for each that somebody trusts: of those each side takes another.
            let most = topologies.map(|topology| topology.trusted_proxies).into_iter().max()?;
            let last = u8::try_from(most).ok().filter(|&last| last < u8::MAX)?;
            let addresses: Vec<String> = (1..=last).map(|last| format!("203.0.113.{last}")).collect();
            Some(vec![("x-forwarded-for", addresses.join(", ")), ("x-forwarded-proto", "https".to_owned())])
        },
    },
    Setting {
        what: "x-forwarded-client-cert",
        region: "with an x-forwarded-client-cert, or of clients that show a certificate",
        value: |topology| topology.client_cert.name().to_owned(),
        // A request that is shown comes without a certificate.
        headers: |topologies| {
            let [before, after] = topologies.map(|topology| topology.client_cert.keeps(false));
            (before != after).then(|| vec![("x-forwarded-client-cert", "Hash=00".to_owned())])
        },
    },
    Setting {
        what: "PROXY protocol",
        region: "on every connection, by whether it begins with a header of the PROXY protocol",
        value: |topology| if topology.proxy_protocol { "required" } else { "none" }.to_owned(),
        headers: |_| Some(Vec::new()),
    },
];

pub(super) fn compare(sides: &Sides<'_>, old: Option<&Listener>, new: Option<&Listener>, frame: &mut Frame<'_>) {
    let topologies = [sides.old, sides.new].map(|side| side.program.settings.gateway_topology);
    if frame.role != Role::Gateway || topologies[0] == topologies[1] || old.is_none() || new.is_none() {
        return;
    }
    for setting in &SETTINGS {
        let [before, after] = topologies.map(setting.value);
        if before == after {
            continue;
        }
        let request = paths::table(sides.new, new).zip(sides.new.proxy).and_then(|((chain, table), proxy)| {
            let headers = (setting.headers)(topologies)?;
            let domain = table.virtual_hosts.iter().flat_map(|host| &host.domains).next()?;
            let entrance = entrance_of_table(proxy, frame.listener, chain, &Names::of_domain(domain, [table]));
            let lines = headers.into_iter().map(|(name, value)| (name.to_owned(), Lines::One(value)));
            Some(Request { headers: lines.collect(), ..entrance.to_host() })
        });
        let details = vec![Detail { what: setting.what.to_owned(), before, after }];
        let (host, region) = ("*".to_owned(), setting.region.to_owned());
        frame.tell(Class::Rerouted, Difference { host, region, request, details, ..Difference::default() });
    }
}
