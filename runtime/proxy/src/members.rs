//! The endpoints of a cluster as they are now: those that are addresses, and what the names of others stand for
//! (semantics E4 to E6).

use crate::{
    cluster::EndpointState,
    levels::{Level, Place},
    names::{self, Addresses, Family},
    pool::EndpointAddress,
};
use malha_table::view::LoadBalancer;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

/// All endpoints, and where they are.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) endpoints: Vec<Arc<EndpointState>>,
    /// Those by priority and locality, the nearest first.
    pub(crate) levels: Vec<Level>,
    addresses: HashSet<EndpointAddress>,
}

/// An endpoint as a table says it: an address, or a name.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) address: EndpointAddress,
    pub(crate) weight: u32,
    /// Its number as a destination, for counting.
    pub(crate) destination: u32,
    pub(crate) priority: u32,
    pub(crate) locality: Box<str>,
    /// None: localities do not count.
    pub(crate) locality_weight: Option<u32>,
}

impl Written {
    /// The name that is to be looked up for it; none: it is an address, or a name of this machine.
    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        let is_name = !self.address.is_fixed() && !names::is_loopback(&self.address.host);
        is_name.then_some(&self.address.host)
    }
}

/// How members are made of what a table says.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) written: Vec<Written>,
    pub(crate) load_balancer: LoadBalancer,
    /// Whether a name is one host, wherever it leads to.
    pub(crate) is_logical: bool,
    pub(crate) family: Family,
}

impl Recipe {
    /// The names to look up.
    pub(crate) fn names(&self) -> BTreeSet<Arc<str>> {
        self.written.iter().filter_map(Written::name).cloned().collect()
    }

    /// The members now, where `answer` gives the addresses of a name. What is known of those before that stay goes on;
    /// others come at `now`.
    pub(crate) fn members(&self, before: &Members, now: u64, answer: impl Fn(&str) -> Option<Addresses>) -> Members {
        let mut known: HashMap<&EndpointAddress, Vec<&Arc<EndpointState>>> = HashMap::new();
        for endpoint in &before.endpoints {
            known.entry(&endpoint.address).or_default().push(endpoint);
        }
        let state = |written: &Written, address: EndpointAddress| {
            let is_named = !written.address.is_fixed();
            let same = known.get(&address).map(Vec::as_slice).unwrap_or_default();
            let alike = same.iter().find(|known| known.weight == written.weight && known.is_named == is_named);
            let other = || {
                let new = || EndpointState::new(address.clone(), is_named, written.weight, now);
                Arc::new(same.first().map_or_else(new, |known| known.weighing(is_named, written.weight)))
            };
            let state = alike.map_or_else(other, |known| Arc::clone(known));
            state.destination.store(written.destination, Ordering::Relaxed);
            state
        };
        let (mut endpoints, mut placed) = (Vec::new(), Vec::new());
        for written in &self.written {
            for address in self.addresses(written, &answer) {
                endpoints.push(state(written, address));
                let Written { priority, locality, locality_weight, .. } = written;
                placed.push(Place { priority: *priority, locality, weight: *locality_weight });
            }
        }
        Members {
            levels: Level::all(&endpoints, &placed, self.load_balancer, &before.levels),
            addresses: endpoints.iter().map(|endpoint| endpoint.address.clone()).collect(),
            endpoints,
        }
    }

    /// Where an endpoint is now.
    fn addresses(&self, written: &Written, answer: impl Fn(&str) -> Option<Addresses>) -> Vec<EndpointAddress> {
        let at = |ip: IpAddr| EndpointAddress { host: ip.to_string().into(), port: written.address.port };
        match written.name() {
            None if written.address.is_fixed() => vec![written.address.clone()],
            None => vec![at(self.family.loopback())],
            Some(name) => match answer(name) {
                None => Vec::new(),
                // It is dialled by its name.
                Some(addresses) if self.is_logical && !addresses.is_empty() => vec![written.address.clone()],
                Some(addresses) => addresses.iter().copied().map(at).collect(),
            },
        }
    }
}

impl Members {
    /// Of one endpoint.
    pub(crate) fn only(endpoint: EndpointState) -> Self {
        Members::flat(vec![Arc::new(endpoint)])
    }

