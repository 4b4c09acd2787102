//! Which listener takes a connection, and which of its filter chains (semantics A.7).

use crate::{
    Role,
    http::host_key,
    view::{Chain, Connection, Listener, Proxy},
};
use std::net::IpAddr;

impl<'t> Proxy<'t> {
    /// The listener for a connection to `port`: one that is bound to the destination address (for a sidecar, where the
    /// address is not known, one that is bound to the address of the name in `authority`), else the one that is bound
    /// to none; for a gateway, without a word of the destination, else the first on the port.
    pub fn find_listener(
        &self,
        port: u32,
        destination: Option<IpAddr>,
        authority: Option<&str>,
    ) -> Option<Listener<'t>> {
        let mut on_port = self.listeners().filter(|listener| listener.port() == port);
        let on_port_again = on_port.clone();
        let bound = match (destination, authority) {
            (Some(address), _) => on_port.clone().find(|listener| listener.bind_address() == Some(address)),
            (None, Some(authority)) if self.role() == Role::Sidecar => {
                let name = host_key(authority);
                on_port.clone().find(|listener| listener.names().any(|other| other == name))
            }
            _ => None,
        };
        let mut any = on_port_again.filter(|listener| listener.bind().is_none());
        bound
            .or_else(|| any.next())
            .or_else(|| on_port.next().filter(|_| self.role() == Role::Gateway && destination.is_none()))
    }
}

/// How well a chain fits a connection by one criterion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The chain asks for something else.
    Misses,
    /// The chain asks for nothing.
    Indifferent,
    /// The chain asks for what is so, this specifically.
    Fits(u32),
}

impl<'t> Listener<'t> {
    fn bind_address(&self) -> Option<IpAddr> {
        self.bind()?.parse().ok()
    }

    /// The filter chain for a connection: by destination range, then server name, then transport, then first bytes. Of
    /// each criterion the most specific chains that there are stay; a later miss does not lead back to a less specific
    /// one (semantics A52 to A55).
    pub fn select_chain(&self, connection: &Connection<'_>) -> Option<Chain<'t>> {
        let criteria: [fn(&Chain<'_>, &Connection<'_>) -> Fit; 4] =
            [by_destination, by_server_name, by_transport, by_first_bytes];
        let mut chains = self.chains();
        if let (Some(only), None) = (chains.next(), chains.next()) {
            // As most listeners have it.
            let fits = criteria.iter().all(|criterion| criterion(&only, connection) != Fit::Misses);
            return fits.then_some(only);
        }
        let mut best = [Fit::Misses; 4];
        for level in 0..criteria.len() {
            let staying = self.chains().filter(|chain| {
                criteria.iter().zip(&best).take(level).all(|(criterion, best)| criterion(chain, connection) == *best)
            });
            let fit = staying.map(|chain| criteria[level](&chain, connection)).max()?;
            if fit == Fit::Misses {
                return None;
            }
            best[level] = fit;
        }
        self.chains()
            .find(|chain| criteria.iter().zip(&best).all(|(criterion, best)| criterion(chain, connection) == *best))
    }
}

fn by_destination(chain: &Chain<'_>, connection: &Connection<'_>) -> Fit {
    let ranges = chain.cidrs();
    if ranges.is_empty() {
        return Fit::Indifferent;
    }
    let Some(address) = connection.destination else { return Fit::Misses };
    let mapped = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let bits = u128::from(mapped);
    let fits = ranges.iter().filter(|range| {
        let differs = bits ^ u128::from_be_bytes(range.address);
        // A shift by all 128 bits is a range that holds everything.
        differs.checked_shr(128 - range.bits.get().min(128)).unwrap_or(0) == 0
    });
    fits.map(|range| Fit::Fits(range.bits.get())).max().unwrap_or(Fit::Misses)
}

fn by_server_name(chain: &Chain<'_>, connection: &Connection<'_>) -> Fit {
    let mut names = chain.server_names();
    if names.len() == 0 {
        return Fit::Indifferent;
    }
    let Some(sent) = connection.server_name else { return Fit::Misses };
    let sent = sent.as_bytes();
    let fits = |name: &str| match name.strip_prefix('*') {
        Some(suffix) => {
            let tail = sent.len().checked_sub(suffix.len()).filter(|&rest| rest > 0).and_then(|rest| sent.get(rest..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(suffix.as_bytes())).then_some(name.len() as u32)
        }
        // An exact name is before every wildcard.
        None => sent.eq_ignore_ascii_case(name.as_bytes()).then_some(u32::MAX),
    };
    let mut best = Fit::Misses;
    for name in &mut names {
        if let Some(length) = fits(name) {
            best = best.max(Fit::Fits(length));
        }
    }
    best
}

fn by_transport(chain: &Chain<'_>, connection: &Connection<'_>) -> Fit {
    asks(chain.tls(), connection.is_tls)
}

fn by_first_bytes(chain: &Chain<'_>, connection: &Connection<'_>) -> Fit {
    asks(chain.is_inspected().then_some(true), connection.is_plain_http)
}

fn asks(wanted: Option<bool>, is: bool) -> Fit {
    match wanted {
        None => Fit::Indifferent,
        Some(wanted) if wanted == is => Fit::Fits(0),
        Some(_) => Fit::Misses,
    }
}
