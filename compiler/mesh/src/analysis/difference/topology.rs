//! What gateways take from whoever stands in front of them: settings of the whole mesh.

use super::{Class, Detail, Difference, Frame, Sides, paths};
use crate::analysis::Names;
use crate::analysis::host::entrance_of_table;
use crate::program::{GatewayTopology, Listener, Role};
use malha_table::{Lines, Request};

/// One setting: its name, what requests notice it, how it reads, and what headers such a request has.
struct Setting {
    what: &'static str,
    region: &'static str,
    value: fn(GatewayTopology) -> String,
    headers: &'static [(&'static str, &'static str)],
}

const SETTINGS: [Setting; 3] = [
    Setting {
        what: "trusted proxies",
        region: "whose x-forwarded-for or x-forwarded-proto tells of another client",
        value: |topology| topology.trusted_proxies.to_string(),
        headers: &[("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https")],
    },
    Setting {
        what: "x-forwarded-client-cert",
        region: "with an x-forwarded-client-cert, or of clients that show a certificate",
        value: |topology| topology.client_cert.name().to_owned(),
        headers: &[("x-forwarded-client-cert", "Hash=00")],
    },
    Setting {
        what: "PROXY protocol",
        region: "on every connection, by whether it begins with a header of the PROXY protocol",
        value: |topology| if topology.proxy_protocol { "required" } else { "none" }.to_owned(),
        headers: &[],
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
            let domain = table.virtual_hosts.iter().flat_map(|host| &host.domains).next()?;
            let entrance = entrance_of_table(proxy, frame.listener, chain, &Names::of_domain(domain, [table]));
            let line = |(name, value): &(&str, &str)| ((*name).to_owned(), Lines::One((*value).to_owned()));
            Some(Request { headers: setting.headers.iter().map(line).collect(), ..entrance.to_host() })
        });
        let details = vec![Detail { what: setting.what.to_owned(), before, after }];
        let (host, region) = ("*".to_owned(), setting.region.to_owned());
        frame.tell(Class::Rerouted, Difference { host, region, request, details, ..Difference::default() });
    }
}
