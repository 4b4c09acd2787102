//! Consistent hashing: what of a request is hashed, and which endpoint a hash leads to (semantics D21, D22).

use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use malha_table::{
    RequestView,
    view::{HashKey, LoadBalancer},
};
use std::net::SocketAddr;
use xxhash_rust::xxh64::xxh64;

/// What a request is chosen an endpoint by.
#[derive(Debug, Default)]
pub(crate) struct Hashed {
    /// None: it has nothing of what is hashed.
    pub(crate) hash: Option<u64>,
    /// Set on the answer, for the next request.
    pub(crate) cookies: Vec<HeaderValue>,
}

impl Hashed {
    /// Of all keys that a route reads: each turns the bits of those before by one (D23). `peer` and `local` are the ends of
    /// the client's connection.
    pub(crate) fn of<'t>(
        keys: impl Iterator<Item = HashKey<'t>>,
        head: &impl RequestView,
        headers: &HeaderMap,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Hashed {
        let mut hashed = Hashed::default();
        for key in keys {
            let new = match key {
                HashKey::Header(name) => of_header(headers, name),
                HashKey::SourceIp => Some(of_address(peer)),
                HashKey::QueryParameter(name) => {
                    head.query().and_then(|query| parameter(query, name)).map(|value| xxh64(value.as_bytes(), 0))
                }
                HashKey::Cookie { name, path, ttl } => {
                    let sent = cookie(headers, name).filter(|value| !value.is_empty());
                    match (sent, ttl) {
                        (Some(value), _) => Some(xxh64(value, 0)),
                        (None, None) => None,
                        (None, Some(ttl)) => {
                            // The same for all requests of a connection: those that race get one cookie.
                            let value = format!("{:016x}", xxh64(format!("{peer}{local}").as_bytes(), 0));
                            hashed.cookies.extend(set_cookie(name, &value, path, ttl.as_secs()));
                            Some(xxh64(value.as_bytes(), 0))
                        }
                    }
                }
            };
            if let Some(new) = new {
                hashed.hash = Some(hashed.hash.unwrap_or(0).rotate_left(1) ^ new);
            }
        }
        hashed
    }
}

/// The hash of a client's address.
pub(crate) fn of_address(peer: SocketAddr) -> u64 {
    xxh64(peer.ip().to_canonical().to_string().as_bytes(), 0)
}

/// All lines count, in the order of their texts.
fn of_header(headers: &HeaderMap, name: &str) -> Option<u64> {
    let name = HeaderName::try_from(name).ok()?;
    let mut values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    values.sort_unstable();
    (!values.is_empty()).then(|| values.into_iter().fold(0, |seed, value| xxh64(value, seed)))
}

/// The first parameter of the name.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| {
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        (own == name).then_some(value)
    })
}

/// The first cookie of the name, without quotes around its value. Cookies are bytes: what others hold is no concern.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let lines = headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
    let mut pairs = lines.flat_map(|line| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

fn set_cookie(name: &str, value: &str, path: Option<&str>, seconds: u64) -> Option<HeaderValue> {
    let age = if seconds > 0 { format!("; Max-Age={seconds}") } else { String::new() };
    let path = path.filter(|path| !path.is_empty()).map(|path| format!("; Path={path}")).unwrap_or_default();
    HeaderValue::try_from(format!("{name}=\"{value}\"{age}{path}; HttpOnly")).ok()
}

/// Which endpoint each hash leads to. Endpoints are numbers below 65,536.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    /// Sorted: the first that is not below the hash has it.
    Ring(Vec<(u64, u16)>),
    /// By the remainder of the hash.
    Maglev(Vec<u16>),
}

/// A ring is never larger than this.
const MOST_PLACES: u32 = 8_388_608;

