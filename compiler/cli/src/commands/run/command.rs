//! A program that runs in the mesh: it calls through a sidecar, and the mesh lives as long as it does.

use crate::{
    atomic::write_atomically,
    failure::{Failure, Status},
};
use shared_child::SharedChild;
use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::Arc,
    thread,
};

/// The variables that name a proxy, in both of the ways that programs look for them.
const PROXY: [&str; 4] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"];

/// Those that name hosts to call without one: in the mesh there are none.
const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Tells Node to heed the others, as it does from its version 24 on.
const NODE_HEEDS: &str = "NODE_USE_ENV_PROXY";

/// The variables that name the file of those who may sign servers' certificates: OpenSSL's and Go's, curl's, Python's
/// requests', Node's.
const TRUSTED: [&str; 4] = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];

/// The file of all that the program is to trust: `authority`, and what it trusts by these variables already.
fn bundle(authority: &Path) -> Result<PathBuf, Failure> {
    let read = |path: &Path| fs::read(path).map_err(|error| Failure::path(path, &error));
    let mut all = read(authority)?;
    let named: BTreeSet<PathBuf> = TRUSTED.into_iter().filter_map(env::var_os).map(PathBuf::from).collect();
    let bundle = authority.with_file_name("trusted.pem");
    // A mesh within a mesh: the outer one has made it.
    if named.contains(&bundle) {
        return Ok(bundle);
    }
    // What cannot be read the program could not read either.
    for more in named.iter().filter_map(|path| fs::read(path).ok()) {
        all.push(b'\n');
        all.extend(more);
    }
    write_atomically(&bundle, &all)?;
    Ok(bundle)
}

/// A program that runs; it is ended when this is dropped.
pub(super) struct Running(Arc<SharedChild>);

impl Running {
    /// Starts a program and its arguments with a sidecar as its proxy; `trusted` signs for the servers of the mesh, and
    /// `ended` hears how the program ended.
    ///
    /// # Errors
    /// There is no such program, or the system does not start it.
    pub(super) fn start(
        words: &[OsString],
        sidecar: SocketAddr,
        trusted: Option<&Path>,
        ended: impl FnOnce(io::Result<ExitStatus>) + Send + 'static,
    ) -> Result<Running, Failure> {
        let Some((program, arguments)) = words.split_first() else { return Err(Failure::new("no program is named")) };
        let failed =
            |error: io::Error| Failure::new(format!("{} cannot be started: {error}", program.to_string_lossy()));
        let mut command = Command::new(program);
        command.args(arguments).envs(PROXY.map(|name| (name, format!("http://{sidecar}"))));
        command.env(NODE_HEEDS, "1");
        for name in NO_PROXY {
            command.env_remove(name);
        }
        if let Some(trusted) = trusted {
            let bundle = bundle(trusted)?;
            command.envs(TRUSTED.map(|name| (name, &bundle)));
        }
        let child = Arc::new(SharedChild::spawn(&mut command).map_err(failed)?);
        let running = Running(Arc::clone(&child));
        let wait = move || ended(child.wait());
        thread::Builder::new().name("command".to_owned()).spawn(wait).map_err(failed)?;
        Ok(running)
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        self.signal(15);
    }

    /// Tells it what Ctrl-C says.
    pub(super) fn interrupt(&self) {
        self.signal(2);
    }

    /// Sends a signal, by the number that POSIX gives it.
    fn signal(&self, number: i32) {
        #[cfg(unix)]
        {
            use shared_child::unix::SharedChildExt as _;
            // It may have ended meanwhile.
            let _ = self.0.send_signal(number);
        }
        #[cfg(not(unix))]
        {
            let _ = number;
            self.kill();
        }
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        // It may have ended meanwhile.
        let _ = self.0.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The exit status that says how a program ended, as a shell has it.
pub(super) fn status(ended: ExitStatus) -> Status {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended).map(|signal| 128 + signal);
    #[cfg(not(unix))]
    let signal = None;
    let code = ended.code().or(signal).unwrap_or(1);
    Status::Of(u8::try_from(code).unwrap_or(1))
}
