//! Route tables, virtual hosts, and the predicates of their routes.

use super::{ReadError, Reader, fallback, strings};
use malha_algebra::re2::Pattern;
use malha_algebra::{Condition, Field, PathTest, Predicate, ValueTest};
use malha_mesh::program::{Route, RouteTable, VirtualHost};
use malha_table::view;
use std::sync::Arc;

impl Reader {
    pub(super) fn route_table(&mut self, table: &view::RouteTable<'_>) -> Result<RouteTable, ReadError> {
        let hosts = table.virtual_hosts().map(|host| self.virtual_host(&host));
        let virtual_hosts = hosts.collect::<Result<_, _>>()?;
        Ok(RouteTable { name: table.name().into(), counts_ports: table.counts_ports(), virtual_hosts })
    }

    fn virtual_host(&mut self, host: &view::VirtualHost<'_>) -> Result<Arc<VirtualHost>, ReadError> {
        if let Some(known) = self.virtual_hosts.get(&host.index()) {
            return Ok(Arc::clone(known));
        }
        let mut routes = Vec::with_capacity(host.routes().len());
        for route in host.routes() {
            let Some(action) = route.action() else { continue };
            routes.push(Route {
                predicate: predicate(&route, host)?,
                action: self.action(&action)?,
                origin: self.rule(route.rule()),
            });
        }
        let made = Arc::new(VirtualHost {
            domains: strings(host.domains()),
            require_tls: host.requires_tls(),
            routes: routes.into(),
            catch_all: host.catch_all().map(fallback),
            ..VirtualHost::default()
        });
        self.virtual_hosts.insert(host.index(), Arc::clone(&made));
        Ok(made)
    }
}

fn predicate<'t>(route: &view::Route<'t>, host: &view::VirtualHost<'t>) -> Result<Predicate, ReadError> {
    let path = match route.path_test() {
        view::PathTest::Any => PathTest::Any,
        view::PathTest::Exact { value, ignore_case } => PathTest::Exact { value: value.into(), ignore_case },
        view::PathTest::Prefix { value, ignore_case } => PathTest::Prefix { value: value.into(), ignore_case },
        view::PathTest::Regex(text) => PathTest::Regex(pattern(text)?),
    };
    let mut predicate = Predicate { path, ..Predicate::any() };
    for condition in route.conditions(host) {
        predicate.conditions.push(Condition {
            field: field(condition.field()),
            test: value_test(condition.test())?,
            negated: condition.is_negated(),
        });
    }
    Ok(predicate)
}

fn field(field: view::Field<'_>) -> Field {
    match field {
        view::Field::Method => Field::Method,
        view::Field::Scheme => Field::Scheme,
        view::Field::Authority => Field::Authority,
        view::Field::PathWithQuery => Field::PathWithQuery,
        view::Field::Header(name) => Field::Header(name.into()),
        view::Field::Query(name) => Field::Query(name.into()),
        view::Field::Claim(name) => Field::Claim(name.into()),
    }
}

pub(super) fn value_test(test: view::ValueTest<'_>) -> Result<ValueTest, ReadError> {
    Ok(match test.kind() {
        view::ValueTestKind::Present => ValueTest::Present,
        view::ValueTestKind::Exact(value) => ValueTest::Exact(value.into()),
        view::ValueTestKind::Prefix(value) => ValueTest::Prefix(value.into()),
        view::ValueTestKind::Regex(regex) => ValueTest::Regex(pattern(regex)?),
    })
}

pub(super) fn pattern(text: &str) -> Result<Pattern, ReadError> {
    Pattern::parse(text)
        .map_err(|error| ReadError { what: format!("the regular expression `{text}`"), reason: error.to_string() })
}