impl Places {
    /// Of endpoints by name and weight; none where the load balancer does not hash, or where there are none.
    pub(crate) fn of(load_balancer: LoadBalancer, endpoints: &[(String, u32)]) -> Option<Places> {
        let endpoints = &endpoints[..endpoints.len().min(usize::from(u16::MAX))];
        if endpoints.is_empty() {
            return None;
        }
        match load_balancer {
            LoadBalancer::RingHash { minimum_size } => Some(ring(endpoints, minimum_size)),
            LoadBalancer::Maglev { table_size } => Some(maglev(endpoints, table_size)),
            _ => None,
        }
    }

    /// The endpoint of a hash, on its `attempt`th try (from 0); `is_out` endpoints are passed over.
    pub(crate) fn find(&self, hash: u64, attempt: u64, is_out: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Places::Ring(places) => {
                let first = places.partition_point(|(own, _)| *own < hash) + attempt as usize;
                let from = (first..first + places.len()).map(|at| usize::from(places[at % places.len()].1));
                from.into_iter().find(|endpoint| !is_out(*endpoint))
            }
            Places::Maglev(places) => {
                let tries = (attempt..attempt + places.len() as u64).map(|attempt| hash ^ attempt.wrapping_neg());
                let mut found = tries.map(|hash| usize::from(places[(hash % places.len() as u64) as usize]));
                found.find(|endpoint| !is_out(*endpoint))
            }
        }
    }
}

/// As many places for each as its weight asks for, so that the least of them has a whole number of places and all
/// together at least the minimum.
fn ring(endpoints: &[(String, u32)], minimum_size: u64) -> Places {
    let weight = |weight: u32| f64::from(weight.max(1));
    let total: f64 = endpoints.iter().map(|(_, own)| weight(*own)).sum();
    let least = endpoints.iter().map(|(_, own)| weight(*own)).fold(f64::INFINITY, f64::min) / total;
    let minimum = f64::from(u32::try_from(minimum_size).unwrap_or(MOST_PLACES).min(MOST_PLACES));
    let scale = ((least * minimum).ceil() / least).min(f64::from(MOST_PLACES));
    let mut places = Vec::new();
    let (mut made, mut wanted) = (0.0, 0.0);
    for (number, (name, own)) in endpoints.iter().enumerate() {
        wanted += scale * weight(*own) / total;
        let mut index = 0;
        while made < wanted {
            places.push((xxh64(format!("{name}_{index}").as_bytes(), 0), number as u16));
            index += 1;
            made += 1.0;
        }
    }
    places.sort_unstable();
    Places::Ring(places)
}

/// A Maglev table is never larger than this prime.
const LARGEST_TABLE: u64 = 5_000_011;

/// A table's size: the next prime. In a table of another size a walk may miss free places for ever. (Istio refuses it.)
fn prime(size: u64) -> u64 {
    let is_prime = |number: &u64| (2..=number.isqrt()).all(|factor| !number.is_multiple_of(factor));
    (size.max(2)..LARGEST_TABLE).find(is_prime).unwrap_or(LARGEST_TABLE)
}

