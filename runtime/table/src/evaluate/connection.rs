//! Which listener takes a connection, and which of its filter chains (semantics A.7).

use crate::{
    Bind, Meant, Role,
    format::{
        WayRecord,
        way::{ADDRESS, ANY_ADDRESS, NAME, OTHER_NAMES},
    },
    http::host_key,
    view::{Chain, Connection, Listener, Proxy},
};
use std::net::IpAddr;

impl<'t> Proxy<'t> {
    /// The listener for a connection to `port`: one that is bound to the address that is meant, else the one that is
    /// bound to none. In a sidecar a name means the address that it stands for; where a service has none, the listener
    /// of its name, and any other name that of all other names: none, if that has no chains. A Host leads to listeners
    /// with an address alone. For a gateway, without a word of the address, the first on the port has the rest.
    pub fn find_listener(&self, port: u32, meant: Meant<'_>) -> Option<Listener<'t>> {
        let any = || self.led(port, ANY_ADDRESS, "").next();
        match (self.role(), meant) {
            (_, Meant::Address(address)) => self.led(port, ADDRESS, &address.to_string()).next().or_else(any),
            (Role::Sidecar, Meant::Host(host)) => {
                let mut led = self.led(port, NAME, &host_key(host));
                led.find(|listener| listener.bind().address().is_some()).or_else(any)
            }
            (Role::Sidecar, Meant::Name(name)) => {
                let led = self.led(port, NAME, &host_key(name)).next();
                led.or_else(|| self.led(port, OTHER_NAMES, "").next())
                    .map_or_else(any, |found| Some(found).filter(|found| !found.keeps_names_apart()))
            }
            (Role::Sidecar, Meant::Unsaid) => any(),
            (Role::Gateway, _) => any().or_else(|| self.listeners().find(|listener| listener.port() == port)),
        }
    }

    /// The listeners of a port to which ways of this kind and key lead, in order.
    fn led(&self, port: u32, kind: u32, key: &str) -> impl Iterator<Item = Listener<'t>> + use<'t> {
        let (ways, listeners, table) = (self.ways(), self.listeners(), self.table);
        let order = |way: &WayRecord| {
            (way.port.get(), way.kind.get())
                .cmp(&(port, kind))
                .then_with(|| table.str_bytes(way.key).cmp(key.as_bytes()))
        };
        let first = ways.partition_point(|way| order(way).is_lt());
        let led = ways.get(first..).unwrap_or_default();
        let led = led.get(..led.partition_point(|way| order(way).is_eq())).unwrap_or_default();
        led.iter().filter_map(move |way| listeners.get(way.listener.get() as usize))
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
    /// Whether it is there only to keep other names from the listener of any address.
    fn keeps_names_apart(&self) -> bool {
        self.bind() == Bind::OtherNames && self.chains().is_empty() && self.rejected().is_none()
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
