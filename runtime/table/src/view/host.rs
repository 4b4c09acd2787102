use super::{Action, Fallback, Removed, Rule, ValueTest, Views, at, view};
use crate::{
    format::{Range, RemovedRecord, Section},
    http::Matched,
    table,
};

view! {
    /// Virtual hosts of one listener or server.
    RouteTable, RouteTableRecord, RouteTables
}

view! {
    /// One virtual host.
    VirtualHost, VirtualHostRecord, VirtualHosts
}

view! {
    /// One route: a match of a rule, or a route that no rule made.
    Route, RouteRecord, Routes
}

view! {
    /// A condition of a route beside its path.
    Condition, ConditionRecord, Conditions
}

/// What the path of a request must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathTest<'t> {
    /// Any that begins with `/`.
    Any,
    /// The whole path.
    Exact {
        /// The path.
        value: &'t str,
        /// ASCII case does not count.
        ignore_case: bool,
    },
    /// A plain string prefix.
    Prefix {
        /// The prefix.
        value: &'t str,
        /// ASCII case does not count.
        ignore_case: bool,
    },
    /// The whole path is in the pattern's language; the pattern as the file has it.
    Regex(&'t str),
}

/// A field that a condition reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'t> {
    /// `:method`.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority` as sent.
    Authority,
    /// `:path` as a header name: path with query.
    PathWithQuery,
    /// The lines of a header; the name is in lower case.
    Header(&'t str),
    /// The first occurrence of a query parameter.
    Query(&'t str),
    /// A claim of the request's token; without one it is absent.
    Claim(&'t str),
}

impl<'t> RouteTable<'t> {
    /// Istio's name for it, as `http.8080`.
    pub fn name(&self) -> &'t str {
        self.table.str(self.record.name)
    }

    /// Whether the port of a Host counts, so that domains have one (semantics E39).
    pub fn counts_ports(&self) -> bool {
        self.record.counts_ports.get() == 1
    }

    /// Its virtual hosts.
    pub fn virtual_hosts(&self) -> impl Iterator<Item = VirtualHost<'t>> {
        let table = self.table;
        table.numbers(self.record.virtual_hosts).iter().filter_map(move |number| at(table, number.get()))
    }
}

impl<'t> VirtualHost<'t> {
    /// Exact, `*.suffix` or `*`; lower case.
    pub fn domains(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.domains)
    }

    /// Plain requests are redirected to https (semantics A38).
    pub fn requires_tls(&self) -> bool {
        self.record.require_tls.get() == 1
    }

    /// Set for the mesh's own catch-all, which reports no host (semantics B39).
    pub fn catch_all(&self) -> Option<Fallback> {
        self.record.catch_all.get().checked_sub(1).map(Fallback::read)
    }

    /// Its routes, in order; the first that matches takes the request.
    pub fn routes(&self) -> Views<'t, Route<'t>> {
        Views::range(self.table, self.record.routes)
    }

    /// The routes that were left out of it, by position. Where virtual hosts are alike in all but these, they are one,
    /// and these are the routes left out of all of them.
    pub fn removed(&self) -> Views<'t, Removed<'t>> {
        let all: &[RemovedRecord] = self.table.section(Section::Removed);
        let first = all.partition_point(|removed| removed.virtual_host.get() < self.index());
        let end = all.partition_point(|removed| removed.virtual_host.get() <= self.index());
        let (first, count) = (first as u32, end.saturating_sub(first) as u32);
        Views::range(self.table, Range { first: first.into(), count: count.into() })
    }
}

impl<'t> Route<'t> {
    /// The rule that it comes from; none for a route that no VirtualService made.
    pub fn rule(&self) -> Option<Rule<'t>> {
        at(self.table, table::index(self.record.rule)?)
    }

    /// The stable id of its rule, the same in every table that has the rule.
    pub fn rule_id(&self) -> Option<u64> {
        self.rule().map(|rule| rule.id())
    }

    /// What it does.
    pub fn action(&self) -> Option<Action<'t>> {
        at(self.table, self.record.action.get())
    }

    /// Its path test.
    pub fn path_test(&self) -> PathTest<'t> {
        let value = self.table.str(self.record.path);
        let ignore_case = self.record.ignore_case.get() == 1;
        match self.record.path_test.get() {
            0 => PathTest::Any,
            1 => PathTest::Exact { value, ignore_case },
            2 => PathTest::Prefix { value, ignore_case },
            _ => {
                let record = self.table.record::<crate::format::PatternRecord>(Section::Patterns, self.record.pattern);
                PathTest::Regex(record.map_or("", |record| self.table.str(record.text)))
            }
        }
    }

    /// How much of a path that it took its test matched, for rewriting (semantics C.2).
    pub fn matched(&self) -> Matched {
        match self.record.path_test.get() {
            0 => Matched::Prefix(1),
            2 => Matched::Prefix(self.record.path.length.get() as usize),
            _ => Matched::Whole,
        }
    }

    /// Its other conditions; `host` is the virtual host that it is in.
    pub fn conditions(&self, host: &VirtualHost<'t>) -> impl Iterator<Item = Condition<'t>> {
        let table = self.table;
        let known = table.numbers(host.record.conditions);
        let wanted = table.numbers(self.record.conditions).iter();
        wanted.filter_map(move |local| at(table, known.get(local.get() as usize)?.get()))
    }
}

impl<'t> Condition<'t> {
    /// Which field.
    pub fn field(&self) -> Field<'t> {
        let name = self.table.str(self.record.name);
        match self.record.field.get() {
            0 => Field::Method,
            1 => Field::Scheme,
            2 => Field::Authority,
            3 => Field::PathWithQuery,
            4 => Field::Header(name),
            5 => Field::Query(name),
            _ => Field::Claim(name),
        }
    }

    /// What its value must be.
    pub fn test(&self) -> ValueTest<'t> {
        ValueTest { table: self.table, record: &self.record.test }
    }

    /// `withoutHeaders`: no value may pass.
    pub fn is_negated(&self) -> bool {
        self.record.negated.get() == 1
    }
}
