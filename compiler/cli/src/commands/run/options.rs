//! From the command line and `malha.toml` to the proxy's options.

use crate::{
    args::{AccessLogFormat, RunArgs},
    config::RunSection,
    failure::Failure,
    terminal::Voice,
};
use malha_mesh::MeshConfig;
use malha_proxy::{AccessLog, Dns, Handle, LineFormat, LogFormat, Options, PortForward, Reload, Tracing};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
};

/// What the proxy is told; the command line has the last word.
///
/// # Errors
/// A collector is named that spans cannot be sent to.
pub(super) fn options(
    args: &RunArgs,
    section: &RunSection,
    mesh: Option<&MeshConfig>,
    on_reload: Reload,
    voice: Voice,
) -> Result<Options, Failure> {
    let defaults = Options::default();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let free = args.ephemeral.then_some(any_port);
    let mut ports = if args.ephemeral { BTreeMap::new() } else { section.ports.clone() };
    ports.extend(args.ports.iter().copied());
    let sidecars = section.sidecars.iter().map(|sidecar| {
        let listen = free.or(sidecar.listen).unwrap_or(any_port);
        (sidecar.name.clone(), listen)
    });
    let of_sidecars = section.sidecars.iter().flat_map(|sidecar| &sidecar.forward);
    let of_sidecars =
        of_sidecars.map(|forward| PortForward { listen: free.unwrap_or(forward.listen), ..forward.clone() });
    let servers = if args.dns_servers.is_empty() { &section.dns } else { &args.dns_servers };
    let note = |note: &str| {
        if !args.quiet {
            voice.say(&format!("note: {note}"));
        }
    };
    let log = (!args.quiet).then(|| {
        let log = AccessLog::to_writer(voice.writer());
        match args.access_log_format {
            Some(AccessLogFormat::Json) => log.in_format(LogFormat::Json),
            Some(AccessLogFormat::Text) => log,
            None => match mesh {
                Some(mesh) => log_of_mesh(log, mesh, note),
                None => log,
            },
        }
    });
    let tracing = Tracing::to_named_collector(args.otlp.as_deref(), args.trace_sampling, note).map_err(Failure::new)?;
    Ok(Options {
        ports,
        ephemeral: args.ephemeral,
        outbound: args.outbound.or(free).unwrap_or(defaults.outbound),
        sidecars: sidecars.collect(),
        // Those of the command line are the default sidecar's.
        forwards: args.forwards.iter().cloned().chain(of_sidecars).collect(),
        admin: args.admin.or(free).or(section.admin).or(defaults.admin),
        explain: args.explain,
        seed: args.seed,
        access_log: log,
        on_reload: Some(on_reload),
        tracing,
        protocol_detection_timeout: mesh.and_then(|mesh| mesh.protocol_detection_timeout),
        dns: Dns { servers: servers.clone(), ..Dns::default() },
        ..defaults
    })
}

/// A log whose lines are as the MeshConfig says, as far as they can be.
fn log_of_mesh(log: AccessLog, mesh: &MeshConfig, note: impl Fn(&str)) -> AccessLog {
    let default = log.in_format(if mesh.json_access_log { LogFormat::Json } else { LogFormat::Text });
    let Some(written) = &mesh.access_log_format else { return default };
    let read = if mesh.json_access_log { LineFormat::json(written) } else { LineFormat::text(written) };
    match read {
        Ok(lines) => {
            let untold: Vec<String> = lines.untold().iter().map(|command| format!("%{command}%")).collect();
            if !untold.is_empty() {
                let untold = untold.join(", ");
                note(&format!(
                    "of the MeshConfig's accessLogFormat, {untold} cannot be told here: nothing stands there"
                ));
            }
            default.in_lines(lines)
        }
        Err(reason) => {
            note(&format!(
                "the MeshConfig's accessLogFormat is not applied, since {reason}: lines of the log are in Istio's default \
                 format"
            ));
            default
        }
    }
}

/// A line on each port that is mapped and that no gateway listens on.
pub(super) fn idle_ports(args: &RunArgs, section: &RunSection, handle: &Handle) -> Vec<String> {
    let listeners = handle.listeners();
    let gateways = listeners.iter().filter(|listener| listener.role == "gateway");
    let proxies: BTreeSet<u16> = handle.egress().iter().map(|listener| listener.port).collect();
    let there: BTreeSet<u16> = gateways.map(|listener| listener.port).collect();
    let names: Vec<String> = there.iter().map(ToString::to_string).collect();
    let has = if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
    let of_section =
        section.ports.iter().filter(|_| !args.ephemeral).map(|(port, local)| ("[run] ports", *port, *local));
    let mapped = args.ports.iter().map(|(port, local)| ("--port", *port, *local)).chain(of_section);
    let idle = mapped.filter(|(_, port, _)| !there.contains(port) && !proxies.contains(port));
    idle.map(|(whence, port, local)| {
        format!("{whence} {port}={local} opens nothing: no gateway listens on port {port}; {has}")
    })
    .collect()
}
