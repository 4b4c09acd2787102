//! Which virtual host takes a Host (semantics A34, A35).

use crate::{
    format::{self, DomainSlot, Section, Str},
    http::port_start,
    table,
    view::{RouteTable, VirtualHost, at},
};

/// A virtual host, and how it was found.
#[derive(Clone, Copy, Debug)]
pub struct HostMatch<'t> {
    /// The virtual host.
    pub host: VirtualHost<'t>,
    /// None: `*`.
    domain: Option<Str>,
}

impl<'t> HostMatch<'t> {
    /// Its domain that matched.
    pub fn domain(&self) -> &'t str {
        self.domain.map_or("*", |domain| self.host.table.str(domain))
    }
}

impl<'t> RouteTable<'t> {
    /// The virtual host for an authority, as sent: the exact domain, else the longest `*.suffix`, else `*`.
    pub fn find_host(&self, authority: &str) -> Option<HostMatch<'t>> {
        let end = if self.counts_ports() { None } else { port_start(authority) };
        let host = end.map_or(authority, |colon| &authority[..colon]).as_bytes();
        let mut buffer = [0; 256];
        let long;
        let key = if let Some(lower) = buffer.get_mut(..host.len()) {
            lower.copy_from_slice(host);
            lower.make_ascii_lowercase();
            &*lower
        } else {
            long = host.to_ascii_lowercase();
            &long
        };
        self.exact(key).or_else(|| self.wildcard(key)).or_else(|| {
            let host = at(self.table, table::index(self.record.default_host)?)?;
            Some(HostMatch { host, domain: None })
        })
    }

    fn exact(&self, key: &[u8]) -> Option<HostMatch<'t>> {
        self.slot(format::hash(key), |domain| domain == key)
    }

    fn wildcard(&self, key: &[u8]) -> Option<HostMatch<'t>> {
        // The lengths are in descending order, so that the first hit is the longest.
        self.table.numbers(self.record.suffix_lengths).iter().find_map(|length| {
            let start = key.len().checked_sub(length.get() as usize).filter(|&start| start > 0)?;
            let suffix = key.get(start..)?;
            self.slot(format::hash(suffix), |domain| domain.strip_prefix(b"*") == Some(suffix))
        })
    }

    fn slot(&self, hash: u64, is_it: impl Fn(&[u8]) -> bool) -> Option<HostMatch<'t>> {
        let slots: &[DomainSlot] = self.table.range(Section::DomainSlots, self.record.domains);
        let found = probe(slots, hash, |slot| {
            let occupied = slot.domain.is_some().then_some(slot.hash.get());
            (occupied, is_it(self.table.str_bytes(slot.domain)))
        })?;
        let host = at(self.table, found.virtual_host.get())?;
        Some(HostMatch { host, domain: Some(found.domain) })
    }
}

/// Finds a slot of a linearly probed hash table. `look` gives the upper half of the hash of an occupied slot, and
/// whether it is the one.
pub(super) fn probe<S>(slots: &[S], hash: u64, look: impl Fn(&S) -> (Option<u32>, bool)) -> Option<&S> {
    let mask = slots.len().checked_sub(1)?;
    let home = format::home(hash, slots.len());
    for step in 0..slots.len() {
        let slot = slots.get((home + step) & mask)?;
        let (occupied, is_it) = look(slot);
        if occupied? == (hash >> 32) as u32 && is_it {
            return Some(slot);
        }
    }
    None
}
