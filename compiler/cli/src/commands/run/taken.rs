//! An address that cannot be listened on, and which option gives another.

use crate::failure::Failure;
use malha_proxy::{StartError, Whose};

/// Why a proxy did not start, and the remedy.
pub(super) fn failure(error: &StartError) -> Failure {
    let failure = Failure::new(error.to_string());
    if let StartError::Socket { .. } = error {
        return failure.help("`--ephemeral` takes sockets that nobody else has");
    }
    let StartError::Listen { whose: Some(whose), .. } = error else { return failure };
    match whose {
        Whose::Gateway(port) | Whose::Egress(port) => failure.help(format!(
            "`--port {port}=0` takes any free port, `--port {port}=PORT` that one; `--ephemeral` takes free ones for all"
        )),
        Whose::DefaultSidecar => failure
            .help("`--outbound 127.0.0.1:0` takes any free port, `--ephemeral` takes free ones for all"),
        Whose::Sidecar(name) => failure
            .help(format!("another `listen` of \"{name}\" in [[run.sidecars]], or none: then it takes any free port")),
        Whose::Forward(to) => {
            failure.help(format!("`--forward {to}` without an address takes any free port; so does `--ephemeral`"))
        }
        Whose::Admin => {
            failure.help("`--admin 127.0.0.1:0` takes any free port, `--ephemeral` takes free ones for all")
        }
        _ => failure,
    }
}
