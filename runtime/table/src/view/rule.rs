use super::{at, view};
use crate::{
    format::{Section, U32},
    table,
};

view! {
    /// A rule of a VirtualService. Its index is the one to keep counters by; its id survives a new table.
    Rule, RuleRecord, Rules
}

view! {
    /// What is shown of a rule, or of its delegate's.
    Source, SourceRecord, Sources
}

view! {
    /// A place in the files.
    Location, LocationRecord, Locations
}

view! {
    /// A route that was left out of a virtual host, since no request comes to it: what the source map keeps of it.
    Removed, RemovedRecord, Removed
}

impl<'t> Removed<'t> {
    /// Its place among the routes of the virtual host, those that were left out included.
    pub fn position(&self) -> u32 {
        self.record.position.get()
    }

    /// The rule that it was of.
    pub fn source(&self) -> Option<Source<'t>> {
        at(self.table, self.record.source.get())
    }

    /// The rules that together take all that it asks for; none: it asks for what no request has.
    pub fn taken_by(&self) -> impl Iterator<Item = Source<'t>> {
        let table = self.table;
        let takers: &[U32] = table.range(Section::Takers, self.record.taken_by);
        takers.iter().filter_map(move |taker| at(table, taker.get()))
    }
}

impl<'t> Rule<'t> {
    /// The same in every table that has the rule: of its namespace, name, section, indexes, delegate.
    pub fn id(&self) -> u64 {
        self.record.id.get()
    }

    /// What the source map says of it.
    pub fn source(&self) -> Option<Source<'t>> {
        at(self.table, self.index())
    }
}

impl<'t> Source<'t> {
    /// Namespace of the VirtualService.
    pub fn namespace(&self) -> &'t str {
        self.table.source_str(self.record.namespace)
    }

    /// Its name.
    pub fn name(&self) -> &'t str {
        self.table.source_str(self.record.name)
    }

    /// `http`, `tls` or `tcp`.
    pub fn section(&self) -> &'t str {
        self.table.source_str(self.record.section)
    }

    /// Index of the rule in the section.
    pub fn rule_index(&self) -> u32 {
        self.record.index.get()
    }

    /// Index in `match`, if there is a match.
    pub fn match_index(&self) -> Option<u32> {
        table::index(self.record.match_index)
    }

    /// What the access log calls the route.
    pub fn route_name(&self) -> Option<&'t str> {
        self.record.route_name.is_some().then(|| self.table.source_str(self.record.route_name))
    }

    /// Path of the file, relative to the root of the mesh.
    pub fn file(&self) -> &'t str {
        self.table.source_str(self.record.file)
    }

    /// Line, from 1.
    pub fn line(&self) -> u32 {
        self.record.line.get()
    }

    /// The delegate's rule, where there is one.
    pub fn delegate(&self) -> Option<Source<'t>> {
        at(self.table, table::index(self.record.delegate)?)
    }

    /// As the contract writes it.
    pub fn to_rule(&self) -> crate::Rule {
        let mut rules: Vec<crate::Rule> = Vec::new();
        let mut next = Some(*self);
        while let Some(source) = next {
            rules.push(source.without_delegate());
            next = source.delegate();
        }
        let inside = |delegate: Option<Box<crate::Rule>>, rule| Some(Box::new(crate::Rule { delegate, ..rule }));
        rules.into_iter().rev().fold(None, inside).map_or_else(crate::Rule::default, |rule| *rule)
    }

    fn without_delegate(&self) -> crate::Rule {
        crate::Rule {
            kind: "VirtualService".to_owned(),
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
            section: self.section().to_owned(),
            index: self.rule_index(),
            match_index: self.match_index(),
            route_name: self.route_name().map(str::to_owned),
            file: self.file().to_owned(),
            line: self.line(),
            delegate: None,
        }
    }
}

impl<'t> Location<'t> {
    /// Path of the file, relative to the root of the mesh.
    pub fn file(&self) -> &'t str {
        self.table.source_str(self.record.file)
    }

    /// Line, from 1.
    pub fn line(&self) -> u32 {
        self.record.line.get()
    }
}
