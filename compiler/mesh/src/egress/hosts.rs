//! The hosts of an `egress[]` entry (semantics E31, E32).

use crate::{host, registry::Service, virtual_service::VirtualService};
use hashbrown::HashMap;
use malha_model::Spanned;
use smol_str::SmolStr;

/// Host patterns by the namespace whose objects they let through; `*` is any.
pub(super) struct Hosts<'a>(HashMap<&'a str, Vec<&'a str>>);

const ANY: &str = "*";

impl<'a> Hosts<'a> {
    /// What `written` means to proxies of `namespace`.
    pub(super) fn new(written: &'a [Spanned<SmolStr>], namespace: &'a str) -> Self {
        let mut by_namespace: HashMap<&str, Vec<&str>> = HashMap::new();
        for entry in written {
            let Some((scope, pattern)) = entry.split_once('/').filter(|(_, pattern)| !pattern.contains('/')) else {
                continue;
            };
            by_namespace.entry(if scope == "." { namespace } else { scope }).or_default().push(pattern);
        }
        Hosts(by_namespace)
    }

    /// Those that let everything through.
    pub(super) fn all() -> Self {
        Hosts(HashMap::from([(ANY, vec![ANY])]))
    }

    /// The patterns by which `service` is let through, if it is: all its names must be among theirs.
    pub(super) fn of_service(&self, service: &Service) -> Option<&[&'a str]> {
        let mut patterns = self.of_namespace(&service.namespace);
        patterns.find(|patterns| covers(patterns, &service.hostname))
    }

    /// Whether `rules` are let through: some host of theirs must have a name in common with a pattern.
    pub(super) fn let_through(&self, rules: &VirtualService) -> bool {
        let mut patterns = self.of_namespace(&rules.name.namespace).flatten();
        patterns.any(|pattern| rules.hosts.iter().any(|wanted| host::matches(wanted, pattern)))
    }

    fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &[&'a str]> {
        [namespace, ANY].into_iter().filter_map(|namespace| self.0.get(namespace)).map(Vec::as_slice)
    }
}

/// Whether all names of `hostname` are among those of one of the patterns.
pub(super) fn covers(patterns: &[&str], hostname: &str) -> bool {
    patterns.iter().any(|pattern| host::is_subset(hostname, pattern))
}
