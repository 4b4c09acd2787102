//! Looking a name up: in the system's file of hosts, then at name servers.

use super::{
    Addresses, Family,
    servers::{Servers, named},
};
use crate::{metrics::lock, options::Dns};
use hickory_resolver::{
    Hosts,
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
};
use std::{
    collections::HashSet,
    fs::{self, File},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

/// Whom to ask.
pub(super) struct Lookup {
    /// None: those that the system names.
    servers: Vec<SocketAddr>,
    /// How long one is waited for before the next is asked.
    patience: Duration,
    hosts: Kept<Arc<Hosts>>,
    asked: Kept<Servers>,
}

/// The addresses of a name; perhaps there is none.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each once, in the order of the answer.
    pub(super) addresses: Addresses,
    /// How long that holds, as far as servers are believed; none: nothing says.
    pub(super) lifetime: Option<Duration>,
}

impl Lookup {
    pub(super) fn new(dns: &Dns) -> Self {
        let (servers, patience) = (dns.servers.clone(), dns.patience);
        Lookup { servers, patience, hosts: Kept::of(HOSTS), asked: Kept::of(SERVERS) }
    }

    /// The addresses of a name, or why nobody could say. That a name is not known, or has no address of the family, is
    /// an answer, as c-ares has it.
    pub(super) async fn addresses(&self, name: &str, family: Family) -> Result<Found, String> {
        let parsed = Name::from_utf8(name).map_err(|error| format!("`{name}` is no name: {error}"))?;
        let kind = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        let hosts = self.hosts.get(|path| Ok(Arc::new(read_hosts(path)))).unwrap_or_default();
        if let Some(known) = hosts.lookup_static_host(&Query::query(parsed.clone(), kind)) {
            let addresses = known.answers().iter().filter_map(|record| record.data.ip_addr());
            return Ok(Found { addresses: distinct(addresses), lifetime: None });
        }
        self.asked.get(|_| self.servers())?.lookup(&parsed, kind).await
    }

    fn servers(&self) -> Result<Servers, String> {
        if self.servers.is_empty() {
            return Servers::of_the_system(self.patience);
        }
        named(&self.servers, self.patience)
    }
}

/// Where the system keeps what it knows of hosts.
const HOSTS: &str = if cfg!(windows) { r"C:\Windows\System32\drivers\etc\hosts" } else { "/etc/hosts" };

/// Where it says which servers to ask.
const SERVERS: &str = "/etc/resolv.conf";

fn read_hosts(path: &Path) -> Hosts {
    let mut hosts = Hosts::default();
    if let Ok(file) = File::open(path) {
        // What can be read of it counts.
        let _ = hosts.read_hosts_conf(file);
    }
    hosts
}

pub(super) fn distinct(addresses: impl Iterator<Item = IpAddr>) -> Addresses {
    let mut seen = HashSet::new();
    addresses.filter(|address| seen.insert(*address)).collect()
}

/// What was made of a file, until the file changes.
struct Kept<T> {
    path: PathBuf,
    value: Mutex<Option<(Option<SystemTime>, T)>>,
}

impl<T: Clone> Kept<T> {
    fn of(path: &str) -> Self {
        Kept { path: path.into(), value: Mutex::new(None) }
    }

    fn get(&self, make: impl FnOnce(&Path) -> Result<T, String>) -> Result<T, String> {
        let changed = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        let mut value = lock(&self.value);
        if let Some((known, value)) = &*value
            && *known == changed
        {
            return Ok(value.clone());
        }
        let new = make(&self.path)?;
        *value = Some((changed, new.clone()));
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, net::Ipv4Addr};

    #[tokio::test]
    async fn the_file_of_hosts_is_read_when_it_changes() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(file, "192.0.2.1 a.org b.org # both\n192.0.2.2 A.org\n2001:db8::1 a.org").expect("it is written");
        let path = file.path().to_str().expect("its name is text");
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let dns = Dns { servers: vec![nobody], ..Dns::default() };
        let lookup = Lookup { hosts: Kept::of(path), asked: Kept::of(path), ..Lookup::new(&dns) };
        let found = async |name, family| lookup.addresses(name, family).await.expect("it is known").addresses.to_vec();
        let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
        assert_eq!(found("a.org", Family::V4).await, [ip("192.0.2.1"), ip("192.0.2.2")]);
        assert_eq!(found("B.org", Family::V4).await, [ip("192.0.2.1")]);
        assert_eq!(found("a.org", Family::V6).await, [ip("2001:db8::1")]);
        let later = SystemTime::now() + Duration::from_secs(5);
        writeln!(file, "192.0.2.9 c.org").expect("it is written");
        file.as_file().set_modified(later).expect("it has a time");
        assert_eq!(found("c.org", Family::V4).await, [ip("192.0.2.9")]);
        assert!(lookup.addresses(&"x".repeat(300), Family::V4).await.is_err(), "no name at all");
    }
}
