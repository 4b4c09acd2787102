//! The command line.

use crate::table_file::TableFile;
use clap::{Parser, ValueEnum};
use malha_proxy::{
    AccessLog, CredentialSource, Dns, Limits, LogFormat, Options, Passthrough, PortForward, Reload, Tracing,
};
use std::{
    fs::OpenOptions,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

/// Serve a compiled decision table, and load it again when its file is replaced.
///
/// Tables are made by `malha compile -o FILE`. A file that is no table, or that needs what this program does not have,
/// is named and not served; on a reload the table at hand stays.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// The table.
    pub(crate) table: PathBuf,

    /// Worker threads, each with its own connections; 0: one for each processor.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cores: usize,

    /// The address that gateway listeners bind.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,

    /// Listen on another port than the table says, as 80=8080; 0 is any free one. May be given several times.
    #[arg(long = "port", value_name = "PORT=PORT", value_parser = port_pair)]
    ports: Vec<(u16, u16)>,

    /// Listen on free ports, where no other option names one.
    #[arg(long)]
    ephemeral: bool,

    /// Where mesh clients find the default sidecar [default: 127.0.0.1:15001]
    #[arg(long, value_name = "ADDR")]
    outbound: Option<SocketAddr>,

    /// Where mesh clients find another sidecar, by its name. May be given several times.
    #[arg(long = "sidecar", value_name = "NAME=ADDR", value_parser = sidecar_pair)]
    sidecars: Vec<(String, SocketAddr)>,

    /// A port, a free one if none is named, that stands for an address of the mesh, for clients of the default sidecar
    /// that speak to no HTTP proxy. May be given several times.
    #[arg(long = "forward", value_name = "SVC.NS:PORT[=ADDR]")]
    forwards: Vec<PortForward>,

    /// The admin server's address [default: 127.0.0.1:15000]
    #[arg(long, value_name = "ADDR", conflicts_with = "no_admin")]
    admin: Option<SocketAddr>,

    /// Run without an admin server.
    #[arg(long)]
    no_admin: bool,

    /// Answer with a header x-malha-rule that names the rule and its line.
    #[arg(long)]
    explain: bool,

    /// Make weights, load balancing and jitter repeatable.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Where the access log goes: - is standard output.
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,

    /// Secrets for TLS, as Kubernetes mounts them: NAMESPACE/NAME/ with tls.crt, tls.key, ca.crt, ca.crl.
    ///
    /// They are read again when they change; open connections keep what they began with.
    #[arg(long, value_name = "DIR")]
    credentials: Option<PathBuf>,

    /// This proxy's certificate by the mesh's own authority: cert-chain.pem, key.pem, root-cert.pem.
    ///
    /// With it the own TLS of the mesh is spoken; without it, endpoints that ask for that are spoken to in plain.
    #[arg(long, value_name = "DIR")]
    mesh_certs: Option<PathBuf>,

    /// How lines of the access log are written, with Istio's fields.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    access_log_format: Format,

    /// A collector of OpenTelemetry that is sent traces, as `http://localhost:4318`; '' is none [default: as
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says, else none].
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,

    /// Of how many requests traces are sent, where their callers have not decided it.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    trace_sampling: f64,

    /// How far requests to hosts that the mesh does not know may go.
    #[arg(long, value_enum, default_value_t = Reach::Loopback)]
    passthrough: Reach,

    /// A server that says which addresses names have, as 10.0.0.53 or 127.0.0.1:5353; without one, those of the system.
    /// May be given several times.
    #[arg(long = "dns-server", value_name = "ADDR", value_parser = Dns::server)]
    dns_servers: Vec<SocketAddr>,

    /// Written, atomically, once all listeners accept: their addresses as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,

    /// How long open requests and connections of plain bytes may take after the program is asked to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) drain_seconds: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reach {
    /// Loopback addresses and localhost; others are answered with 502.
    Loopback,
    /// Anywhere, as in a cluster.
    Anywhere,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Istio's default text format.
    Text,
    /// An object of JSON on each line.
    Json,
}

impl Arguments {
    /// What the library is to do.
    pub(crate) fn options(&self, file: &Arc<TableFile>) -> Result<Options, String> {
        let again = Arc::clone(file);
        let defaults = Options::default();
        let free = self.ephemeral.then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Ok(Options {
            cores: match self.cores {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                cores => cores,
            },
            host: self.host,
            ports: self.ports.iter().copied().collect(),
            ephemeral: self.ephemeral,
            outbound: self.outbound.or(free).unwrap_or(defaults.outbound),
            sidecars: self.sidecars.iter().cloned().collect(),
            forwards: self.forwards.clone(),
            admin: self.admin.or(free).or(defaults.admin).filter(|_| !self.no_admin),
            explain: self.explain,
            seed: self.seed,
            access_log: self.open_access_log()?,
            tracing: Tracing::to_named_collector(self.otlp.as_deref(), self.trace_sampling, |note| {
                eprintln!("note: {note}");
            })?,
            limits: Limits::default(),
            passthrough: match self.passthrough {
                Reach::Loopback => Passthrough::Loopback,
                Reach::Anywhere => Passthrough::Anywhere,
            },
            dns: Dns { servers: self.dns_servers.clone(), ..Dns::default() },
            on_reload: Some(Reload::new(move || again.reload())),
            ..defaults
        })
    }

    /// Where certificates and keys are.
    pub(crate) fn credentials(&self) -> CredentialSource {
        CredentialSource { secrets: self.credentials.clone(), identity: self.mesh_certs.clone() }
    }

    fn open_access_log(&self) -> Result<Option<AccessLog>, String> {
        let Some(path) = &self.access_log else { return Ok(None) };
        let format = match self.access_log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        };
        if path.as_os_str() == "-" {
            return Ok(Some(AccessLog::to_writer(std::io::stdout()).in_format(format)));
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| format!("cannot open the access log {}: {error}", path.display()))?;
        Ok(Some(AccessLog::to_writer(std::io::BufWriter::new(file)).in_format(format)))
    }
}

fn port_pair(text: &str) -> Result<(u16, u16), String> {
    let (from, to) = text.split_once('=').ok_or("write PORT=PORT, as 80=8080")?;
    let port = |text: &str| text.parse().map_err(|_| format!("`{text}` is no port: 0 to 65535 are"));
    Ok((port(from)?, port(to)?))
}

fn sidecar_pair(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("write NAME=ADDR, as web=127.0.0.1:15002")?;
    let address = address.parse().map_err(|_| format!("`{address}` is no address: 127.0.0.1:15002 is one"))?;
    Ok((name.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn pairs_are_read_or_explained() {
        assert_eq!(port_pair("80=0"), Ok((80, 0)));
        assert!(port_pair("80").is_err() && port_pair("80=x").is_err() && port_pair("80=70000").is_err());
        assert!(sidecar_pair("web=127.0.0.1:1").is_ok() && sidecar_pair("web=1").is_err());
    }
}
