//! How many proxies of this process a request has come through, since routes may lead in a circle.

use crate::{ends::Ends, own::OwnListeners, pool::EndpointAddress, random};
use http::{HeaderMap, HeaderName, HeaderValue};

const HOPS: HeaderName = HeaderName::from_static("x-malha-hops");

/// What this process says it by, so that nobody else is believed.
#[derive(Debug)]
pub(crate) struct Hops {
    mark: u64,
}

impl Hops {
    pub(crate) fn new() -> Self {
        Hops { mark: random::system_seed() }
    }

    /// How many a message says.
    pub(crate) fn said(&self, headers: &HeaderMap) -> Option<u16> {
        let (mark, hops) = headers.get(HOPS)?.to_str().ok()?.split_once('-')?;
        if u64::from_str_radix(mark, 16) == Ok(self.mark) { hops.parse().ok() } else { None }
    }

    /// How many a request says; 0 where it says none. The next one must not see it.
    pub(crate) fn take(&self, headers: &mut HeaderMap) -> u16 {
        let hops = self.said(headers).unwrap_or(0);
        headers.remove(HOPS);
        hops
    }

    pub(crate) fn say(&self, headers: &mut HeaderMap, hops: u16) {
        if let Ok(said) = HeaderValue::try_from(format!("{:x}-{hops}", self.mark)) {
            headers.insert(HOPS, said);
        }
    }

    /// Says them, and one more, on a connection to an endpoint that is a listener of this process.
    pub(crate) fn tell(
        &self,
        headers: &mut HeaderMap,
        hops: u16,
        own: &OwnListeners,
        endpoint: &EndpointAddress,
        ends: &Ends,
    ) {
        let is_own = ends.peer.map_or_else(
            || own.has_socket(endpoint),
            |peer| {
                // One that listens on all addresses has those of this machine alone.
                let is_here = || peer.ip().is_loopback() || ends.local.is_some_and(|local| local.ip() == peer.ip());
                own.has(peer) && is_here()
            },
        );
        if is_own {
            self.say(headers, hops.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_believes_itself_alone() {
        let hops = Hops { mark: 0xab };
        for (said, believed) in [("ab-16", Some(16)), ("16", None), ("ac-16", None), ("ab-", None), ("ab-65536", None)]
        {
            let mut headers = HeaderMap::from_iter([(HOPS, HeaderValue::from_static(said))]);
            assert_eq!(hops.said(&headers), believed, "{said}");
            assert_eq!(hops.take(&mut headers), believed.unwrap_or(0), "{said}");
            assert!(headers.is_empty());
        }
        let mut headers = HeaderMap::new();
        hops.say(&mut headers, 3);
        assert_eq!((hops.said(&headers), Hops { mark: 1 }.said(&headers)), (Some(3), None));
    }
}