    /// All alike.
    pub(crate) fn flat(endpoints: Vec<Arc<EndpointState>>) -> Self {
        let addresses = endpoints.iter().map(|endpoint| endpoint.address.clone()).collect();
        Members { levels: Level::only(endpoints.len()), endpoints, addresses }
    }

    /// Whether an endpoint is there.
    pub(crate) fn has(&self, address: &EndpointAddress) -> bool {
        self.addresses.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(host: &str, weight: u32, locality: &str) -> Written {
        Written {
            address: EndpointAddress { host: host.into(), port: if host.starts_with('/') { 0 } else { 80 } },
            weight,
            destination: 7,
            priority: 0,
            locality: locality.into(),
            locality_weight: None,
        }
    }

    fn recipe(written: Vec<Written>, is_logical: bool) -> Recipe {
        Recipe { written, load_balancer: LoadBalancer::RoundRobin, is_logical, family: Family::V4 }
    }

    fn told(members: &Members) -> Vec<String> {
        let told = |endpoint: &Arc<EndpointState>| {
            let EndpointState { address, weight, is_named, .. } = &**endpoint;
            format!("{}:{}*{weight}{}", address.host, address.port, if *is_named { " named" } else { "" })
        };
        members.endpoints.iter().map(told).collect()
    }

    fn addresses(ips: &[&str]) -> Addresses {
        ips.iter().map(|ip| ip.parse::<IpAddr>().expect("an address")).collect()
    }

    #[test]
    fn each_address_of_a_name_is_a_host_with_the_weight_of_the_name() {
        let recipe =
            recipe(vec![written("a.org", 3, "x"), written("192.0.2.9", 1, "x"), written("b.org", 2, "y")], false);
        assert_eq!(recipe.names().iter().map(|name| &**name).collect::<Vec<_>>(), ["a.org", "b.org"]);
        let members = recipe
            .members(&Members::default(), 5, |name| (name == "a.org").then(|| addresses(&["192.0.2.1", "192.0.2.2"])));
        assert_eq!(told(&members), ["192.0.2.1:80*3 named", "192.0.2.2:80*3 named", "192.0.2.9:80*1"], "E5");
        assert!(members.has(&EndpointAddress { host: "192.0.2.2".into(), port: 80 }));
        assert!(!members.has(&EndpointAddress { host: "a.org".into(), port: 80 }));
        let none = recipe.members(&members, 6, |_| Some(Addresses::default()));
        assert_eq!(told(&none), ["192.0.2.9:80*1"], "E5: no address is an answer, too");
    }

    #[test]
    fn what_is_known_of_addresses_that_stay_goes_on() {
        let recipe = recipe(vec![written("a.org", 1, "")], false);
        let first = recipe.members(&Members::default(), 5, |_| Some(addresses(&["192.0.2.1", "192.0.2.2"])));
        let second = recipe.members(&first, 9, |_| Some(addresses(&["192.0.2.3", "192.0.2.2"])));
        assert!(Arc::ptr_eq(&first.endpoints[1], &second.endpoints[1]));
        assert_eq!((second.endpoints[0].joined, second.endpoints[1].joined), (9, 5));
        let heavier = super::Recipe { written: vec![written("a.org", 4, "")], ..recipe };
        let third = heavier.members(&second, 12, |_| Some(addresses(&["192.0.2.2"])));
        assert!(Arc::ptr_eq(&third.endpoints[0].health, &second.endpoints[1].health));
        assert_eq!((third.endpoints[0].weight, third.endpoints[0].joined), (4, 5));
    }

    #[test]
    fn a_logical_name_is_one_host() {
        let recipe = recipe(vec![written("a.org", 1, "")], true);
        let before = recipe.members(&Members::default(), 1, |_| None);
        assert!(before.endpoints.is_empty(), "E8");
        let members = recipe.members(&before, 2, |_| Some(addresses(&["192.0.2.1", "192.0.2.2"])));
        assert_eq!(told(&members), ["a.org:80*1 named"], "E6");
    }

    #[test]
    fn names_of_this_machine_and_sockets_need_no_answer() {
        let recipe =
            recipe(vec![written("a.localhost", 1, ""), written("/run/s", 1, ""), written("::1", 1, "")], false);
        assert!(recipe.names().is_empty());
        let members = recipe.members(&Members::default(), 1, |_| None);
        assert_eq!(told(&members), ["127.0.0.1:80*1 named", "/run/s:0*1", "::1:80*1"]);
    }
}
