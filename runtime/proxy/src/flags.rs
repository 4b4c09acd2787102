//! Response flags: Envoy's letters for how a request ended (semantics C86).

use std::{borrow::Cow, fmt};

/// A set of response flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Flags(u32);

impl Flags {
    pub(crate) const NO_HEALTHY_UPSTREAM: Flags = Flags(1);
    pub(crate) const UPSTREAM_TIMEOUT: Flags = Flags(1 << 1);
    pub(crate) const UPSTREAM_CONNECTION_FAILURE: Flags = Flags(1 << 2);
    pub(crate) const UPSTREAM_CONNECTION_TERMINATION: Flags = Flags(1 << 3);
    pub(crate) const NO_ROUTE: Flags = Flags(1 << 4);
    pub(crate) const RETRY_LIMIT: Flags = Flags(1 << 5);
    pub(crate) const DOWNSTREAM_TERMINATION: Flags = Flags(1 << 6);
    pub(crate) const DOWNSTREAM_PROTOCOL_ERROR: Flags = Flags(1 << 7);
    pub(crate) const UPSTREAM_PROTOCOL_ERROR: Flags = Flags(1 << 8);
    pub(crate) const NO_CLUSTER: Flags = Flags(1 << 9);
    pub(crate) const UPSTREAM_OVERFLOW: Flags = Flags(1 << 12);
    pub(crate) const UPSTREAM_REMOTE_RESET: Flags = Flags(1 << 13);
    /// A connection of plain bytes was as old as it gets.
    pub(crate) const DURATION_TIMEOUT: Flags = Flags(1 << 14);
    pub(crate) const STREAM_IDLE: Flags = Flags(1 << 15);
    pub(crate) const DELAY_INJECTED: Flags = Flags(1 << 10);
    pub(crate) const FAULT_INJECTED: Flags = Flags(1 << 11);
    /// A name that a client chose has no address.
    pub(crate) const DNS_FAILED: Flags = Flags(1 << 16);

    /// In the order in which Envoy writes them: the retry limit before what the last try met.
    const NAMES: [(Flags, &str); 17] = [
        (Flags::NO_HEALTHY_UPSTREAM, "UH"),
        (Flags::UPSTREAM_TIMEOUT, "UT"),
        (Flags::RETRY_LIMIT, "URX"),
        (Flags::UPSTREAM_CONNECTION_FAILURE, "UF"),
        (Flags::UPSTREAM_CONNECTION_TERMINATION, "UC"),
        (Flags::UPSTREAM_REMOTE_RESET, "UR"),
        (Flags::UPSTREAM_OVERFLOW, "UO"),
        (Flags::NO_ROUTE, "NR"),
        (Flags::DELAY_INJECTED, "DI"),
        (Flags::FAULT_INJECTED, "FI"),
        (Flags::DOWNSTREAM_TERMINATION, "DC"),
        (Flags::DOWNSTREAM_PROTOCOL_ERROR, "DPE"),
        (Flags::UPSTREAM_PROTOCOL_ERROR, "UPE"),
        (Flags::STREAM_IDLE, "SI"),
        (Flags::DURATION_TIMEOUT, "DT"),
        (Flags::NO_CLUSTER, "NC"),
        (Flags::DNS_FAILED, "DF"),
    ];

    /// Their letters, joined by commas; a dash for none.
    pub(crate) fn names(self) -> Cow<'static, str> {
        if self == Flags::default() {
            return "-".into();
        }
        let set = Flags::NAMES.iter().filter(|(flag, _)| self.0 & flag.0 != 0);
        set.map(|(_, name)| *name).collect::<Vec<_>>().join(",").into()
    }

    /// Both sets together.
    pub(crate) fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_flags_are_joined_as_the_recordings_show() {
        let both = Flags::UPSTREAM_CONNECTION_FAILURE.with(Flags::RETRY_LIMIT);
        assert_eq!(both.to_string(), "URX,UF");
        assert_eq!(Flags::default().to_string(), "-");
    }
}
