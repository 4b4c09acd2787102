//! The sorts of connections that filter chains tell apart, and which chain has each.

use crate::interpret::connection::{Connection, filter_chain, prefix_length};
use crate::program::{FilterChain, Listener};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a client speaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speaks {
    Tls,
    Http,
    Other,
}

/// Connections that say a server name, or none, to an address of a range, or of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sort<'p> {
    pub(super) name: Option<&'p str>,
    pub(super) range: Option<&'p str>,
    pub(super) speaks: Speaks,
}

/// All sorts that two listeners tell apart.
pub(super) struct Sorts<'p> {
    pub(super) all: BTreeSet<Sort<'p>>,
    names: BTreeSet<&'p str>,
    ranges: BTreeSet<&'p str>,
}

impl<'p> Sorts<'p> {
    pub(super) fn of(old: Option<&'p Listener>, new: Option<&'p Listener>) -> Sorts<'p> {
        fn each(list: &[SmolStr]) -> impl Iterator<Item = Option<&str>> + Clone {
            list.iter().map(|text| Some(text.as_str())).chain([None])
        }
        let mut sorts = Sorts { all: BTreeSet::new(), names: BTreeSet::new(), ranges: BTreeSet::new() };
        let listeners = old.into_iter().chain(new);
        for chain in listeners.flat_map(|listener| &listener.filter_chains) {
            sorts.names.extend(chain.server_names.iter().map(SmolStr::as_str));
            sorts.ranges.extend(chain.destinations.iter().map(SmolStr::as_str));
            for name in each(&chain.server_names) {
                for range in each(&chain.destinations) {
                    let speaks: &[Speaks] =
                        if name.is_some() { &[Speaks::Tls] } else { &[Speaks::Tls, Speaks::Http, Speaks::Other] };
                    sorts.all.extend(speaks.iter().map(|&speaks| Sort { name, range, speaks }));
                }
            }
        }
        sorts
    }

    /// A server name of the sort that no narrower one has.
    pub(super) fn server_name(&self, sort: Sort<'p>) -> Option<String> {
        let name = sort.name?;
        let Some(suffix) = name.strip_prefix('*') else { return Some(name.to_owned()) };
        let is_narrower = |other: &&&str| **other != name && crate::host::is_subset(other, name);
        let narrower: Vec<&&str> = self.names.iter().filter(is_narrower).collect();
        let mut examples = ["www", "other", "x", "y", "zz9"].map(|first| format!("{first}{suffix}")).into_iter();
        examples.find(|example| !narrower.iter().any(|other| crate::host::is_subset(example, other)))
    }

    /// The names that take connections away from a wildcard's.
    pub(super) fn below(&self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.names.iter().copied().filter(move |other| *other != name && crate::host::is_subset(other, name))
    }

    /// An address of the sort's range that no narrower one has.
    pub(super) fn address(&self, sort: Sort<'p>) -> Option<IpAddr> {
        let range = sort.range?;
        let (first, length) = (range.split('/').next()?.parse::<IpAddr>().ok()?, prefix_length_of(range)?);
        let is_taken = |address: &IpAddr| {
            self.ranges.iter().any(|other| prefix_length(other, *address).is_some_and(|other| other > length))
        };
        [first, last(first, length)].into_iter().find(|address| !is_taken(address))
    }

    /// The chain that has a sort of connections; none also for a sort of which no connection can be named.
    /// What is meant by a name comes to the address of the listener that has it.
    pub(super) fn taker(
        &self,
        sort: Sort<'p>,
        listener: Option<&'p Listener>,
        is_by_name: bool,
    ) -> Option<&'p FilterChain> {
        let listener = listener.filter(|listener| listener.rejected.is_none())?;
        let is_tls = sort.speaks == Speaks::Tls;
        let address = if is_by_name { listener.address() } else { self.address(sort) };
        let connection = Connection::sample(address, self.server_name(sort), is_tls, sort.speaks == Speaks::Http);
        filter_chain(listener, &connection)
    }

    /// Whether some connection of the sort can be named.
    pub(super) fn can_be_named(&self, sort: Sort<'p>) -> bool {
        (sort.name.is_none() || self.server_name(sort).is_some())
            && (sort.range.is_none() || self.address(sort).is_some())
    }
}

fn prefix_length_of(range: &str) -> Option<u32> {
    prefix_length(range, range.split('/').next()?.parse().ok()?)
}

/// The last address of the range of this length that `first` is in.
fn last(first: IpAddr, length: u32) -> IpAddr {
    match first {
        IpAddr::V4(v4) => IpAddr::from((u32::from(v4) | u32::MAX.checked_shr(length).unwrap_or(0)).to_be_bytes()),
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) | u128::MAX.checked_shr(length).unwrap_or(0)).to_be_bytes()),
    }
}