/// Endpoints take turns, by weight, each at the next free place of a walk of its own through the table.
fn maglev(endpoints: &[(String, u32)], table_size: u64) -> Places {
    let size = prime(table_size);
    let mut order: Vec<(usize, &str, u32)> = endpoints
        .iter()
        .enumerate()
        .map(|(number, (name, weight))| (number, name.as_str(), (*weight).max(1)))
        .collect();
    order.sort_unstable_by_key(|(_, name, _)| *name);
    let most = order.iter().map(|(.., weight)| *weight).max().unwrap_or(1);
    // Where each is in its walk, how long its steps are, and what it has been given of its share.
    let mut walks: Vec<(u64, u64, f64)> = order
        .iter()
        .map(|(_, name, _)| (xxh64(name.as_bytes(), 0) % size, xxh64(name.as_bytes(), 1) % (size - 1) + 1, 0.0))
        .collect();
    let mut places: Vec<Option<u16>> = vec![None; size as usize];
    let (mut filled, mut round) = (0, 1.0);
    while filled < size {
        for ((number, _, weight), (at, step, given)) in order.iter().zip(&mut walks) {
            if round * f64::from(*weight) < *given {
                continue;
            }
            *given += f64::from(most);
            while places[*at as usize].is_some() {
                *at = (*at + *step) % size;
            }
            places[*at as usize] = Some(*number as u16);
            filled += 1;
            if filled == size {
                break;
            }
        }
        round += 1.0;
    }
    Places::Maglev(places.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(weights: &[u32]) -> Vec<(String, u32)> {
        weights.iter().enumerate().map(|(number, weight)| (format!("10.0.0.{number}:80"), *weight)).collect()
    }

    fn shares(places: &Places, count: usize) -> Vec<f64> {
        let mut shares = vec![0.0; count];
        for number in 0..20_000_u64 {
            let hash = xxh64(&number.to_le_bytes(), 7);
            shares[places.find(hash, 0, |_| false).expect("an endpoint")] += 1.0 / 20_000.0;
        }
        shares
    }

    #[test]
    fn hashes_are_spread_by_weight() {
        for balancer in [LoadBalancer::RingHash { minimum_size: 1024 }, LoadBalancer::Maglev { table_size: 65537 }] {
            let places = Places::of(balancer, &endpoints(&[1, 1, 2])).expect("it hashes");
            let shares = shares(&places, 3);
            let near = |share: f64, wanted: f64| (share - wanted).abs() < 0.06;
            assert!(near(shares[0], 0.25) && near(shares[1], 0.25) && near(shares[2], 0.5), "{balancer:?}: {shares:?}");
        }
        assert!(Places::of(LoadBalancer::Random, &endpoints(&[1])).is_none());
        assert!(Places::of(LoadBalancer::RingHash { minimum_size: 1024 }, &[]).is_none());
    }

    #[test]
    fn an_endpoint_that_goes_takes_only_its_own_hashes_along() {
        for balancer in [LoadBalancer::RingHash { minimum_size: 1024 }, LoadBalancer::Maglev { table_size: 65537 }] {
            let places = Places::of(balancer, &endpoints(&[1; 5])).expect("it hashes");
            for number in 0..1_000_u64 {
                let hash = xxh64(&number.to_le_bytes(), 3);
                let before = places.find(hash, 0, |_| false);
                let after = places.find(hash, 0, |endpoint| endpoint == 2);
                assert!(before == after || before == Some(2), "{balancer:?}");
                assert_ne!(after, Some(2));
            }
            assert_eq!(places.find(1, 0, |_| true), None);
        }
    }

    #[test]
    fn a_table_of_any_size_is_filled() {
        for (size, wanted) in [(0, 2), (1, 2), (2, 2), (4, 5), (6, 7), (65_536, 65_537), (u64::MAX, 5_000_011)] {
            assert_eq!(prime(size), wanted, "{size}");
        }
        for size in [0, 1, 4, 6, 12, 1000] {
            let balancer = LoadBalancer::Maglev { table_size: size };
            let places = Places::of(balancer, &endpoints(&[1, 5, 1])).expect("it hashes");
            assert!((0..100).all(|hash| places.find(hash, 0, |_| false).is_some()), "{size}");
        }
    }

    #[test]
    fn cookies_are_read_and_written() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; sid=\"x y\""));
        headers.append(COOKIE, HeaderValue::from_static("sid=2"));
        assert_eq!(
            (cookie(&headers, "sid"), cookie(&headers, "a"), cookie(&headers, "b")),
            (Some(&b"x y"[..]), Some(&b"1"[..]), None)
        );
        let mut odd = HeaderMap::new();
        odd.append(COOKIE, HeaderValue::from_bytes(b"name=J\xfcrgen; sid=3").expect("a value"));
        assert_eq!(cookie(&odd, "sid"), Some(&b"3"[..]), "bytes of other cookies do not matter");
        let text =
            |path, seconds| set_cookie("c", "0123", path, seconds).expect("a value").to_str().unwrap().to_owned();
        assert_eq!(text(None, 60), "c=\"0123\"; Max-Age=60; HttpOnly", "D22");
        assert_eq!(text(Some("/p"), 0), "c=\"0123\"; Path=/p; HttpOnly", "D22");
    }
}
