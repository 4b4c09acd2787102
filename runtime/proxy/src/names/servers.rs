//! Name servers, and what they are asked for: a name, and what it may be short for.

use super::{
    failover::Failover,
    lookup::{Found, distinct},
};
use hickory_resolver::{
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    proto::rr::{Name, RecordType},
    system_conf::read_system_conf,
};
use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

/// For so long an answer holds at most, whatever it says.
const LONGEST: Duration = Duration::from_hours(24);

/// Servers, with how the system completes names.
#[derive(Clone)]
pub(super) struct Servers {
    failover: Failover,
    /// A name with more dots is asked for as it is first.
    dots: usize,
    /// What a name may be short for: it goes before one of these.
    suffixes: Arc<[Name]>,
}

/// These servers, which are asked for names as they are.
pub(super) fn named(servers: &[SocketAddr], patience: Duration) -> Result<Servers, String> {
    let servers = servers.iter().map(|server| {
        let at = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
        NameServerConfig::new(server.ip(), true, connections)
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    Servers::new(&config, ResolverOpts::default(), patience)
}

impl Servers {
    /// Those that the system names; how long they are waited for is not its matter, as in Envoy.
    pub(super) fn of_the_system(patience: Duration) -> Result<Self, String> {
        let (config, options) = read_system_conf().map_err(|error| format!("no name server is known: {error}"))?;
        Servers::new(&config, options, patience)
    }

    fn new(config: &ResolverConfig, mut options: ResolverOpts, patience: Duration) -> Result<Self, String> {
        let suffixes = config.domain().into_iter().chain(config.search()).cloned().collect();
        // How long answers hold is counted where they are kept.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let dots = options.ndots;
        Ok(Servers { failover: Failover::new(config.name_servers(), options, patience)?, dots, suffixes })
    }

    /// The addresses of the first of the names that has some, or why one before could not be told: that a server failed
    /// for one name says nothing of it, whatever is known of the others (semantics E5).
    pub(super) async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Found, String> {
        for candidate in self.candidates(name) {
            match self.failover.ask(&candidate, kind).await {
                Ok(answer) => {
                    let addresses = distinct(answer.answers().iter().filter_map(|record| record.data.ip_addr()));
                    if !addresses.is_empty() {
                        let lifetime = answer.answers().iter().map(|record| record.ttl).min();
                        let lifetime = lifetime.map(|seconds| Duration::from_secs(seconds.into()).min(LONGEST));
                        return Ok(Found { addresses, lifetime });
                    }
                }
                Err(error) if error.is_no_records_found() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(Found::default())
    }

    /// The whole names that a name may stand for, in the order in which they are asked for; each is asked for alone, since
    /// of several only what came of the last would be heard.
    fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut whole = name.clone();
        whole.set_fqdn(true);
        if name.is_fqdn() {
            return vec![whole];
        }
        let completed = self.suffixes.iter().filter_map(|suffix| {
            let mut completed = name.clone().append_domain(suffix).ok()?;
            completed.set_fqdn(true);
            Some(completed)
        });
        let mut candidates: Vec<Name> = completed.collect();
        let is_whole_first = usize::from(name.num_labels()) > self.dots || name.is_localhost();
        candidates.insert(if is_whole_first { 0 } else { candidates.len() }, whole);
        let mut seen = HashSet::new();
        candidates.retain(|candidate| seen.insert(candidate.clone()));
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::HashMap,
        net::{IpAddr, Ipv4Addr},
        sync::Mutex,
    };
    use tokio::net::UdpSocket;

    /// What a server says of a name: the code of its answer, and an address for so many seconds.
    type Says = (u8, Option<u32>);

    /// A server that knows these names and no others; it keeps what it is asked for, each once.
    async fn serving(zone: &[(&str, Says)]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = socket.local_addr().expect("an address");
        let zone: HashMap<String, Says> = zone.iter().map(|(name, says)| ((*name).to_owned(), *says)).collect();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let own = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut bytes = [0; 512];
            while let Ok((_, from)) = socket.recv_from(&mut bytes).await {
                let (mut at, mut labels) = (12, Vec::new());
                while bytes[at] != 0 {
                    let end = at + 1 + usize::from(bytes[at]);
                    labels.push(String::from_utf8_lossy(&bytes[at + 1..end]).to_lowercase());
                    at = end;
                }
                let name = labels.join(".");
                let (code, seconds) = zone.get(&name).copied().unwrap_or((3, None));
                {
                    let mut own = own.lock().expect("nobody panicked");
                    if own.last() != Some(&name) {
                        own.push(name);
                    }
                }
                let counts = [0, 1, 0, u8::from(seconds.is_some()), 0, 0, 0, 0];
                let mut answer = [&bytes[..2], &[0x81, 0x80 | code], &counts, &bytes[12..at + 5]].concat();
                if let Some(seconds) = seconds {
                    answer.extend([0xC0, 12, 0, 1, 0, 1]);
                    answer.extend(seconds.to_be_bytes());
                    answer.extend([0, 4, 192, 0, 2, 1]);
                }
                let _ = socket.send_to(&answer, from).await;
            }
        });
        (address, asked)
    }

    /// Asks that server, on a machine whose names are below `corp.example`.
    fn below(server: SocketAddr) -> Servers {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let suffix = Name::from_ascii("corp.example").expect("a name");
        let config = ResolverConfig::from_parts(None, vec![suffix], vec![server]);
        Servers::new(&config, ResolverOpts::default(), Duration::from_secs(5)).expect("a resolver")
    }

    async fn lookup(servers: &Servers, name: &str) -> Result<Found, String> {
        servers.lookup(&Name::from_ascii(name).expect("a name"), RecordType::A).await
    }

    #[tokio::test]
    async fn a_server_that_fails_has_not_said_that_there_is_nothing() {
        let (server, asked) = serving(&[("broken.org", (2, None))]).await;
        let servers = below(server);
        lookup(&servers, "broken.org").await.expect_err("E5: nobody could say");
        assert_eq!(*asked.lock().expect("nobody panicked"), ["broken.org"], "and nothing else is asked for");
        let none = lookup(&servers, "none.org").await.expect("E5: an answer");
        assert!(none.addresses.is_empty() && none.lifetime.is_none(), "{none:?}");
        assert_eq!(asked.lock().expect("nobody panicked")[1..], ["none.org", "none.org.corp.example"]);
    }

    #[tokio::test]
    async fn a_machine_where_nobody_serves_says_so() {
        let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port").local_addr().expect("bound");
        let servers = named(&[nobody], Duration::from_hours(1)).expect("a resolver");
        lookup(&servers, "none.org").await.expect_err("E5: nobody could say");
    }

    #[tokio::test]
    async fn short_names_are_completed_first() {
        let (server, asked) = serving(&[("web.corp.example", (0, Some(9)))]).await;
        let found = lookup(&below(server), "web").await.expect("an answer");
        assert_eq!(*found.addresses, [IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(*asked.lock().expect("nobody panicked"), ["web.corp.example"]);
        let none = lookup(&below(server), "web.").await.expect("an answer");
        assert!(none.addresses.is_empty(), "it is whole: {none:?}");
    }

    #[tokio::test]
    async fn answers_say_how_long_they_hold() {
        let (server, _) = serving(&[("now.org", (0, Some(0))), ("ever.org", (0, Some(u32::MAX)))]).await;
        let servers = below(server);
        assert_eq!(lookup(&servers, "now.org").await.expect("an answer").lifetime, Some(Duration::ZERO));
        let ever = lookup(&servers, "ever.org").await.expect("an answer").lifetime;
        assert!(ever.is_some_and(|ever| ever <= LONGEST && !ever.is_zero()), "{ever:?}");
    }
}
