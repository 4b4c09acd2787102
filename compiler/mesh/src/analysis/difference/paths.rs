//! How paths are normalised: a setting of the whole mesh that every request may notice.

use super::{Class, Detail, Difference, Frame, Side, Sides};
use crate::analysis::Names;
use crate::analysis::host::entrance_of_table;
use crate::program::{Filter, FilterChain, Listener, RouteTable};
use malha_table::Request;
use malha_table::http::normalize_path;

/// Paths that some normalisation changes.
const PATHS: [&str; 5] = ["/a//b", "/a/../b", "/a%2Fb", "/a%41", "/a\\b"];

/// The first route table of a listener, with the chain that leads there.
pub(super) fn table<'p>(side: Side<'p>, listener: Option<&'p Listener>) -> Option<(&'p FilterChain, &'p RouteTable)> {
    listener?.filter_chains.iter().find_map(|chain| match chain.filter {
        Filter::Http(index) => Some((chain, side.proxy?.program.route_tables.get(index)?)),
        Filter::Tcp(_) => None,
    })
}

pub(super) fn compare(sides: &Sides<'_>, old: Option<&Listener>, new: Option<&Listener>, frame: &mut Frame<'_>) {
    let mode = |side: Side<'_>| side.program.settings.path_normalization;
    let (before, after) = (mode(sides.old), mode(sides.new));
    if before == after || table(sides.old, old).is_none() {
        return;
    }
    let Some((chain, table)) = table(sides.new, new) else { return };
    let Some(proxy) = sides.new.proxy else { return };
    let path = PATHS.into_iter().find(|path| normalize_path(path, before) != normalize_path(path, after));
    let domain = table.virtual_hosts.iter().flat_map(|host| &host.domains).next();
    let request = path.zip(domain).map(|(path, domain)| {
        let names = Names::of_domain(domain, [table]);
        let entrance = entrance_of_table(proxy, frame.listener, chain, &names);
        Request { path: Some(path.to_owned()), ..entrance.to_host() }
    });
    let details = vec![Detail {
        what: "path normalisation".to_owned(),
        before: format!("{before:?}"),
        after: format!("{after:?}"),
    }];
    let region = format!("whose path is normalised in another way, as {}", path.unwrap_or("some are"));
    frame.tell(Class::Rerouted, Difference { host: "*".to_owned(), region, request, details, ..Difference::default() });
}
