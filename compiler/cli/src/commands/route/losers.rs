//! Why the other routes did not take a request.

use super::place::{proxy, rule, tables};
use crate::words;
use malha_mesh::{
    analysis::unreached,
    program::{Program, RouteTable, VirtualHost},
    unmet,
};
use malha_syntax::Location;
use malha_table::{Decision, Request, Rule, http::admit};
use serde::Serialize;
use std::fmt::Write as _;

/// More than these are counted, unless all are wanted.
const SHOWN: usize = 12;

/// What was tried for a request, and did not take it.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Losers {
    /// The routes before the one that took it, in the order in which they were tried.
    passed_over: Vec<PassedOver>,
    /// Where no virtual host took it, the domains that there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_hosts: Vec<String>,
}

/// A route that did not take the request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PassedOver {
    /// None for a route that no VirtualService made.
    rule: Option<Rule>,
    /// The first thing that it asks for and the request lacks, in words.
    asks_for: String,
    /// Why the decision table does without the route, if it does.
    removed: Option<String>,
}

impl Losers {
    /// Asks the program once more, which has all routes.
    pub(super) fn of(
        program: &Program,
        request: &Request,
        decision: &Decision,
        places: &dyn Fn(Location) -> (String, u32),
    ) -> Losers {
        let Some(proxy) = proxy(program, decision) else { return Losers::default() };
        let Ok(head) = admit(request, program.settings.http(proxy.role)) else { return Losers::default() };
        let Some(host) = &decision.host else {
            let hosts = tables(proxy, decision).flat_map(|table| &table.virtual_hosts);
            let domains = hosts.filter(|host| host.catch_all.is_none()).flat_map(|host| &host.domains);
            let other_hosts = domains.map(ToString::to_string).collect();
            return Losers { passed_over: Vec::new(), other_hosts };
        };
        let Some(host) = tables(proxy, decision).find_map(|table| virtual_host(table, host)) else {
            return Losers::default();
        };
        let mut losers = Losers::default();
        let mut removed = unreached(host).iter().peekable();
        for (number, route) in host.routes.iter().enumerate() {
            let Some(missing) = unmet(&route.predicate, &head) else { break };
            losers.passed_over.push(PassedOver {
                rule: route.origin.as_deref().map(|origin| rule(origin, places)),
                asks_for: words::unmet(missing),
                removed: removed.next_if(|one| one.route == number).map(|one| words::removed(&host.routes, one)),
            });
        }
        losers
    }

    /// A line each: of all, or of the first.
    pub(super) fn pretty(&self, all: bool) -> String {
        let mut lines = Vec::with_capacity(self.passed_over.len());
        for PassedOver { rule, asks_for, removed } in &self.passed_over {
            let mut line = asks_for.clone();
            if let Some(Rule { namespace, name, file, line: number, .. }) = rule {
                let _ = write!(line, " of {namespace}/{name} at {file}:{number}");
            }
            if let Some(why) = removed {
                let _ = write!(line, " (removed: {why})");
            }
            lines.push(line);
        }
        let mut page = String::new();
        for (heading, lines) in [("not taken: asks for", &lines), ("the listener's hosts", &self.other_hosts)] {
            list(heading, lines, all, &mut page);
        }
        page
    }
}

fn list(heading: &str, lines: &[String], all: bool, page: &mut String) {
    if lines.is_empty() {
        return;
    }
    let shown = if all { lines.len() } else { SHOWN };
    let _ = writeln!(page, "{heading}");
    for line in lines.iter().take(shown) {
        let _ = writeln!(page, "  {line}");
    }
    if lines.len() > shown {
        let _ = writeln!(page, "  and {} more; `--all` shows them", lines.len() - shown);
    }
}

fn virtual_host<'p>(table: &'p RouteTable, domain: &str) -> Option<&'p VirtualHost> {
    table.virtual_hosts.iter().find(|host| host.domains.iter().any(|known| known == domain)).map(|host| &**host)
}
