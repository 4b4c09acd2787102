//! Looking a name up: in the system's file of hosts, then at name servers.

use super::{Addresses, Family};
use crate::metrics::lock;
use hickory_resolver::{
    Hosts, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
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

/// How long a server that was named may take to answer, before it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whom to ask.
pub(super) struct Lookup {
    /// None: those that the system names.
    servers: Vec<SocketAddr>,
    hosts: Kept<Arc<Hosts>>,
    resolver: Kept<TokioResolver>,
}

/// The addresses of a name; perhaps there is none.
#[derive(Debug)]
pub(super) struct Found {
    /// Each once, in the order of the answer.
    pub(super) addresses: Addresses,
    /// How long that holds; none: nothing says.
    pub(super) lifetime: Option<Duration>,
}

impl Lookup {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Lookup { servers, hosts: Kept::of(HOSTS), resolver: Kept::of(SERVERS) }
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
        let resolver = self.resolver.get(|_| self.resolver())?;
        match resolver.lookup(parsed, kind).await {
            Ok(answer) => {
                let addresses = answer.answers().iter().filter_map(|record| record.data.ip_addr());
                let lifetime = answer.answers().iter().map(|record| record.ttl).min();
                let lifetime =
                    lifetime.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()));
                Ok(Found { addresses: distinct(addresses), lifetime })
            }
            Err(error) if error.is_no_records_found() => Ok(Found { addresses: Addresses::default(), lifetime: None }),
            Err(error) => Err(error.to_string()),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, String> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| format!("no name server is known: {error}"))?
        } else {
            let servers = self.servers.iter().map(|server| {
                let at = |mut connection: ConnectionConfig| {
                    connection.port = server.port();
                    connection
                };
                let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
                NameServerConfig::new(server.ip(), true, connections)
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().timeout = PATIENCE;
            builder
        };
        // How long answers hold is counted where they are kept.
        builder.options_mut().cache_size = 0;
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        builder.build().map_err(|error| error.to_string())
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

fn distinct(addresses: impl Iterator<Item = IpAddr>) -> Addresses {
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
        let lookup = Lookup { servers: vec![nobody], hosts: Kept::of(path), resolver: Kept::of(path) };
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
